"""A new index built beside the one that answers, and put in its place once it is whole.

It has a manifest of its own, in a folder within the old one's, and so a place of its own in the vectors' home. A run
that is stopped leaves it there; the next run goes on with it.
"""

from __future__ import annotations

import logging
import shutil

from ddsim.catalogue import Manifest, note_whereabouts
from ddsim.config import Settings
from ddsim.deepdetect import Client
from ddsim.vectors import HOME, backend_for, tidy

_log = logging.getLogger(__name__)

FOLDER = "beside"
_OWN = ("manifest.sqlite", "run.json")


def is_begun(manifest: Manifest) -> bool:
    """Whether something lies beside this manifest."""
    return (manifest.folder / FOLDER / "manifest.sqlite").exists()


def take_place(manifest: Manifest, new: Manifest) -> None:
    """Have a manifest's items and files replaced by those of the new one, which gets the old ones.

    The caller holds the right to write of both. Searches wait meanwhile, and find what is new from then on.
    """
    with manifest.adding():
        for path in new.folder.iterdir():
            if not path.name.startswith(_OWN) and path.suffix != ".lock":
                path.replace(manifest.folder / path.name)
        manifest.exchange(new, replaced=True)
        note_whereabouts(manifest)
    tidy(manifest)


def is_replaced(manifest: Manifest) -> bool:
    """Whether it holds what another one has taken the place of."""
    return bool(manifest.get_meta("replaced"))


def throw_away(client: Client, settings: Settings, manifest: Manifest) -> None:
    """Remove a manifest that lies beside another, and its index from the vectors' home.

    Raises:
        ManifestBusy: somebody on another machine works on that index.
    """
    kind = str(manifest.get_meta(HOME) or "").partition(" ")[0]
    if kind == "server":
        backend_for(client, settings.with_backend("server"), manifest, rebuilding=True).discard()
    elif kind == "milvus" and settings.index.backend == "milvus":
        backend_for(client, settings, manifest, rebuilding=True).discard()
    elif kind == "milvus":
        _log.warning("the old collection %r stays in its database: remove it there", manifest.get_meta("collection"))
    manifest.close()
    # On Windows a file that somebody holds open stays until the next run.
    shutil.rmtree(manifest.folder, ignore_errors=True)
