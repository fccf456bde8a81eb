"""Three drawn pictures whose vectors tell whether two servers run the same network.

A server may be another one at the same address, be upgraded, or be one of several: what it computes has to go with
what is kept. The pictures never change, so their vectors do not either; kept beside the others, they are compared
whenever the server is not the one that was seen last.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from ddsim.catalogue import ItemState, Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Client, Ensured, Vectors
from ddsim.errors import NetworkChanged
from ddsim.pictures import Encoded, Upload, encode

#: So near, as a cosine, are vectors of the same network on other machines; those of others are far below.
SAME = 0.9999
# What the manifest's meta calls the canary, and the address and incarnation of the server that was seen last.
_KEPT, _SEEN = "canary", "seen"
_SIDE = 256
_VALUE = np.dtype("<f4")


def drawn(upload: Upload) -> list[Encoded]:
    """The pictures as a configuration sends its own, whatever its limits."""
    prepared = Upload(shrink=upload.shrink, quality=upload.quality)
    return [encode(picture, prepared) for picture in _pictures()]


@lru_cache(maxsize=1)
def _pictures() -> tuple[Image.Image, ...]:
    """Colours and edges of all sizes, drawn in whole numbers so that they are the same everywhere."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE]
    rings = (x - 90) ** 2 + (y - 140) ** 2
    planes = [
        (x ^ y, (x * 3 + y) % _SIDE, (x * y // 64) % _SIDE),
        (rings // 40 % _SIDE, 255 - x, np.where((x // 32 + y // 32) % 2, 220, 40)),
        (y, np.where(rings < 4900, 230, 30), (x // 8 * 37 + y // 8 * 91) % _SIDE),
    ]
    return tuple(Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)) for channels in planes)


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth value
class Canary:
    """What a network makes of the drawn pictures: ``vectors``, float32, shape (3, d)."""

    vectors: Vectors

    def nearness(self, other: Canary) -> float:
        """The smallest cosine between the two vectors of one picture, -1 to 1; -1 for other lengths and no numbers."""
        one, two = self.vectors.astype(np.float64), other.vectors.astype(np.float64)
        if one.shape != two.shape or not (np.isfinite(one).all() and np.isfinite(two).all()):
            return -1.0
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        # Two vectors of nothing but zeros are the same, and have no angle.
        equal = (one == two).all(axis=1)
        cosines = np.divide((one * two).sum(axis=1), lengths, out=np.full(len(one), -1.0), where=lengths > 0)
        return float(np.where(equal, 1.0, cosines).min(initial=1.0))

    def same_as(self, other: Canary) -> bool:
        """Whether both are the same network's."""
        return self.nearness(other) >= SAME

    def to_text(self) -> str:
        """As it is kept."""
        values = base64.b64encode(self.vectors.astype(_VALUE).tobytes()).decode("ascii")
        return json.dumps({"shape": list(self.vectors.shape), "values": values})

    @classmethod
    def from_text(cls, text: str) -> Canary | None:
        """What :meth:`to_text` gave; None of anything else."""
        try:
            kept = json.loads(text)
            values = np.frombuffer(base64.b64decode(kept["values"]), _VALUE)
            return cls(values.reshape(kept["shape"]).astype(np.float32))
        except (ValueError, TypeError, KeyError):
            return None


def canary_of(manifest: Manifest) -> Canary | None:
    """What is kept beside a manifest's vectors."""
    return Canary.from_text(manifest.get_meta(_KEPT) or "")


def address_of(settings: Settings) -> str:
    """The server's, as people know it."""
    return settings.server.url or "embedded"


def last_address(manifest: Manifest) -> str | None:
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
        manifest.set_meta(**{_KEPT: found.to_text(), _SEEN: seen})


def _changed(before: str | None, now: str, nearness: float, service: str) -> str:
    who = f"the server at {now}" if now != before else f"the server at {now} of today"
    then = f"the one at {before}" if now != before else "it"
    return (
        f"{who} gives other vectors on service {service!r} than {then} did when this catalogue was indexed: those of "
        f"three drawn pictures agree to {nearness:.4f}, at least {SAME} is needed. Use a server with the same network "
        "files, or run `ddsim index --rebuild`, which sends every picture again"
    )
