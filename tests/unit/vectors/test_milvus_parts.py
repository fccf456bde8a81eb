"""ddsim.vectors.milvus*: the parts that need no database."""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop import Shop

from ddsim import BadInput, CapabilityError, DatabaseTrouble, IndexLost
from ddsim.catalogue import ItemState, Manifest, Row
from ddsim.config import IndexSettings
from ddsim.vectors.milvus import check_row
from ddsim.vectors.milvuscalls import Calls, among
from ddsim.vectors.milvusglance import Glance
from ddsim.vectors.milvuskeeping import differences
from ddsim.vectors.milvusplace import alias_of

NUMBERS = st.lists(st.integers(0, 30), unique=True).map(sorted)


@given(theirs=NUMBERS, ours=NUMBERS)
def test_differences_are_those_of_sets(theirs: list[int], ours: list[int]) -> None:
    """What is in one row of numbers alone, and what is in the other alone, ascending."""
    assert differences(theirs, ours) == (sorted({*theirs} - {*ours}), sorted({*ours} - {*theirs}))


@given(names=st.lists(st.text(), max_size=4))
def test_no_name_ends_its_own_quotes(names: list[str]) -> None:
    """However names are written, an expression has as many quotes that count as it has names, twice."""
    text = among("uri", names)
    counting = text.replace("\\\\", "").replace('\\"', "")
    assert counting.count('"') == 2 * len(names)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("changes", "vector", "reason"),
    [
        ({"uri": "ü" * 40_000}, 1.0, r"uri has 80000 bytes.* 65535.*shorter"),
        ({"category": "x" * 1025}, 1.0, r"category has 1025 bytes.* 1024"),
        ({}, np.nan, "not finite"),
    ],
)
def test_a_row_that_cannot_be_kept_is_named(changes: dict[str, str], vector: float, reason: str) -> None:
    """Names over the database's limits, and vectors that are none, are refused with what is wrong with them."""
    facts = {"uri": "lamp/0.png", "category": "lamp"} | changes
    row = Row(facts["uri"], facts["category"], 1, 1, None, ItemState.SENDING, None, 0, 0.0, 1)
    with pytest.raises(BadInput, match=reason):
        check_row(row, np.array([vector], np.float32), "shop")


class Database:
    """Stands for the database's client: it is asked for a collection, and may be down, or not have it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[str] = []
        self.patience = 0.0

    def describe_collection(self, name: str, timeout: float) -> dict[str, Any]:
        """Answer, or fail."""
        self.asked.append(name)
        self.patience = timeout
        if self.error is not None:
            raise self.error
        return {}

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("own", "code", "kind"),
    [
        (None, None, None),
        ("shop_1", None, None),
        (None, 100, None),  # a machine that only searches, before anything is indexed
        ("shop_1", 100, IndexLost),
        (None, 1, DatabaseTrouble),
        ("shop_1", 1, DatabaseTrouble),
    ],
)
def test_a_glance_asks_once(tmp_path: Path, own: str | None, code: int | None, kind: type[Exception] | None) -> None:
    """For the collection that a search would ask, and with little patience; what is wrong with it is said."""
    pymilvus = pytest.importorskip("pymilvus")
    index = {"backend": "milvus", "url": "http://localhost:19530", "collection": "shop", "timeout": 600}
    settings = Shop(tmp_path, {"index": index}).settings
    database = Database(None if code is None else pymilvus.MilvusException(code, "no"))
    with Manifest.open(tmp_path / "manifest", {}) as manifest, closing(Glance(settings)) as glance:
        if own:
            manifest.set_meta(collection=own)
        glance._calls._client = database
        with pytest.raises(kind) if kind else nullcontext():
            glance.check(manifest)
    assert database.asked == [own or alias_of(settings)]
    assert database.patience <= 5.0


def test_a_missing_client_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pymilvus the error names it, and the extra that brings it."""
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(CapabilityError, match=r"pymilvus.*pip install.*\[milvus\]"):
        Calls(IndexSettings(backend="milvus", url="http://localhost:19530"))
