"""ddsim.deepdetect.wire: answers are read leniently, and what cannot be right is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim.deepdetect import wire
from ddsim.deepdetect.results import Label
from ddsim.errors import InvalidResponse


def predictions(*entries: Any) -> dict[str, Any]:
    """The answer to a prediction with these entries."""
    return {"status": {}, "body": {"predictions": list(entries)}}


# Reading JSON


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[1e-12, 0.000016593863620073536]", [1e-12, 0.000016593863620073536]),
        (b'{"a": [Infinity, -Infinity]}', {"a": [math.inf, -math.inf]}),
        (b'{"uri": "caf\xed\xb3\xbf"}', {"uri": "caf\udced\udcb3\udcbf"}),
        (b'{"uri": "\\udcff"}', {"uri": "\udcff"}),
        ('"中😀"'.encode(), "中😀"),
    ],
)
def test_decode_reads_what_servers_write(body: bytes, value: Any) -> None:
    """Also what strict JSON forbids and servers send (recordings 10, 10c, torch 12c)."""
    assert wire.decode(body) == value


def test_decode_reads_nan() -> None:
    """A bare NaN is read."""
    assert math.isnan(wire.decode(b"[NaN]")[0])


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"nul", b"\xef\xbb\xbf{}"],
    ids=lambda body: repr(body[:6]),
)
def test_decode_raises_value_error_only(body: bytes) -> None:
    """Whatever is no JSON is a ValueError, however deep it nests."""
    with pytest.raises(ValueError):  # noqa: PT011  the words are the parser's
        wire.decode(body)


# What comes back


@given(st.lists(st.text(), unique=True, max_size=12).flatmap(lambda ids: st.tuples(st.just(ids), st.permutations(ids))))
def test_predictions_are_joined_by_uri(orders: tuple[list[str], list[str]]) -> None:
    """Whatever order the server answers in, the caller gets the one that was asked in."""
    asked, answered = orders
    payload = predictions(*({"uri": uri, "mark": f"<{uri}>"} for uri in answered))
    found = wire.parse_predictions(payload, asked)
    assert [(entry["uri"], entry["mark"]) for entry in found] == [(uri, f"<{uri}>") for uri in asked]


@given(
    st.lists(st.sampled_from("abcd"), unique=True, min_size=1),
    st.lists(st.sampled_from("abcde"), max_size=6),
)
def test_predictions_are_exactly_those_asked(asked: list[str], answered: list[str]) -> None:
    """A prediction missing, too many, twice or of another name is never passed over."""
    payload = predictions(*({"uri": uri} for uri in answered))
    if sorted(asked) == sorted(answered):
        assert len(wire.parse_predictions(payload, asked)) == len(asked)
    else:
        with pytest.raises(InvalidResponse, match="predictions"):
            wire.parse_predictions(payload, asked)


@pytest.mark.parametrize("entry", ["x", None, 3, [], {}, {"uri": 3}, {"uri": None}])
def test_predictions_need_a_uri(entry: Any) -> None:
    """An entry that cannot be joined is an InvalidResponse."""
    with pytest.raises(InvalidResponse, match="uri"):
        wire.parse_predictions(predictions(entry), ["a"])


def test_predictions_of_an_old_server() -> None:
    """One object instead of a list of one is accepted, as very old servers send it."""
    assert wire.parse_predictions({"body": {"predictions": {"uri": "a"}}}, ["a"]) == [{"uri": "a"}]


def test_classification_is_sorted() -> None:
    """Most probable first, ties in the server's order, whatever order the classes came in."""
    classes = [{"prob": 0.2, "cat": "b"}, {"prob": 0.5, "cat": "a"}, {"prob": 0.2, "cat": "c", "last": True}]
    assert wire.parse_classification({"uri": "0", "classes": classes}).labels == (
        Label("a", 0.5),
        Label("b", 0.2),
        Label("c", 0.2),
    )


def test_classification_may_be_empty() -> None:
    """None of the classes passed the threshold: no labels, no error."""
    assert wire.parse_classification({"classes": []}).best is None


@pytest.mark.parametrize(
    "entry", [3, "x", {}, {"prob": 1}, {"cat": "a"}, {"prob": None, "cat": "a"}, {"prob": 10**400, "cat": "a"}]
)
def test_classes_that_cannot_be_read(entry: Any) -> None:
    """Classes of another shape are an InvalidResponse."""
    with pytest.raises(InvalidResponse):
        wire.parse_classification({"classes": [entry]})


def test_vectors_are_float32_rows() -> None:
    """One row a prediction, in their order; bare NaN and Infinity stay what they are."""
    vectors = wire.parse_vectors([{"vals": [1, 2.5]}, {"vals": [math.nan, math.inf]}])
    assert (vectors.dtype, vectors.shape) == (np.float32, (2, 2))
    np.testing.assert_array_equal(vectors, [[1, 2.5], [math.nan, math.inf]])


@pytest.mark.parametrize(
    "entries",
    [
        [{}],
        [{"vals": []}],
        [{"vals": 3}],
        [{"vals": [1]}, {}],
        [{"vals": [1]}, {"vals": [1, 2]}],
        [{"vals": ["1.5"]}],
        [{"vals": [None]}],
        [{"vals": [True]}],
        [{"vals": [[1], [2]]}],
        [{"vals": [{}]}],
        [{"vals": [10**400]}],
    ],
    ids=str,
)
def test_features_that_are_none(entries: list[Any]) -> None:
    """Features missing, of different lengths, or no numbers are an InvalidResponse."""
    with pytest.raises(InvalidResponse, match="feature"):
        wire.parse_vectors(entries)


def test_features_beyond_float32() -> None:
    """A number too large for 32 bits becomes infinite without a warning."""
    assert wire.parse_vectors([{"vals": [1e300]}])[0, 0] == math.inf


def test_neighbours_are_nearest_first() -> None:
    """Sorted by distance."""
    found = wire.parse_rows({"nns": [{"uri": "far", "dist": 12.5}, {"uri": "same", "dist": 0.0}]})
    assert found == [("same", 0.0), ("far", 12.5)]


def test_no_neighbours() -> None:
    """An empty index leaves them out (recording 22)."""
    assert wire.parse_rows({"uri": "0"}) == []


@pytest.mark.parametrize(
    "entry", [3, {}, {"uri": "a"}, {"dist": 1}, {"uri": "a", "dist": None}, {"uri": "a", "dist": 10**400}]
)
def test_neighbours_that_cannot_be_read(entry: Any) -> None:
    """Neighbours of another shape are an InvalidResponse."""
    with pytest.raises(InvalidResponse):
        wire.parse_rows({"nns": [entry]})
