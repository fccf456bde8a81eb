"""In the process pictures and vectors travel as values: the answers are those to base64 and JSON."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddsim import BadInput, BadParameter, Client, Reply, ServerPath, ServiceNotFound, Timeout
from ddsim.deepdetect import ServiceSpec, ValueTransport
from ddsim.deepdetect.transport import Decoded
from ddsim.embedded import EmbeddedTransport, Engine, engine, pictures
from ddsim.embedded.reading import Reader
from ddsim.errors import ApiError
from ddsim.pictures import Encoded, Upload, encode

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


def files() -> dict[str, bytes]:
    """Pictures that go out as they are: JPEGs of all samplings and orders, and PNGs, of odd sizes."""
    random = np.random.default_rng(0)
    grain = random.integers(0, 256, (37, 53, 3), np.uint8)
    colour = Image.fromarray(grain).resize((101, 67))
    grey = colour.convert("L")
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        **{f"sampling {kind}": (colour, {"quality": 80, "subsampling": kind}) for kind in (0, 1, 2)},
        "coarse": (colour, {"quality": 5}),
        "progressive": (colour, {"quality": 90, "progressive": True}),
        "grey": (grey, {"quality": 75}),
        "restarts": (colour, {"quality": 75, "restart_marker_blocks": 3}),
    }
    found = {}
    for name, (image, options) in kinds.items():
        file = BytesIO()
        image.save(file, "JPEG", **options)
        found[name] = file.getvalue()
    for name, image in (("PNG", colour), ("grey PNG", grey)):
        file = BytesIO()
        image.save(file, "PNG")
        found[name] = file.getvalue()
    return found


@pytest.mark.parametrize("name", files())
def test_pixels_are_those_that_the_server_would_find(name: str) -> None:
    """Pillow's decoder and OpenCV's agree to the last bit on whatever is handed over decoded."""
    data = files()[name]
    kept = encode(data, Upload(pixels=True))
    assert kept.data == data
    assert kept.pixels is not None
    assert np.array_equal(pictures.as_decoded(kept.pixels), pictures.decode(data))


def test_files_are_decoded_once(doors: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client has decoded the server of the same process does not decode again; the vectors are the same."""
    wanted = list(files().values())
    there = doors[1].extract("sim", wanted, layer="pool1")
    monkeypatch.setattr(pictures, "decode", None)
    assert doors[0].extract("sim", wanted, layer="pool1").tobytes() == there.tobytes()


def test_large_files_do_not_wait_decoded() -> None:
    """Pictures of more than a megapixel are kept as files only, and so are those that nobody wants decoded."""
    file = BytesIO()
    Image.new("RGB", (1200, 1000)).save(file, "JPEG")
    assert encode(file.getvalue(), Upload(pixels=True)).pixels is None
    assert encode(files()["grey"]).pixels is None


def test_grey_is_the_decoders_own() -> None:
    """A network that takes one channel gets what the decoder makes of the file, not a conversion of its colours."""
    data = files()["sampling 2"]
    kept = encode(data, Upload(pixels=True)).pixels
    assert kept is not None
    reader = Reader(pictures.Preprocessing(32, 32, bw=True), allowed=lambda _: False)
    assert np.array_equal(reader.pixels(Decoded(data, kept)), reader.pixels(data))
