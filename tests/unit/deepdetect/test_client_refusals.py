"""ddsim.deepdetect.client: what is refused so that no call can kill a server or spoil an index."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_calls import index, search, spec

from ddsim import Client, ServerPath, Url
from ddsim.errors import (
    InvalidRequest,
    ServerFault,
    ServerTimeout,
    UnsafeCall,
)

ONE_PICTURE: list[Any] = [
    "a.jpg",
    b"\x89PNG",
    bytearray(b"\x89PNG"),
    memoryview(b"\x89PNG"),
    Path("a.jpg"),
    io.BytesIO(b"\x89PNG"),
    np.zeros((4, 4, 3), np.uint8),
    np.zeros((4, 4), np.uint8),
    ServerPath("/a.jpg"),
    Url("http://x/a.jpg"),
    {"a": "a.jpg"},
    None,
    3,
]


@pytest.mark.parametrize("pictures", ONE_PICTURE, ids=lambda one: type(one).__name__)
def test_one_picture_in_place_of_a_list(client: Client, transport: Any, draw: Any, pictures: Any) -> None:
    """It would be taken apart into letters, lines or rows; the error says what to write."""
    for one in (pictures, draw()):
        for call in (
            lambda one=one: client.classify("cls", one),
            lambda one=one: client.extract("sim", one, layer="fc1"),
            lambda one=one: client.search_index("sim", one, layer="fc1"),
        ):
            with pytest.raises(InvalidRequest, match=r"\[picture\]"):
                call()
    assert transport.sent == []


@pytest.mark.parametrize("pictures", ["a.jpg", [], {}, ["a.jpg"], None, [("a", "a.jpg")]], ids=repr)
def test_index_calls_need_uris(client: Client, transport: Any, pictures: Any) -> None:
    """Pictures for an index come by their names, and there is at least one."""
    with pytest.raises(InvalidRequest, match="uri"):
        client.add_to_index("sim", pictures, layer="fc1")
    assert transport.sent == []


@pytest.mark.parametrize("uri", ["", "a^b", "a\0b", "caf\udce9", 3, None, Path("a.jpg")], ids=repr)
def test_uris_that_spoil_an_index(client: Client, transport: Any, draw: Any, uri: Any) -> None:
    """One bad name among good ones stops the call: every later search would stumble over it (34, 35b, 35c)."""
    with pytest.raises(InvalidRequest, match="uri"):
        client.add_to_index("sim", {"good": draw(1), uri: draw(2)}, layer="fc1")
    assert transport.sent == []


@pytest.mark.parametrize("layer", ["", "a\0", "caf\udce9", None, 3, "a\n"], ids=repr)
def test_layers_that_are_none(client: Client, transport: Any, draw: Any, layer: Any) -> None:
    """An empty layer counts as none: no predictions, and nothing indexed (recording 20)."""
    for call in (index, search):
        with pytest.raises(InvalidRequest, match="layer"):
            call(client, draw, layer=layer)
    with pytest.raises(InvalidRequest, match="layer"):
        client.extract("sim", [draw()], layer=layer)
    assert transport.sent == []


@pytest.mark.parametrize("k", [0, -1, 2.0, "3", None, True, 2**31, 10**30], ids=repr)
def test_numbers_of_neighbours_that_cannot_be(client: Client, transport: Any, draw: Any, k: Any) -> None:
    """The server answers 500 to them, or to their types (recording 21)."""
    with pytest.raises(InvalidRequest, match="k="):
        search(client, draw, k=k)
    assert transport.sent == []


@pytest.mark.parametrize("top", [0, -1, 2.0, "3", 10**30], ids=repr)
def test_numbers_of_labels_that_cannot_be(client: Client, transport: Any, draw: Any, top: Any) -> None:
    """0 gives no labels, floats and words a 500 (recording 08)."""
    with pytest.raises(InvalidRequest, match="top="):
        client.classify("cls", [draw()], top=top)
    assert transport.sent == []


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan, math.inf])
def test_probabilities_that_are_none(client: Client, transport: Any, draw: Any, probability: float) -> None:
    """A probability is from 0 to 1."""
    with pytest.raises(InvalidRequest, match="min_probability"):
        client.classify("cls", [draw()], min_probability=probability)
    assert transport.sent == []


@pytest.mark.parametrize("index_type", ["nosuch", "", "flat", "IVF0,Flat", "IVF100", None, "Flat,", "\udcff"], ids=repr)
def test_index_types_that_kill(client: Client, transport: Any, draw: Any, index_type: Any) -> None:
    """One that FAISS cannot parse leaves a server that dies of the next call (recordings 46, 46b)."""
    for call in (index, search):
        with pytest.raises(UnsafeCall, match="index_type"):
            call(client, draw, index_type=index_type)
    assert transport.sent == []


@pytest.mark.parametrize("name", ["", "a b", "api", "a/b", "123", "a?clear=full"])
def test_names_that_cannot_be(client: Client, transport: Any, draw: Any, name: str) -> None:
    """No call sends a name that a URL would change."""
    for call in (
        lambda: client.get_service(name),
        lambda: client.delete_service(name),
        lambda: client.classify(name, [draw()]),
        lambda: client.extract(name, [draw()], layer="fc1"),
        lambda: client.search_index(name, [draw()], layer="fc1"),
        lambda: client.add_to_index(name, {"a": draw()}, layer="fc1"),
    ):
        with pytest.raises(InvalidRequest, match="service name"):
            call()
    assert transport.sent == []


def test_search_on_a_classification_service(client: Client, transport: Any, draw: Any) -> None:
    """Recording 29: the server dies. Nothing but questions went out."""
    with pytest.raises(UnsafeCall, match="classifies"):
        search(client, draw, "cls")
    with pytest.raises(UnsafeCall, match="classifies"):
        client.add_to_index("cls", {"a": draw()}, layer="fc1")
    with pytest.raises(UnsafeCall, match="classifies"):
        client.delete_service("cls", clear="index", layer="fc1")
    assert {sent.method for sent in transport.sent} == {"GET"}


def test_features_and_labels_of_the_wrong_service(client: Client, transport: Any, draw: Any) -> None:
    """Each type of service gives one of them; the other is refused with the way out."""
    with pytest.raises(InvalidRequest, match="unsupervised"):
        client.extract("cls", [draw()], layer="fc1")
    with pytest.raises(InvalidRequest, match="classification"):
        client.classify("sim", [draw()])
    assert transport.predicts == []


def test_another_layer_than_the_index_has(client: Client, transport: Any, draw: Any) -> None:
    """Recording 39: the index is made of one layer; features of others can still be had."""
    index(client, draw)
    for call in (index, search):
        with pytest.raises(UnsafeCall, match="'fc1', not 'pool1'"):
            call(client, draw, layer="pool1")
    assert len(transport.predicts) == 1
    client.extract("sim", [draw()], layer="pool1")


def test_search_before_the_build(client: Client, transport: Any, draw: Any) -> None:
    """Recordings 23 and 24: what is indexed and not built is not searched, until it is built."""
    index(client, draw, build=False)
    with pytest.raises(UnsafeCall, match="build=True"):
        search(client, draw)
    assert len(transport.predicts) == 1
    index(client, draw, "b")
    search(client, draw)


def test_an_index_that_failed_to_load(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """Recordings 46 and 47: after a failed first use the next one kills the server, also after features were had."""
    transport.script.append(wire_answers.refusal(500, 1007, "Error in faiss::Index* faiss::read_index"))
    with pytest.raises(ServerFault):
        search(client, draw)
    client.extract("sim", [draw()], layer="fc1")
    for call in (search, index):
        with pytest.raises(UnsafeCall, match="failed to load"):
            call(client, draw)
    assert len(transport.predicts) == 2


def test_a_broken_index_stays_broken_over_a_lost_answer(transport: Any, draw: Any, wire_answers: Any) -> None:
    """A time limit that passed on another call says nothing of the index: it is not tried again."""
    client = Client(transport=transport, retries=0)
    transport.script += [wire_answers.refusal(500, 1007), ServerTimeout("slow")]
    with pytest.raises(ServerFault):
        search(client, draw)
    with pytest.raises(ServerTimeout):
        client.extract("sim", [draw()], layer="fc1")
    with pytest.raises(UnsafeCall, match="failed to load"):
        search(client, draw)


def test_a_later_fault_breaks_nothing(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """An index that worked once is loaded; a 500 then is about that call."""
    search(client, draw)
    transport.script.append(wire_answers.refusal(500, 1007))
    with pytest.raises(ServerFault):
        search(client, draw)
    search(client, draw)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxys_fault_breaks_nothing(transport: Any, draw: Any, wire_answers: Any, status: int) -> None:
    """These come from in between and say nothing of the index."""
    client = Client(transport=transport, retries=0)
    transport.script.append(wire_answers.refusal(status))
    with pytest.raises(ServerFault):
        search(client, draw)
    search(client, draw)


def test_creating_anew_heals(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """Deleting and creating a service forgets its layer and all that was wrong with it."""
    index(client, draw, build=False)
    client.delete_service("sim")
    del transport.services["sim"]
    client.create_service(spec(name="sim", type="unsupervised", repository="/i/other"))
    transport.services["sim"] = {"name": "sim", "mllib": "caffe", "type": "unsupervised"}
    search(client, draw, layer="pool1")
    assert transport.predicts[-1]["parameters"]["mllib"]["extract_layer"] == "pool1"
