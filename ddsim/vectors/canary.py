"""The canary of what is kept: compared whenever the server is not the one that was seen last."""

from __future__ import annotations

from ddsim.catalogue import ItemState, Manifest, Records
from ddsim.config import Settings
from ddsim.deepdetect import SAME, Canary, Client, Ensured, drawn
from ddsim.errors import NetworkChanged

# What the manifest's meta calls the canary, and the address and incarnation of the server that was seen last.
KEPT, _SEEN = "canary", "seen"


def canary_of(manifest: Records) -> Canary | None:
    """What is kept beside a manifest's vectors."""
    return Canary.from_text(manifest.get_meta(KEPT) or "")


def address_of(settings: Settings) -> str:
    """The server's, as people know it."""
    return settings.server.shown


def last_address(manifest: Records) -> str | None:
    """Of the server that was seen last; None before any was."""
    seen = manifest.get_meta(_SEEN)
    return str(seen[0]) if seen else None


def check_network(
    client: Client, settings: Settings, manifest: Manifest, service: Ensured, *, noting: bool, anew: bool = False
) -> None:
    """Make sure that a server gives the vectors that are kept, where it is not the one that was seen last.

    Args:
        client: the server.
        settings: the layer, and how pictures are sent.
        manifest: of the vectors.
        service: the similarity service.
        noting: whether the caller holds the manifest's right to write.
        anew: whether everything is to be sent again, so that nothing that is kept counts.

    Raises:
        NetworkChanged: it does not.
    """
    seen = [address_of(settings), service.incarnation]
    kept = None if anew else canary_of(manifest)
    if kept is not None and seen == manifest.get_meta(_SEEN):
        return
    layer = settings.similarity.extract_layer
    found = Canary(client.extract(service.name, drawn(settings.upload_options()), layer=layer))
    counts = manifest.counts()
    if kept is not None and (counts[ItemState.INDEXED] or counts[ItemState.ADDED]):
        # Vectors of another length are refused by whoever keeps them, in words of their own.
        if kept.vectors.shape == found.vectors.shape and not kept.same_as(found):
            raise NetworkChanged(
                _changed(last_address(manifest), address_of(settings), kept.nearness(found), service.name)
            )
        found = kept
    if noting:
        manifest.set_meta(**{KEPT: found.to_text(), _SEEN: seen})


def check_kept(client: Client, settings: Settings, kept: Records, service: Ensured) -> None:
    """Make sure that a server gives the vectors that are kept, where nothing can be noted.

    Raises:
        NetworkChanged: it does not.
    """
    known = canary_of(kept)
    if known is None:
        return
    layer = settings.similarity.extract_layer
    found = Canary(client.extract(service.name, drawn(settings.upload_options()), layer=layer))
    if not known.same_as(found):
        now = address_of(settings)
        raise NetworkChanged(_changed("the indexing machine", now, known.nearness(found), service.name))


def _changed(before: str | None, now: str, nearness: float, service: str) -> str:
    who = f"the server at {now}" if now != before else f"the server at {now} of today"
    then = f"the one at {before}" if now != before else "it"
    return (
        f"{who} gives other vectors on service {service!r} than {then} did when this catalogue was indexed: those of "
        f"three drawn pictures agree to {nearness:.4f}, at least {SAME} is needed. Use a server with the same network "
        "files, or run `ddsim index --rebuild`, which sends every picture again"
    )
