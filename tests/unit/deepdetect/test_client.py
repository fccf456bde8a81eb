"""ddsim.deepdetect.client: predictions, batches, what servers lack, and Torch."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_calls import index, search, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ddsim
from ddsim import Client, ServerPath, TimeLimits, Upload, Url
from ddsim.errors import (
    CapabilityError,
    ImageError,
    InvalidRequest,
    InvalidResponse,
)

# The client itself


def test_a_client_sends_nothing_by_itself(transport: Any) -> None:
    """Making and closing one is silent, and closing closes the transport."""
    with Client(transport=transport) as client:
        assert isinstance(client, Client)
    assert transport.sent == []
    assert transport.closed


def test_no_server_is_needed_to_make_one() -> None:
    """A client for a server that is not there yet can be made."""
    Client("http://localhost:1").close()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "localhost:8080"},
        {"timeout": 0},
        {"timeout": math.inf},
        {"retries": -1},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"batch_bytes": 0},
    ],
    ids=str,
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    """Wrong options are refused when the client is made."""
    with pytest.raises(InvalidRequest, match=r"url|limit|retries|batch"):
        Client(**options)


@pytest.mark.parametrize(
    ("call", "limit"),
    [
        (lambda client, _: client.info(), "info"),
        (lambda client, _: client.get_service("sim"), "info"),
        (lambda client, _: client.create_service(spec()), "create"),
        (lambda client, _: client.delete_service("sim"), "create"),
        (lambda client, draw: client.classify("cls", [draw()]), "predict"),
        (lambda client, draw: client.extract("sim", [draw()], layer="fc1"), "predict"),
        (search, "predict"),
        (index, "index"),
    ],
    ids=["info", "get", "create", "delete", "classify", "extract", "search", "index"],
)
def test_each_kind_of_call_has_its_limit(transport: Any, draw: Any, call: Any, limit: str) -> None:
    """Every call goes out with the finite limit of its kind."""
    limits = TimeLimits(connect=1, info=2, create=3, predict=4, index=5)
    call(Client(transport=transport, timeout=limits), draw)
    assert transport.sent[-1].timeout == ddsim.Timeout(1, getattr(limits, limit))


# Classification


def test_classify(client: Client, transport: Any, draw: Any, as_sent: Any) -> None:
    """Labels come in the order of the pictures although the server turned them around; the request is complete."""
    pictures = [draw(seed) for seed in range(3)]
    found = client.classify("cls", pictures, top=2, min_probability=0.25)
    assert [one.best.name for one in found if one.best] == [as_sent(picture)[-20:] for picture in pictures]
    assert transport.predicts == [
        {
            "service": "cls",
            "ids": ["0", "1", "2"],
            "parameters": {
                "mllib": {"net": {"test_batch_size": 3}},
                "output": {"best": 2, "confidence_threshold": 0.25},
            },
            "data": [as_sent(picture) for picture in pictures],
        }
    ]


@pytest.mark.parametrize(("top", "best"), [(1, 1), (None, -1), (np.int64(3), 3)])
def test_top(client: Client, transport: Any, draw: Any, top: Any, best: int) -> None:
    """None asks for all labels; an int of numpy is one."""
    client.classify("cls", [draw()], top=top)
    assert transport.predicts[0]["parameters"]["output"]["best"] == best
    assert type(transport.predicts[0]["parameters"]["output"]["best"]) is int


def test_probability_is_sent_as_a_float(client: Client, transport: Any, draw: Any) -> None:
    """Also where an int or a numpy float was given."""
    client.classify("cls", [draw()], min_probability=1)
    client.classify("cls", [draw()], min_probability=np.float32(0.5))  # type: ignore[arg-type]
    assert [body["parameters"]["output"]["confidence_threshold"] for body in transport.predicts] == [1.0, 0.5]
    assert isinstance(transport.predicts[0]["parameters"]["output"]["confidence_threshold"], float)


def test_the_same_picture_twice(client: Client, draw: Any) -> None:
    """Duplicates in one call each get their result."""
    picture = draw(1)
    one, other, twin = client.classify("cls", [picture, draw(2), picture])
    assert one == twin != other


def test_nothing_to_do(client: Client, transport: Any) -> None:
    """An empty list is an empty result, and nothing is predicted."""
    assert client.classify("cls", []) == []
    assert client.search_index("sim", [], layer="fc1") == []
    assert client.extract("sim", [], layer="fc1").shape == (0, 0)
    assert transport.predicts == []


def test_all_kinds_of_pictures(client: Client, transport: Any, draw: Any, tmp_path: Path) -> None:
    """Path, str, bytes, file, PIL image and array of one picture are sent alike; the server's own as they are named."""
    file = tmp_path / "a.png"
    draw(1).save(file)
    content = file.read_bytes()
    with file.open("rb") as opened:
        own = [file, str(file), content, bytearray(content), io.BytesIO(content), opened]
        client.classify("cls", [*own, ServerPath("/data/a.jpg"), Url("http://x/a.jpg")])
    (body,) = transport.predicts
    assert len(set(body["data"][:-2])) == 1
    assert body["data"][-2:] == ["/data/a.jpg", "http://x/a.jpg"]


def test_upload_of_the_client_and_of_the_call(transport: Any, draw: Any) -> None:
    """Pictures are prepared as the client says, or as the call says."""
    client = Client(transport=transport, upload=Upload(shrink=(8, 8)))
    client.classify("cls", [draw(1, (64, 64))])
    client.classify("cls", [draw(1, (64, 64))], upload=Upload())
    small, large = (len(body["data"][0]) for body in transport.predicts)
    assert small < large


def test_a_picture_that_cannot_be_read(client: Client, transport: Any, tmp_path: Path) -> None:
    """It is an ImageError that names the file, and its batch is not sent."""
    with pytest.raises(ImageError, match=r"no\.jpg"):
        client.classify("cls", [tmp_path / "no.jpg"])
    assert transport.predicts == []


def test_pictures_may_come_one_after_another(client: Client, transport: Any, draw: Any) -> None:
    """An iterator is taken as it comes: the first batch is sent before the third is made."""
    client = Client(transport=transport, batch_size=1)
    sent_before: list[int] = []

    def pictures() -> Iterator[Any]:
        for seed in range(3):
            sent_before.append(len(transport.predicts))
            yield draw(seed)

    assert len(client.classify("cls", pictures())) == 3
    assert sent_before[2] >= 1


# Features


def test_extract(client: Client, transport: Any, draw: Any, as_sent: Any, wire_answers: Any) -> None:
    """Float32 rows in the order of the pictures; the layer is named in the call."""
    pictures = [draw(seed) for seed in range(3)]
    vectors = client.extract("sim", pictures, layer="fc1")
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [wire_answers.features(as_sent(picture)) for picture in pictures])
    (body,) = transport.predicts
    assert body["parameters"] == {"mllib": {"extract_layer": "fc1", "net": {"test_batch_size": 3}}, "output": {}}


def test_extract_in_batches(transport: Any, draw: Any) -> None:
    """Batches are joined to one array."""
    vectors = Client(transport=transport, batch_size=2).extract("sim", [draw(seed) for seed in range(5)], layer="fc1")
    assert vectors.shape == (5, 4)
    assert [len(body["ids"]) for body in transport.predicts] == [2, 2, 1]


def test_features_of_different_lengths(transport: Any, draw: Any, wire_answers: Any) -> None:
    """Batches whose vectors differ in length cannot be one array."""
    odd = {"uri": "1", "vals": [1.0]}
    transport.script += [wire_answers.predicted, wire_answers.reply({"status": {}, "body": {"predictions": [odd]}})]
    with pytest.raises(InvalidResponse, match="lengths"):
        Client(transport=transport, batch_size=1).extract("sim", [draw(1), draw(2)], layer="fc1")


# Index and search


def test_add_to_index(client: Client, transport: Any, draw: Any, as_sent: Any, wire_answers: Any) -> None:
    """One request adds and builds; the uris are the ids, so that searches give them back."""
    pictures = {"lamp/é 1.jpg": draw(1), "bed/2.jpg": draw(2)}
    vectors = client.add_to_index("sim", pictures, layer="fc1")
    np.testing.assert_array_equal(vectors, [wire_answers.features(as_sent(one)) for one in pictures.values()])
    (body,) = transport.predicts
    assert body["ids"] == list(pictures)
    assert body["parameters"]["output"] == {"index": True, "build_index": True}
    assert body["parameters"]["mllib"] == {"extract_layer": "fc1", "net": {"test_batch_size": 2}}
    assert not {"index_uris", "meta_uris"} & set(body)


def test_add_without_building(client: Client, transport: Any, draw: Any) -> None:
    """build=False leaves the build out; nothing ever builds without adding (recording 26)."""
    index(client, draw, build=False)
    index(client, draw, "lamp/b.jpg")
    outputs = [body["parameters"]["output"] for body in transport.predicts]
    assert outputs == [{"index": True}, {"index": True, "build_index": True}]


def test_index_type(client: Client, transport: Any, draw: Any) -> None:
    """The default is the server's own and not sent; another goes with every call on the index."""
    index(client, draw, index_type="HNSW8")
    search(client, draw, index_type="HNSW8")
    search(client, draw)
    types = [body["parameters"]["output"].get("index_type") for body in transport.predicts]
    assert types == ["HNSW8", "HNSW8", None]


def test_search_index(client: Client, transport: Any, draw: Any, as_sent: Any, wire_answers: Any) -> None:
    """Neighbours of each picture, nearest first and scored, with the picture's own vector."""
    pictures = [draw(seed) for seed in range(3)]
    replies = client.search_index("sim", pictures, layer="fc1", k=np.int64(2))  # type: ignore[arg-type]
    for reply, picture in zip(replies, pictures, strict=True):
        text = as_sent(picture)
        assert [item.uri for item in reply.neighbours] == [f"near/{text[-20:]}", f"far/{text[-20:]}"]
        assert reply.neighbours[0].closeness == 1.0 > reply.neighbours[1].closeness
        np.testing.assert_array_equal(reply.vector, np.float32(wire_answers.features(text)))
    assert transport.predicts[0]["parameters"]["output"] == {"search": True, "search_nn": 2}


def test_rows_say_the_same_in_fewer_words(client: Client, draw: Any) -> None:
    """search_rows gives the names, distances and vectors of search_index."""
    pictures = [draw(seed) for seed in range(3)]
    replies = client.search_index("sim", pictures, layer="fc1", k=2)
    rows = client.search_rows("sim", pictures, layer="fc1", k=2)
    assert [found for _, found in rows] == [[(one.uri, one.distance) for one in reply.neighbours] for reply in replies]
    assert [vector.tolist() for vector, _ in rows] == [reply.vector.tolist() for reply in replies]


def test_what_a_service_is_is_asked_once(client: Client, transport: Any, draw: Any) -> None:
    """Service and capabilities are asked for at the first use, not at every one."""
    for seed in range(3):
        client.search_index("sim", [draw(seed)], layer="fc1")
    assert [sent.path for sent in transport.sent] == ["/services/sim", "/info"] + ["/predict"] * 3


# Batches


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    sides=st.lists(st.integers(1, 24), max_size=12),
    size=st.integers(1, 5),
    limit=st.integers(1, 6000),
)
def test_batches_keep_both_limits_and_the_order(
    draw: Any, as_sent: Any, wire_answers: Any, sides: list[int], size: int, limit: int
) -> None:
    """No request holds too many pictures or bytes, but for one picture that is too big alone; none is lost or moved."""
    transport = wire_answers.transport()
    client = Client(transport=transport, batch_size=size, batch_bytes=limit)
    pictures = [draw(number, (side, side)) for number, side in enumerate(sides)]
    vectors = client.extract("sim", pictures, layer="fc1")
    sent = [body["data"] for body in transport.predicts]
    assert [text for batch in sent for text in batch] == [as_sent(picture) for picture in pictures]
    for batch, following in zip(sent, [*sent[1:], []], strict=False):
        assert len(batch) <= size
        assert len(batch) == 1 or sum(map(len, batch)) <= limit
        if following:
            assert len(batch) == size or sum(map(len, batch)) + len(following[0]) > limit
    for body in transport.predicts:
        assert body["parameters"]["mllib"]["net"]["test_batch_size"] == len(body["data"])
    assert len(vectors) == len(pictures)


@pytest.mark.parametrize(("options", "pictures"), [({"batch_size": 2}, 3), ({"batch_bytes": 1000}, 2)])
def test_index_calls_are_one_request(transport: Any, draw: Any, options: Any, pictures: int) -> None:
    """More pictures or bytes than a request may hold are refused: the caller decides where the build goes."""
    client = Client(transport=transport, **options)
    with pytest.raises(InvalidRequest, match="one request may hold"):
        client.add_to_index("sim", {f"a/{n}": draw(n) for n in range(pictures)}, layer="fc1")
    assert transport.predicts == []


def test_a_catalogue_at_once_is_refused_before_it_is_read(transport: Any) -> None:
    """Too many pictures are counted, not encoded."""
    client = Client(transport=transport, batch_size=10)
    with pytest.raises(InvalidRequest, match="one request may hold"):
        client.add_to_index("sim", dict.fromkeys(map(str, range(1000)), "/no/such/file.jpg"), layer="fc1")
    assert transport.sent == []


def test_numbers_of_numpy_are_numbers(transport: Any, draw: Any) -> None:
    """A batch size of numpy ends up as an int in the request."""
    Client(transport=transport, batch_size=np.int32(2)).classify("cls", [draw(n) for n in range(5)])  # type: ignore[arg-type]
    assert [body["parameters"]["mllib"]["net"]["test_batch_size"] for body in transport.predicts] == [2, 2, 1]


# Capabilities


@pytest.mark.parametrize("flags", ["USE_SIMSEARCH=OFF USE_FAISS=ON USE_TORCH=ON", ""])
def test_a_server_without_similarity_search(client: Client, transport: Any, draw: Any, flags: str) -> None:
    """It would answer 200 and leave the neighbours out (recording torch 11); features are there all the same."""
    transport.compile_flags = flags
    for service in ("sim", "torch"):
        with pytest.raises(CapabilityError, match=r"v0\.25\.0"):
            search(client, draw, service)
        with pytest.raises(CapabilityError, match="extract"):
            client.add_to_index(service, {"a": draw()}, layer="fc1")
    assert transport.predicts == []
    client.extract("sim", [draw()], layer="fc1")


# Torch


def test_torch_extracts_and_searches_on_a_supervised_service(client: Client, transport: Any, draw: Any) -> None:
    """It has no other type (recordings torch 03, 09, 50), and classifies on the same one."""
    client.add_to_index("torch", {"a": draw(1)}, layer="last")
    search(client, draw, "torch", layer="last")
    client.extract("torch", [draw()], layer="final")
    client.classify("torch", [draw()])
    assert len(transport.predicts) == 4


def test_torch_std_goes_with_every_call(client: Client, transport: Any, draw: Any) -> None:
    """Given at creation it is shown and not used (recording torch 13); what is shown is repeated, as floats."""
    transport.services["torch"]["parameters"] = {"input": {"std": [1, 0.5, 0.25], "mean": [1.0, 2.0, 3.0]}}
    client.classify("torch", [draw()])
    client.extract("torch", [draw()], layer="last")
    client.add_to_index("torch", {"a": draw(1)}, layer="last")
    search(client, draw, "torch", layer="last")
    assert [body["parameters"]["input"] for body in transport.predicts] == [{"std": [1.0, 0.5, 0.25]}] * 4


@pytest.mark.parametrize("shown", [None, [], {}, "x"])
def test_torch_without_std(client: Client, transport: Any, draw: Any, shown: Any) -> None:
    """Where there is none, or the server shows something odd, no input is sent."""
    transport.services["torch"]["parameters"] = {"input": shown}
    client.classify("torch", [draw()])
    assert "input" not in transport.predicts[0]["parameters"]


def test_caffe_gets_no_std(client: Client, transport: Any, draw: Any) -> None:
    """Caffe ignores it, and an input object resets what was given at creation."""
    transport.services["cls"]["parameters"] = {"input": {"std": [1.0, 1.0, 1.0]}}
    client.classify("cls", [draw()])
    assert "input" not in transport.predicts[0]["parameters"]


@pytest.mark.parametrize(("nclasses", "top", "best"), [(5, 99, 5), (5, 3, 3), (5, None, -1), (0, 7, 7), (None, 7, 7)])
def test_torch_best_is_capped(client: Client, transport: Any, draw: Any, nclasses: Any, top: Any, best: int) -> None:
    """Above its class count Torch makes classes up (recording torch 06)."""
    transport.services["torch"]["parameters"] = {"mllib": {"nclasses": nclasses}}
    client.classify("torch", [draw()], top=top)
    assert transport.predicts[0]["parameters"]["output"]["best"] == best


def test_caffe_best_is_not_capped(client: Client, transport: Any, draw: Any) -> None:
    """On Caffe nclasses may be any number and means nothing (recording 03), while best may be too large (08)."""
    transport.services["cls"]["parameters"] = {"mllib": {"nclasses": 2}}
    client.classify("cls", [draw()], top=99)
    assert transport.predicts[0]["parameters"]["output"]["best"] == 99
