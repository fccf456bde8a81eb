"""ddsim.deepdetect.specs: what is sent is strict."""

from __future__ import annotations

import json
import math
import string
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim.deepdetect.specs import ServiceSpec, check_uri, service_name
from ddsim.errors import InvalidRequest, UnsafeCall

SAFE = set(string.ascii_lowercase + string.digits + "_.-")


def spec(**changes: Any) -> ServiceSpec:
    """A valid service, with changes."""
    return ServiceSpec(**{"name": "sim", "repository": "/data/sim", "nclasses": 5} | changes)


# Names


@given(st.text())
def test_no_name_passes_that_a_url_would_change(name: str) -> None:
    """Whatever passes is made of characters that need no encoding, holds a letter, and is lower-case already."""
    try:
        kept = service_name(name)
    except InvalidRequest:
        return
    assert set(kept) <= SAFE
    assert set(kept) & set(string.ascii_lowercase)
    assert kept not in {"api", "torchlib", "true", "false"}
    assert service_name(kept) == kept


@given(st.text(st.sampled_from(sorted(SAFE)), min_size=1, max_size=200).filter(lambda name: set(name) & SAFE))
def test_every_plain_name_with_a_letter_passes(name: str) -> None:
    """Letters, digits, '_', '.' and '-' are enough for a name, but for the reserved ones."""
    if set(name) & set(string.ascii_lowercase) and name not in {"api", "torchlib", "true", "false"}:
        assert service_name(name.upper()) == name


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
        service_name(name)


def test_a_long_hopeless_name_is_refused_at_once() -> None:
    """The length is looked at before a pattern is tried, whose time grows with the square of it."""
    with pytest.raises(InvalidRequest):
        service_name("a" * 1_000_000 + "!")


@given(st.text())
def test_no_uri_passes_that_breaks_an_index(uri: str) -> None:
    """A uri that passes is unchanged, not empty, has no '^' or NUL, and is proper Unicode."""
    try:
        kept = check_uri(uri)
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
        check_uri(uri)


@pytest.mark.parametrize("uri", ["lamp/a b.jpg", "été 中 😀", "a\nb", '"q" \\ /', "x" * 5000])
def test_odd_but_harmless_uris(uri: str) -> None:
    """Recording 35: spaces, Unicode, newlines and 5000 characters come back unharmed."""
    assert check_uri(uri) == uri


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
        ServiceSpec(name="a", repository="/r")  # type: ignore[call-arg]


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
