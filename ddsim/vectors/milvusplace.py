"""What a catalogue's collections in a database are called, and whose they are.

A collection is of one generation; its name ends with the number of that. An alias stands for the one that answers, and
is what everybody else asks for: its name follows from the configuration alone, so that machines without a manifest find
it. Every collection says of itself who made it.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ddsim.catalogue import Manifest, Records
from ddsim.config import Settings
from ddsim.errors import ForeignCollection
from ddsim.vectors.fingerprints import vector_key
from ddsim.vectors.milvuscalls import VECTOR, Calls, Described

#: What the manifest's meta calls its collection, its generation, and the mark of whoever owns both.
COLLECTION, GENERATION, OWNER = "collection", "generation", "owner_mark"
_FIELDS = {"vid": "INT64", "uri": "VARCHAR", "category": "VARCHAR", "sha256": "VARCHAR", "generation": "INT64"}
_FIELDS |= {VECTOR: "FLOAT_VECTOR"}
_DIGITS = 8


@dataclass(frozen=True)
class Mark:
    """What a collection says of itself: ``owner`` drawn at random, ``who`` in words, ``vectors`` by which network."""

    owner: str
    who: str
    vectors: str
    generation: int

    def to_text(self) -> str:
        """As it is written on the collection."""
        facts = {"owner": self.owner, "who": self.who, "vectors": self.vectors, "generation": self.generation}
        return json.dumps({"ddsim": "items", "version": 1, **facts})

    @classmethod
    def of(cls, described: Described) -> Mark | None:
        """What it says; None where it is none of ddsim's."""
        try:
            found = json.loads(described.note)
            mark = cls(str(found["owner"]), str(found["who"]), str(found["vectors"]), int(found["generation"]))
        except (ValueError, TypeError, KeyError):
            return None
        return mark if found.get("ddsim") == "items" and described.fields == _FIELDS else None


def alias_of(settings: Settings) -> str:
    """The name that stands for a configuration's collection, whichever generation answers."""
    name = settings.index.collection or f"ddsim_{re.sub(r'[^A-Za-z0-9_]', '_', settings.name)}"
    return f"{name}_{vector_key(settings)[:_DIGITS]}"


def products_of(alias: str) -> str:
    """The collection of what is known of the items besides their pictures."""
    return f"{alias}_products"


def new_generation(settings: Settings, manifest: Manifest) -> dict[str, object]:
    """Facts for the manifest: a collection that is to be made, whose name nobody has had before."""
    generation = max(time.time_ns() // 1_000_000, int(manifest.get_meta(GENERATION) or 0) + 1)
    owner = manifest.get_meta(OWNER) or secrets.token_hex(16)
    return {COLLECTION: f"{alias_of(settings)}_{generation}", GENERATION: generation, OWNER: owner}


def mark_of(settings: Settings, facts: Mapping[str, Any]) -> Mark:
    """What is to be written on a collection with these facts."""
    where = f"state folder {settings.state}, on {socket.gethostname()}"
    who = f"configuration {settings.name}, catalogue {settings.catalogue}, {where}"
    who = who.encode("utf-8", "backslashreplace").decode("utf-8")
    return Mark(str(facts[OWNER]), who, vector_key(settings), int(facts[GENERATION]))


def check_owner(described: Described, settings: Settings, manifest: Records) -> Mark:
    """Make sure that a collection is of whoever keeps this manifest.

    Raises:
        ForeignCollection: it is not; both are shown.
    """
    mark, own = Mark.of(described), str(manifest.get_meta(OWNER) or "")
    if mark is not None and mark.owner == own:
        return mark
    # Indexes on a server count their generations, too.
    generation = manifest.get_meta(GENERATION) if manifest.get_meta(COLLECTION) else 0
    asking = _in_words(mark_of(settings, {OWNER: own, GENERATION: generation}))
    cure = (
        "where nobody needs it any more, remove it from the database first"
        if mark is None
        else "where that index is lost, or nobody needs it any more, run `ddsim index --take-over`, which sends every "
        "picture to a collection of this one's own and then removes that one"
    )
    raise ForeignCollection(
        f"the collection {described.name!r} in the Milvus at {settings.index.url} belongs to "
        f"{_described(mark, described)}, and not to this one ({asking}): write another `collection` under `index:`; "
        f"or, {cure}"
    )


def _in_words(mark: Mark) -> str:
    if not mark.generation:
        return f"{mark.who}, which has made none"
    try:
        return f"{mark.who}, made {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(mark.generation / 1000))}"
    except (ValueError, OverflowError, OSError):
        return mark.who  # no time that there is


def _described(mark: Mark | None, described: Described) -> str:
    if mark is not None:
        return f"another index of ddsim's ({_in_words(mark)})"
    fields = ", ".join(f"{name} {kind}" for name, kind in sorted(described.fields.items()))
    return f"somebody else (fields {fields}; note {described.note[:100]!r})"


def own_alias(calls: Calls, settings: Settings, manifest: Records, *, taking_over: bool = False) -> Described | None:
    """The collection that the alias stands for; None where it stands for none.

    Args:
        calls: the database.
        settings: the configuration.
        manifest: whose it should be.
        taking_over: whether one of another manifest will do.

    Raises:
        ForeignCollection: it is somebody else's.
    """
    found = calls.describe(alias_of(settings))
    if found is None or (taking_over and found.name != alias_of(settings) and Mark.of(found) is not None):
        return found
    check_owner(found, settings, manifest)
    return found


def is_own(described: Described, manifest: Records) -> bool:
    """Whether a collection is of whoever keeps this manifest."""
    mark = Mark.of(described)
    return mark is not None and mark.owner == manifest.get_meta(OWNER)
