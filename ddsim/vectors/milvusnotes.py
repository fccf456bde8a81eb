"""What is written in a database beside the items: facts of a collection, and products, as texts by their keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from ddsim.errors import ForeignCollection, IndexBusy
from ddsim.vectors.milvuscalls import Calls, literal
from ddsim.vectors.milvuslink import Missing

#: Holds the facts of all collections that any ddsim has in a database.
NOTES = "ddsim_notes"
_FORMAT = json.dumps({"ddsim": "notes", "version": 1})
_PART = 60_000
_READS = 5
_NO_VECTOR = [0.0, 0.0]


class Notes:
    """Values under keys, of any length.

    A value is cut into parts, which are written before the key says that they are there: whoever reads gets the old
    value or the new one.

    Args:
        calls: the database.
        name: of the collection; made when something is written into it first.
    """

    def __init__(self, calls: Calls, name: str = NOTES) -> None:
        self._calls = calls
        self._name = name
        self._known = False

    def write(self, key: str, value: object) -> None:
        """Put a value of plain kinds under a key, in the place of the one before."""
        self._make()
        text = json.dumps(value)
        mark = hashlib.sha256(text.encode()).hexdigest()[:16]
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        before = self._pointer(key)
        named = {self._part(key, mark, number): part for number, part in enumerate(parts)}
        same = before is not None and before["mark"] == mark
        # The parts may be gone, where somebody has dropped the collection meanwhile.
        if same and self.texts(named, sure=True) == named:
            return
        self._put([(name, part, mark) for name, part in named.items()])
        self._put([(key, json.dumps({"mark": mark, "parts": len(parts)}), mark)])
        if not same:
            self._forget(key, before)

    def read(self, key: str, *, sure: bool = True) -> Any:
        """The value under a key, None where there is none.

        Args:
            key: the key.
            sure: whether it must be the newest one; otherwise it may be some seconds old, and comes at once.

        Raises:
            IndexBusy: it is replaced again and again at this moment.
        """
        for attempt in range(_READS):
            newest = sure or attempt > 0
            pointer = self._pointer(key, sure=newest)
            if pointer is None and newest:
                return None
            keys = [self._part(key, pointer["mark"], number) for number in range(pointer["parts"])] if pointer else []
            parts = self.texts(keys, sure=newest)
            if keys and len(parts) == len(keys):
                return json.loads("".join(parts[one] for one in keys))
        raise IndexBusy(f"what is noted of {key!r} in the database is being replaced; try again in a moment")

    def remove(self, key: str) -> None:
        """Let go of a value; does nothing where there is none."""
        if self._there():
            before = self._pointer(key)
            self._delete([key])
            self._forget(key, before)

    def texts(self, keys: Collection[str], *, sure: bool = False) -> dict[str, str]:
        """Single texts by their keys; those that are not there are left out. ``sure`` as for :meth:`read`."""
        if not keys or not self._there():
            return {}
        level = "Strong" if sure else "Bounded"
        try:
            return {row["key"]: row["text"] for row in self._calls.get(self._name, keys, ["key", "text"], level)}
        except Missing:  # somebody has dropped it since
            self._known = False
            return {}

    def replace_all(self, texts: Mapping[str, str], mark: str) -> None:
        """Have these single texts, and no others; ``mark`` is another one for others."""
        if not texts and not self._there():
            return
        self._make()
        self._put([(key, text, mark) for key, text in texts.items()])
        with suppress(Missing):
            self._calls.delete_where(self._name, f"mark != {literal(mark)}")

    def is_there(self) -> bool:
        """Whether the database has the collection at this moment."""
        return self._calls.describe(self._name) is not None

    def _put(self, rows: list[tuple[str, str, str]]) -> None:
        named = [{"key": key, "text": text, "mark": mark, "vector": _NO_VECTOR} for key, text, mark in rows]
        try:
            self._calls.put(self._name, named)
        except Missing:  # somebody has dropped it since
            self._known = False
            self._make()
            self._calls.put(self._name, named)

    def _pointer(self, key: str, *, sure: bool = True) -> Any:
        text = self.texts([key], sure=sure).get(key)
        return None if text is None else json.loads(text)

    def _forget(self, key: str, before: Any) -> None:
        if before is not None:
            self._delete([self._part(key, before["mark"], number) for number in range(before["parts"])])

    def _delete(self, keys: list[str]) -> None:
        with suppress(Missing):
            self._calls.delete(self._name, keys)

    @staticmethod
    def _part(key: str, mark: str, number: int) -> str:
        return f"{key} {mark} {number}"

    def _make(self) -> None:
        if not self._there():
            self._calls.create_notes(self._name, _FORMAT)
            self._known = True

    def _there(self) -> bool:
        """Whether there is such a collection.

        Raises:
            ForeignCollection: it is somebody else's.
        """
        if not self._known:
            found = self._calls.describe(self._name)
            if found is None:
                return False
            if found.note != _FORMAT:
                raise ForeignCollection(
                    f"the database has a collection {self._name!r} that is none of ddsim's (it says {found.note!r}, "
                    f"expected {_FORMAT!r}): rename it, or use another database"
                )
            self._calls.make_ready(self._name, "L2", "FLAT")
            self._known = True
        return True
