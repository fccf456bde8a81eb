"""What a server's raw words mean: every message that was recorded has a translation, or is plain already."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ddsim.deepdetect.calls import checked
from ddsim.deepdetect.sayings import meaning
from ddsim.deepdetect.transport import Reply
from ddsim.errors import ApiError

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
# Said in words that people understand, or by a class of its own.
PLAIN = {
    "Cannot index after similarity search tree has been built",
    "Input Connector Not Found",
    "Job Not Found",
    "Output Connector Network Error",
    "Service Bad Request Error",
    "Service Not Found",
    "Service already exists",
    "Service none does not exist",
    "Unknown Library",
}
CREATION = {
    "model": {
        "repository": "/r",
        "def": "/m/deploy.prototxt",
        "weights": "/m/x.caffemodel",
        "corresp": "/m/corresp.txt",
    },
    "parameters": {"mllib": {"nclasses": 5, "template": "resnet_50"}},
}


def said(value: Any) -> Iterator[str]:
    """Every ``dd_msg`` in a recording."""
    if isinstance(value, dict):
        if isinstance(value.get("dd_msg"), str):
            yield value["dd_msg"]
        for inner in value.values():
            yield from said(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from said(inner)


RECORDED = sorted(
    {words for file in RECORDINGS.rglob("*.json") for words in said(json.loads(file.read_text(encoding="utf-8")))}
    - PLAIN
)


@pytest.mark.skipif(not RECORDED, reason="the recordings are not here")
def test_the_recordings_are_there() -> None:
    """The list is not empty by mistake."""
    assert len(RECORDED) > 50


@pytest.mark.parametrize("words", RECORDED)
def test_raw_words_never_stand_alone(words: str) -> None:
    """Each recorded message of Caffe, libtorch, FAISS or the parser has a sentence, with nothing left to fill in."""
    told = meaning(words, CREATION)
    assert told
    assert not re.search(r"[{}]|\.cpp|\.hpp|  ", told)
    assert meaning(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "src/caffe/util/io.cpp:55 / Check failed (custom): (fd) != (-1)",
            "no definition /m/deploy.prototxt on the server",
        ),
        ("src/caffe/util/io.cpp:74 / Check failed (custom): (fd) != (-1)", "no weights /m/x.caffemodel on the server"),
        ("Service Bad Request Error: unknown extract layer pool5/7x7_s1", "the network has no layer pool5/7x7_s1: "),
        ("src/caffe/data_transformer.cpp:206 / Check failed (custom): (datum_height) == (height)", "width and height"),
        ("Service Bad Request Error: number of classes is unknown (nclasses == 0)", "write nclasses"),
        (
            "Service Input Error: mean vector be of size the number of channels (3)",
            "mean needs one number for each of 3",
        ),
        ("stoi", "the file of labels /m/corresp.txt has a line without a number"),
        ("no model in /data/x for initializing the net", "looked for a .caffemodel in /data/x"),
    ],
)
def test_files_layers_and_numbers_are_named(words: str, expected: str) -> None:
    """They are named as the configuration does, and with what it says."""
    assert expected in meaning(words, CREATION)


def test_the_raw_words_stay_in_the_detail() -> None:
    """An error says first what they mean; its attributes keep them."""
    raw = "src/caffe/util/io.cpp:74 / Check failed (custom): (fd) != (-1)"
    body = json.dumps({"status": {"code": 500, "msg": "InternalError", "dd_code": 1007, "dd_msg": raw}}).encode()
    with pytest.raises(ApiError) as caught:
        checked(Reply(500, body, {}), "PUT", "/services/x", CREATION)
    error = caught.value
    assert str(error).startswith("PUT /services/x: there are no weights /m/x.caffemodel on the server")
    assert str(error).endswith(f"(the server answered 500/1007: {raw})")
    assert (error.dd_msg, error.meaning) == (raw, meaning(raw, CREATION))


@pytest.mark.parametrize("sent", [None, {}, {"model": None, "parameters": {"mllib": 3}}, {"parameters": None}])
def test_calls_that_name_nothing(sent: dict[str, Any] | None) -> None:
    """A call without files is explained all the same."""
    assert meaning("stoi", sent).startswith("the file of labels has a line")


def test_words_that_need_no_translation() -> None:
    """What a server says plainly is left to it."""
    assert meaning("Service Not Found") == meaning("") == ""
