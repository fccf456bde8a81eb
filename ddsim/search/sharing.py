"""What others need who search a catalogue without its manifest: written into the database after each run."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from pathlib import Path

from ddsim.catalogue import PRODUCT_FILES, Manifest, read_products
from ddsim.config import Settings
from ddsim.routing import HEAD_FACTS, facts_of_head, trained_before
from ddsim.vectors import OWNER, Backend, MilvusBackend

_log = logging.getLogger(__name__)


def share(backend: Backend, manifest: Manifest, catalogue: Path | None, settings: Settings) -> None:
    """Have a database show what a manifest holds, with all that is known of it; other homes are nobody else's.

    Args:
        backend: the home, open for writing.
        manifest: what it holds.
        catalogue: the folder, which may have product data; None where there is none.
        settings: say whether a trained classifier counts.

    Raises:
        DatabaseTrouble: the database does not answer; the next run does it again.
    """
    if not isinstance(backend, MilvusBackend):
        return
    show(backend, manifest, settings)
    try:
        texts = _products(catalogue)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        # Whoever keeps it is told by the page and by `ddsim catalogue check`.
        _log.warning("product data cannot be read (%s): what the database has of it stays as it was", error)
        return
    mark = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    backend.publish_products(texts, mark)


def show(backend: Backend, manifest: Manifest, settings: Settings) -> None:
    """Have a database show what a manifest holds, and leave product data as it is there; see :func:`share`.

    Raises:
        DatabaseTrouble: the database does not answer; the next run does it again.
    """
    if isinstance(backend, MilvusBackend):
        trained = trained_before(manifest) if settings.trained else None
        backend.publish(**{HEAD_FACTS: None if trained is None else facts_of_head(trained)})


def hand_on_owner(before: Manifest, after: Manifest) -> None:
    """Have the manifest that lies beside another own the same names in a database."""
    owner = before.get_meta(OWNER)
    if owner is not None and after.get_meta(OWNER) != owner:
        after.set_meta(**{OWNER: owner})


def _products(catalogue: Path | None) -> dict[str, str]:
    if catalogue is None:
        return {}
    path = next((catalogue / name for name in PRODUCT_FILES if os.path.isfile(catalogue / name)), None)
    if path is None:
        return {}
    return {name: product.model_dump_json() for name, product in read_products(path).products.items()}
