"""All properties: what is spoilt, and the check that it ends in a result or an error with a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import files
import replies
from limits import bounded
from spoiling import Edit

from ddsim import DDSimError


@dataclass(frozen=True)
class Property:
    """One reader under test.

    Attributes:
        bases: names of what is spoilt.
        check: spoils it, reads it, and looks at the result.
        share: of the examples that others get; some readers are slow.
    """

    bases: Sequence[str]
    check: Callable[[str, Sequence[Edit]], None]
    share: float = 1.0

    def holds(self, base: str, edits: Sequence[Edit]) -> bool:
        """Whether there was a result; a DDSimError is fine as well, and anything else comes out."""
        with bounded():
            try:
                self.check(base, edits)
            except DDSimError:
                return False
        return True


PROPERTIES = {
    "replies": Property(sorted(replies.BASES), replies.check_json, 3.0),
    "reply bytes": Property(sorted(replies.BASES), replies.check_bytes),
    "yaml": Property(sorted(files.YAML), files.check_yaml),
    "prototxt": Property(sorted(files.PROTOTXT), files.check_prototxt, 2.0),
    "labels": Property(sorted(files.LABELS), files.check_labels),
    "products": Property(sorted(files.PRODUCTS), files.check_products),
    "caffemodel": Property(sorted(files.CAFFEMODEL), files.check_caffemodel),
    "torch file": Property(sorted(files.TORCHFILE), files.check_torchfile, 2.0),
    "embedded": Property(files.EMBEDDED, files.check_embedded, 0.5),
    "manifest": Property(files.MANIFEST, files.check_manifest),
    "cache": Property(files.CACHE, files.check_cache),
    "store": Property(files.STORE, files.check_store, 0.5),
    "vectors": Property(files.VECTORS, files.check_vectors),
}
