"""ddsim.deepdetect.wire: what is sent is strict, what comes back is read leniently."""

from __future__ import annotations

import json
import math
import string
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim.deepdetect import wire
from ddsim.deepdetect.results import Label
from ddsim.errors import InvalidRequest, InvalidResponse, UnsafeCall

SAFE = set(string.ascii_lowercase + string.digits + "_.-")


def spec(**changes: Any) -> wire.ServiceSpec:
    """A valid service, with changes."""
    return wire.ServiceSpec(**{"name": "sim", "repository": "/data/sim", "nclasses": 5} | changes)


# Names


@given(st.text())
def test_no_name_passes_that_a_url_would_change(name: str) -> None:
    """Whatever passes is made of characters that need no encoding, holds a letter, and is lower-case already."""
    try:
        kept = wire.service_name(name)
    except InvalidRequest:
        return
    assert set(kept) <= SAFE
    assert set(kept) & set(string.ascii_lowercase)
    assert kept not in {"api", "torchlib", "true", "false"}
    assert wire.service_name(kept) == kept


@given(st.text(st.sampled_from(sorted(SAFE)), min_size=1, max_size=200).filter(lambda name: set(name) & SAFE))
def test_every_plain_name_with_a_letter_passes(name: str) -> None:
    """Letters, digits, '_', '.' and '-' are enough for a name, but for the reserved ones."""
    if set(name) & set(string.ascii_lowercase) and name not in {"api", "torchlib", "true", "false"}:
        assert wire.service_name(name.upper()) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a/b",
        "a%20b",
        "été",
        "a?clear=lib",
        "a#b",
        "a\n",
        "a\0",
        "123",
        ".",
        "..",
        "-1",
        "a^b",
        "x" * 201,
        "api",
        "API",
        "torchlib",
        "true",
        "False",
    ],
)
def test_names_refused(name: str) -> None:
    """Names that a URL, a query or the server's own loggers would spoil are refused."""
    with pytest.raises(InvalidRequest, match="service name"):
        wire.service_name(name)


def test_a_long_hopeless_name_is_refused_at_once() -> None:
    """The length is looked at before a pattern is tried, whose time grows with the square of it."""
    with pytest.raises(InvalidRequest):
        wire.service_name("a" * 1_000_000 + "!")


@given(st.text())
def test_no_uri_passes_that_breaks_an_index(uri: str) -> None:
    """A uri that passes is unchanged, not empty, has no '^' or NUL, and is proper Unicode."""
    try:
        kept = wire.check_uri(uri)
    except InvalidRequest:
        return
    assert kept == uri
    assert uri
    assert not set("^\0") & set(uri)
    uri.encode("utf-8")


@pytest.mark.parametrize("uri", ["", "^", "a^b", "a\0b", "caf\udce9.jpg", "\ud83d"])
def test_uris_refused(uri: str) -> None:
    """Names that every later search would stumble over are refused."""
    with pytest.raises(InvalidRequest, match="uri"):
        wire.check_uri(uri)


@pytest.mark.parametrize("uri", ["lamp/a b.jpg", "été 中 😀", "a\nb", '"q" \\ /', "x" * 5000])
def test_odd_but_harmless_uris(uri: str) -> None:
    """Recording 35: spaces, Unicode, newlines and 5000 characters come back unharmed."""
    assert wire.check_uri(uri) == uri


# What is sent


def test_spec_body_holds_what_the_server_demands() -> None:
    """The smallest service names library, connector, size, class count and repository, and nothing that is null."""
    assert spec().body() == {
        "mllib": "caffe",
        "description": "sim",
        "type": "supervised",
        "model": {"repository": "/data/sim"},
        "parameters": {
            "input": {"connector": "image", "width": 224, "height": 224},
            "mllib": {"nclasses": 5},
            "output": {},
        },
    }


def test_spec_body_says_all_that_is_set() -> None:
    """Every setting has its place in the body."""
    body = spec(
        type="unsupervised",
        description="d",
        create_repository=True,
        definition="/m/deploy.prototxt",
        weights="/m/w.caffemodel",
        corresp="/m/corresp.txt",
        templates="../templates/caffe/",
        template="resnet_50",
        width=32,
        height=48,
        scale=1,
        rgb=True,
        gpu=True,
        gpuid=1,
    ).body()
    assert body["model"] == {
        "repository": "/data/sim",
        "create_repository": True,
        "def": "/m/deploy.prototxt",
        "weights": "/m/w.caffemodel",
        "corresp": "/m/corresp.txt",
        "templates": "../templates/caffe/",
    }
    assert body["parameters"]["mllib"] == {"nclasses": 5, "template": "resnet_50", "gpu": True, "gpuid": 1}
    assert body["parameters"]["input"]["rgb"] is True
    assert (body["type"], body["description"]) == ("unsupervised", "d")


@pytest.mark.parametrize("field", ["mean", "std"])
@pytest.mark.parametrize("numbers", [(104, 117, 123), (104, 117.5, 123), [104.0, 117, 123], [0.5, 0.5, 0.5]])
def test_numbers_a_channel_are_always_floats(field: str, numbers: Any) -> None:
    """Ints and floats in one array kill an official server (recording torch 15b): only floats go out."""
    sent = orjson.loads(orjson.dumps(spec(**{field: numbers}).body()))["parameters"]["input"][field]
    assert sent == list(numbers)
    assert {type(number) for number in sent} == {float}


def test_scale_is_always_a_float() -> None:
    """An int is a 400/1005 on Torch (recording torch 15)."""
    assert orjson.dumps(spec(scale=2).body()["parameters"]["input"]["scale"]) == b"2.0"


@pytest.mark.parametrize("field", ["mean", "std", "scale"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused(field: str, number: float) -> None:
    """JSON has no word for them; what would go out instead is null, and null inside an array kills a server."""
    with pytest.raises(InvalidRequest, match=field):
        spec(**{field: number if field == "scale" else (1.0, number, 1.0)})


@pytest.mark.parametrize("field", ["mean", "std"])
@pytest.mark.parametrize("numbers", [(1.0,), (1.0, 2.0), (1.0, 2.0, 3.0, 4.0)])
def test_numbers_a_channel_are_three(field: str, numbers: tuple[float, ...]) -> None:
    """A Caffe server reads beyond the end of a shorter mean (recording 63)."""
    with pytest.raises(InvalidRequest, match=field):
        spec(**{field: numbers})


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"},
        {"name": 3},
        {"name": "api"},
        {"nclasses": 0},
        {"nclasses": -1},
        {"nclasses": 5.0},
        {"nclasses": "5"},
        {"nclasses": True},
        {"nclasses": None},
        {"width": 0},
        {"width": 224.0},
        {"width": 2**70},
        {"height": "224"},
        {"mean": 128},
        {"mean": ("a", "b", "c")},
        {"mean": (True, 1.0, 1.0)},
        {"rgb": 1},
        {"gpu": 0},
        {"type": "Unsupervised"},
        {"repository": ""},
        {"repository": None},
        {"repository": "/data/\0x"},
        {"repository": "/data/caf\udce9"},
        {"weights": "/m/\0"},
        {"wieghts": "/m/w.caffemodel"},
    ],
    ids=str,
)
def test_wrong_settings_are_ours_to_report(changes: dict[str, Any]) -> None:
    """A wrong type, size, name or key is an InvalidRequest that names it; pydantic's own error stays inside."""
    with pytest.raises(InvalidRequest, match=next(iter(changes))):
        spec(**changes)


def test_missing_settings_are_ours_to_report() -> None:
    """A setting left out is named."""
    with pytest.raises(InvalidRequest, match="nclasses"):
        wire.ServiceSpec(name="a", repository="/r")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "word", ["corresp", "x.caffemodel", "deploy.prototxt", "mean.binaryproto", "my.lmdb", "CORRESP"]
)
def test_repository_named_like_a_model_file_is_refused(word: str) -> None:
    """The server looks for such words in whole paths (recording 04c)."""
    with pytest.raises(UnsafeCall, match="repository"):
        spec(repository=f"/data/{word}/idx").body()


def test_spec_body_is_plain_json() -> None:
    """Any transport gets lists and dicts, as JSON would give them, not tuples."""
    body = spec(mean=(1.0, 2.0, 3.0), gpu=True, gpuid=(0, 1)).body()
    assert json.loads(json.dumps(body)) == body


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


def test_info_is_read() -> None:
    """Version, flags and services; keys that no recording has are kept."""
    info = wire.parse_info(
        {"head": {"version": "v9", "compile_flags": "X=ON", "new": 1, "services": [{"name": "a", "newer": 2}]}}
    )
    assert (info.version, info.services[0].name) == ("v9", "a")
    assert (info.model_extra, info.services[0].model_extra) == ({"new": 1}, {"newer": 2})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", (False, False, False, None)),
        ("USE_CAFFE=ON USE_CAFFE2=OFF USE_TORCH=OFF USE_SIMSEARCH=ON USE_FAISS=ON", (True, False, True, "faiss")),
        ("USE_CAFFE=OFF USE_CAFFE2=ON", (False, False, False, None)),
        ("USE_TORCH=ON USE_SIMSEARCH=OFF USE_ANNOY=OFF USE_FAISS=ON", (False, True, False, None)),
        ("USE_CAFFE=ON USE_SIMSEARCH=ON USE_ANNOY=ON USE_FAISS=OFF", (True, False, True, "annoy")),
        ("USE_SIMSEARCH=ON", (False, False, True, None)),
    ],
)
def test_capabilities(flags: str, expected: tuple[Any, ...]) -> None:
    """Only USE_SIMSEARCH tells of similarity search; an engine alone does not (recording torch 01)."""
    found = wire.Info(compile_flags=flags).capabilities
    assert (found.caffe, found.torch, found.similarity_search, found.similarity_engine) == expected


@pytest.mark.parametrize(
    "payload",
    [None, [], "x", 3, {}, {"head": None}, {"head": []}, {"head": {"services": "x"}}, {"head": {"services": [{}]}}],
)
def test_info_of_something_else(payload: Any) -> None:
    """JSON of another shape is an InvalidResponse."""
    with pytest.raises(InvalidResponse):
        wire.parse_info(payload)


@pytest.mark.parametrize(
    "payload", [None, {}, {"body": "x"}, {"body": {"name": 3}}, {"body": {"name": "a", "width": "w"}}]
)
def test_service_of_something_else(payload: Any) -> None:
    """JSON of another shape is an InvalidResponse."""
    with pytest.raises(InvalidResponse):
        wire.parse_service(payload)


def predictions(*entries: Any) -> dict[str, Any]:
    """The answer to a prediction with these entries."""
    return {"status": {}, "body": {"predictions": list(entries)}}


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
