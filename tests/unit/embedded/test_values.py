"""In the process pictures and vectors travel as values: the answers are those to base64 and JSON."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddsim import BadInput, BadParameter, Client, Reply, ServerPath, ServiceNotFound, Timeout
from ddsim.deepdetect import ServiceSpec, ValueTransport
from ddsim.embedded import EmbeddedTransport, Engine, engine
from ddsim.errors import ApiError
from ddsim.pictures import Encoded

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
PICTURES = [RECORDINGS / "images" / name for name in ("chair1.jpg", "lamp1.jpg", "bed2.png", "odd.png", "grey.png")]


class Written:
    """The embedded server by the other door: whatever goes through is text."""

    def __init__(self, engine: Engine) -> None:
        self._inner = EmbeddedTransport(engine)

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Carry out one request."""
        return self._inner.exchange(method, path, json, timeout)

    def close(self) -> None:
        """Let go."""
        self._inner.close()


@pytest.fixture
def doors(tmp_path: Path) -> tuple[Client, Client]:
    """A client with values and one with text, each on a server of its own with the same services."""
    clients = []
    for name, door in (("values", EmbeddedTransport), ("text", Written)):
        model = Path(shutil.copytree(RECORDINGS / "models" / "tiny", tmp_path / name))
        client = Client(transport=door(Engine()), batch_size=3, retries=0)
        files = {"definition": "deploy.prototxt", "weights": "tiny.caffemodel", "corresp": "corresp.txt"}
        common: dict[str, Any] = {key: str(model / file) for key, file in files.items()}
        common |= {"nclasses": 5, "width": 32, "height": 32, "create_repository": True}
        client.create_service(ServiceSpec(name="cls", type="supervised", repository=f"{model}-cls", **common))
        client.create_service(ServiceSpec(name="sim", type="unsupervised", repository=f"{model}-sim", **common))
        clients.append(client)
    return clients[0], clients[1]


def same(doors: tuple[Client, Client], call: Callable[[Client], Any]) -> Any:
    """What a call gives by both doors, which is the same."""
    one, other = (call(client) for client in doors)
    assert repr(one) == repr(other)
    return one


def test_the_doors_are_what_they_are_called(doors: tuple[Client, Client]) -> None:
    """The client takes values where a transport carries them."""
    assert isinstance(doors[0]._transport, ValueTransport)
    assert not isinstance(doors[1]._transport, ValueTransport)


def test_vectors_are_the_same(doors: tuple[Client, Client]) -> None:
    """Bit by bit, in batches, from files, arrays and the server's own disk."""
    pictures = [*PICTURES, np.zeros((9, 7, 3), np.uint8), ServerPath(str(PICTURES[0]))]
    for layer in ("pool1", "fc1", "prob"):
        one, other = (client.extract("sim", pictures, layer=layer) for client in doors)
        assert one.dtype == other.dtype == np.float32
        assert one.tobytes() == other.tobytes()


def test_labels_are_the_same(doors: tuple[Client, Client]) -> None:
    """Probabilities with all their digits."""
    found = same(doors, lambda client: client.classify("cls", PICTURES, top=None))
    assert len(found) == len(PICTURES)


def test_neighbours_are_the_same(doors: tuple[Client, Client]) -> None:
    """Adding, building and searching, names and distances."""
    names = dict(zip(("a", "b", "schön"), PICTURES, strict=False))
    one, other = (client.add_to_index("sim", names, layer="pool1") for client in doors)
    assert one.tobytes() == other.tobytes()
    replies = [client.search_index("sim", PICTURES, layer="pool1", k=2) for client in doors]
    for here, there in zip(*replies, strict=True):
        assert here.neighbours == there.neighbours
        assert here.vector.tobytes() == there.vector.tobytes()


def content(data: bytes) -> Encoded:
    """A picture that is sent as it is."""
    return Encoded(data, "image/jpeg", (1, 1), (1, 1))


def refused(client: Client, call: Callable[[Client], Any]) -> tuple[type, str]:
    """Which error a call ends with, and its words."""
    with pytest.raises(ApiError) as raised:
        call(client)
    return type(raised.value), str(raised.value)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda client: client.extract("sim", [content(b"\xff\xd8 no JPEG")], layer="pool1"), BadInput),
        (lambda client: client.extract("sim", [content(b"")], layer="pool1"), BadInput),
        (lambda client: client.extract("sim", PICTURES, layer="nosuch"), BadParameter),
        (lambda client: client.extract("nosuch", PICTURES, layer="pool1"), ServiceNotFound),
    ],
)
def test_errors_are_the_same(doors: tuple[Client, Client], call: Callable[[Client], Any], kind: type) -> None:
    """Their classes and their words."""
    one, other = (refused(client, call) for client in doors)
    assert one == other
    assert one[0] is kind


def test_too_much_is_refused_by_both(doors: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's limit holds for values as for text."""
    monkeypatch.setattr(engine, "MAX_BODY_BYTES", 2000)
    for client in doors:
        assert "413" in refused(client, lambda client: client.extract("sim", PICTURES[:1], layer="pool1"))[1]
