"""The client against the embedded server's profiles: what it can do on each, and what it is kept from."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import compare
import numpy as np
import onnx_writer
import pytest
import torch_world
from doors import Seen
from PIL import Image
from recorded import IMAGES, TORCH_WIRE, load, with_images
from typer.testing import CliRunner
from world import TINY, World

from ddsim import BadParameter, CapabilityError, Client, Reply, ServiceSpec, Timeout, UnknownLibrary
from ddsim.commands import server
from ddsim.commands.app import app
from ddsim.deepdetect.services import ensure
from ddsim.embedded import EmbeddedServer, EmbeddedTransport, Engine
from ddsim.embedded.profile import PROFILES, profile_named
from ddsim.embedded.replies import encode

TORCH = [name for name in PROFILES if profile_named(name).torch]
PICTURES = [IMAGES / name for name in ("chair1.jpg", "lamp1.jpg", "sofa1.jpg", "bed2.png", "odd.png")]
MEAN, STD, SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255


class Tap(EmbeddedTransport):
    """Remembers the bodies of predictions."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.predicts: list[Any] = []

    def exchange_values(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Answer, and remember."""
        if path == "/predict":
            self.predicts.append(json)
        return super().exchange_values(method, path, json, timeout)

    @property
    def batches(self) -> list[int]:
        """How many pictures each prediction sent through the network at a time."""
        return [body["parameters"]["mllib"]["net"]["test_batch_size"] for body in self.predicts]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The repositories of the recorded Torch server."""
    return torch_world.build(tmp_path)


def torch_spec(world: World, name: str, **settings: Any) -> ServiceSpec:
    """A service on one of them, and of that name."""
    settings = {"nclasses": 5, "width": 32, "height": 32} | settings
    return ServiceSpec(name=name, mllib="torch", repository=str(world.path(f"/opt/models/torch-{name}")), **settings)


def caffe_spec(tmp_path: Path, **settings: Any) -> ServiceSpec:
    """A service on the recorded Caffe network, in a repository of its own."""
    files = {
        "definition": TINY / "deploy.prototxt",
        "weights": TINY / "tiny.caffemodel",
        "corresp": TINY / "corresp.txt",
    }
    given = {key: str(path) for key, path in files.items()} | {"repository": str(tmp_path / "own")} | settings
    return ServiceSpec(create_repository=True, nclasses=5, width=32, height=32, **given)


def pixels(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean of each channel of a picture, R, G, B, before it is made smaller."""
    return np.asarray(Image.open(path).convert("RGB"), np.float64).mean(axis=(0, 1))


# What each profile says of itself


@pytest.mark.parametrize(
    ("profile", "version", "caffe", "torch", "engine"),
    [
        ("v0.25.0", "v0.25.0", True, False, "faiss"),
        ("no-simsearch", "v0.25.0", True, False, None),
        ("torch-v0.29", "v0.29.0-45-g7c4eae3c", False, True, None),
        ("torch-v0.28", "v0.28.0", False, True, None),
    ],
)
def test_capabilities(profile: str, version: str, caffe: bool, torch: bool, engine: str | None) -> None:
    """The client reads from /info what a server was built with."""
    info = Client(transport=EmbeddedTransport(Engine(profile=profile))).info()
    found = info.capabilities
    assert info.version == version
    assert (found.caffe, found.torch) == (caffe, torch)
    assert (found.similarity_search, found.similarity_engine) == (engine is not None, engine)


# Without similarity search


def test_nothing_is_indexed_without_similarity_search(tmp_path: Path) -> None:
    """On Caffe labels and features work; index and search are refused before anything is sent."""
    transport = Tap(Engine(profile="no-simsearch"))
    with Client(transport=transport) as client:
        assert ensure(client, caffe_spec(tmp_path, name="sim", type="unsupervised"), layer="fc1").dimension == 16
        client.create_service(caffe_spec(tmp_path, name="cls", repository=str(tmp_path / "cls")))
        assert len(client.classify("cls", PICTURES, top=2)[0].labels) == 2
        assert client.extract("sim", PICTURES, layer="fc1").shape == (len(PICTURES), 16)
        before = len(transport.predicts)
        with pytest.raises(CapabilityError):
            client.add_to_index("sim", {"a": PICTURES[0]}, layer="fc1")
        with pytest.raises(CapabilityError):
            client.search_index("sim", PICTURES, layer="fc1")
    assert len(transport.predicts) == before
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["config.json"]


def test_similarity_calls_are_ignored_as_recorded(tmp_path: Path) -> None:
    """recordings/torch 11 on Caffe: 200 without a flag, neighbours or files; wrong types are still errors."""
    engine = Engine(profile="no-simsearch")

    def ask(method: str, target: str, body: Any) -> Seen:
        answer = engine.handle(method, target, b"" if body is None else json.dumps(body).encode())
        return Seen(answer.status, answer.body)

    spec = caffe_spec(tmp_path, name="emb", type="unsupervised")
    assert ask("PUT", "/services/emb", spec.body()).status == 201
    asked = 0
    for exchange in load("11-simsearch-off", TORCH_WIRE).exchanges:
        request = with_images(exchange.get("request", {}))
        mllib = request.get("json", {}).get("parameters", {}).get("mllib", {})
        if mllib.get("extract_layer") != "last":
            continue  # without a layer Caffe answers otherwise than Torch, whatever it was built with
        mllib["extract_layer"] = "fc1"
        seen, recorded = ask("POST", "/predict", request["json"]), exchange["response"]
        for entry in recorded["json"].get("body", {}).get("predictions", []):
            entry["vals"] = {"$omitted_vals": len(entry["vals"])}
        assert not compare.problems({"status": seen.status} | recorded, seen, over_http=False)
        asked += 1
    assert asked == 8
    assert ask("DELETE", "/services/emb?clear=index", None).status == 200
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["config.json"]


# Torch


@pytest.mark.parametrize("profile", TORCH)
def test_labels_of_torch(profile: str, world: World) -> None:
    """Labels are the network's own, however many are asked for; the server would invent more."""
    transport = Tap(Engine(profile=profile))
    with Client(transport=transport) as client:
        assert ensure(client, torch_spec(world, "cnn")).dimension is None
        for top in (1, 5, 99, None):
            for found in client.classify("cnn", PICTURES, top=top):
                assert len(found.labels) == min(top or 5, 5)
                assert {label.name for label in found.labels} <= {"bed", "chair", "lamp", "sofa", "table"}
                assert sum(label.probability for label in found.labels) <= 1.001
        body = transport.predicts[-1]
        body["parameters"]["output"]["best"] = 7
        answer = json.loads(encode(transport.exchange_values("POST", "/predict", body, Timeout(1, 1)).values))
    invented = [entry for entry in answer["body"]["predictions"][0]["classes"] if not entry["cat"]]
    assert [entry["prob"] > 1 for entry in invented] == [True, False]


@pytest.mark.parametrize("profile", TORCH)
def test_features_of_a_supervised_service(profile: str, world: World) -> None:
    """Scale and mean of the creation, and its std, which the server loses, are in the features of all pictures."""
    transport = Tap(Engine(profile=profile))
    settings = {"nclasses": 6, "rgb": True, "scale": SCALE, "mean": MEAN, "std": STD}
    with Client(transport=transport, batch_size=2) as client:
        assert ensure(client, torch_spec(world, "pixels", **settings), layer="last").dimension == 6
        vectors = client.extract("pixels", PICTURES[:4], layer="last")
    expected = [(pixels(path) * SCALE - MEAN) / STD for path in PICTURES[:4]]
    # Without std the numbers would be a fourth of these.
    np.testing.assert_allclose(vectors[:, :3], expected, atol=0.05)


@pytest.mark.parametrize("profile", TORCH)
def test_no_other_layers_on_torch(profile: str, world: World) -> None:
    """An unknown layer is an error, and spoils no other call."""
    transport = Tap(Engine(profile=profile))
    with Client(transport=transport) as client:
        ensure(client, torch_spec(world, "embed"), layer="last")
        last = client.extract("embed", PICTURES, layer="last")
        sent = len(transport.predicts)
        with pytest.raises(BadParameter, match="unknown extract layer pool5"):
            client.extract("embed", PICTURES, layer="pool5")
        assert len(transport.predicts) == sent + 1
        np.testing.assert_array_equal(client.extract("embed", PICTURES, layer="final"), last)


@pytest.mark.parametrize("profile", TORCH)
def test_what_torch_has_not(profile: str, world: World, tmp_path: Path) -> None:
    """No type for similarity, no Caffe, no index."""
    transport = Tap(Engine(profile=profile))
    with Client(transport=transport) as client:
        with pytest.raises(BadParameter):
            client.create_service(torch_spec(world, "embed", type="unsupervised"))
        with pytest.raises((BadParameter, UnknownLibrary), match="removed" if profile == "torch-v0.29" else "Unknown"):
            client.create_service(caffe_spec(tmp_path, name="caffe"))
        client.create_service(torch_spec(world, "embed"))
        with pytest.raises(CapabilityError):
            client.add_to_index("embed", {"a": PICTURES[0]}, layer="last")
        with pytest.raises(CapabilityError):
            client.search_index("embed", PICTURES, layer="last")
    assert not transport.predicts
    assert sorted(path.name for path in world.path("/opt/models/torch-embed").iterdir()) == ["config.json", "net.onnx"]


def test_traced_network_alone(world: World) -> None:
    """Where only a traced network is, the error says what to put beside it."""
    onnx_writer.write(world.path("/opt/models/torch-traced"), b"", "net.pt")
    with (
        Client(transport=EmbeddedTransport(Engine(profile="torch-v0.29"))) as client,
        pytest.raises(BadParameter, match=r"net\.pt \(a traced network; an ONNX file of the same network"),
    ):
        client.create_service(torch_spec(world, "traced"))


# Features of whole batches


@pytest.mark.parametrize(
    ("size", "lengths"), [(1, [16] * 5), (2, [16, 32, 32, 32, 32]), (3, [32, 32, 48, 48, 48]), (-1, [80] * 5)]
)
def test_whole_batches(size: int, lengths: list[int], world: World) -> None:
    """Torch before v0.29 answers each picture with the features of all that ran with it."""
    transport = Tap(Engine(profile="torch-v0.28"))
    with Client(transport=transport) as client:
        client.create_service(torch_spec(world, "embed"))
        client.extract("embed", PICTURES, layer="last")
        body = transport.predicts[0]
        body["parameters"]["mllib"]["net"]["test_batch_size"] = size
        answer = json.loads(encode(transport.exchange_values("POST", "/predict", body, Timeout(1, 1)).values))
    assert sorted(len(entry["vals"]) for entry in answer["body"]["predictions"]) == lengths


def test_whole_batches_are_found_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Features that Torch before v0.29 mixed up are asked for again, one by one, and from then on always so."""
    transport = Tap(Engine(profile="torch-v0.28"))
    with Client(transport=transport, batch_size=3) as client:
        client.create_service(torch_spec(world, "embed"))
        together = client.extract("embed", PICTURES, layer="last")
        assert transport.batches == [3, 1, 1]
        assert [record.levelname for record in caplog.records if "one by one" in record.message] == ["WARNING"]
        alone = [client.extract("embed", [picture], layer="last")[0] for picture in PICTURES]
        np.testing.assert_array_equal(together, alone)
        client.extract("embed", PICTURES, layer="last")
        assert transport.batches[-2:] == [1, 1]
        assert client.classify("embed", PICTURES[:3], top=1)
        assert transport.batches[-1] == 3
    assert len([record for record in caplog.records if "one by one" in record.message]) == 1


def test_new_service_is_looked_at_anew(world: World) -> None:
    """The server may have been replaced by a better one: what was found out of a service goes with it."""
    transport = Tap(Engine(profile="torch-v0.28"))
    with Client(transport=transport) as client:
        client.create_service(torch_spec(world, "embed"))
        client.extract("embed", PICTURES, layer="last")
        client.delete_service("embed")
        client.create_service(torch_spec(world, "embed"))
        client.extract("embed", PICTURES, layer="last")
    assert transport.batches == [5, 1, 5, 1]


def test_pictures_that_are_alike(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Equal pictures have equal features: it is asked again once, and nothing is wrong."""
    transport = Tap(Engine(profile="torch-v0.29"))
    with Client(transport=transport) as client:
        client.create_service(torch_spec(world, "embed"))
        for _ in range(2):
            assert client.extract("embed", [PICTURES[0]] * 4, layer="last").shape == (4, 16)
    assert transport.batches == [4, 1, 4]
    assert not caplog.records


def test_pictures_that_differ(world: World) -> None:
    """A server that does it right is asked once."""
    transport = Tap(Engine(profile="torch-v0.29"))
    with Client(transport=transport, batch_size=2) as client:
        client.create_service(torch_spec(world, "embed"))
        vectors = client.extract("embed", PICTURES, layer="last")
        alone = [client.extract("embed", [picture], layer="last")[0] for picture in PICTURES]
    assert transport.batches == [2, 2, 1, *[1] * 5]
    np.testing.assert_allclose(vectors, alone, atol=1e-5)


@pytest.mark.parametrize(("profile", "at_a_time"), [("torch-v0.28", 1), ("torch-v0.29", 3)])
def test_mixed_up_features_stay_out_of_an_index(profile: str, at_a_time: int, world: World) -> None:
    """On a Torch server that says it has similarity search pictures are indexed one by one until features are right."""
    kind = profile_named(profile)
    flags = kind.compile_flags.replace("USE_SIMSEARCH=OFF", "USE_SIMSEARCH=ON")
    transport = Tap(Engine(profile=replace(kind, compile_flags=flags)))
    pictures = {path.name: path for path in PICTURES[:3]}
    with Client(transport=transport) as client:
        client.create_service(torch_spec(world, "embed"))
        assert client.add_to_index("embed", pictures, layer="last").shape == (3, 16)
        assert transport.batches == [1]
        client.extract("embed", PICTURES, layer="last")
        client.add_to_index("embed", pictures, layer="last")
    assert transport.batches[-1] == at_a_time


# The command


def test_command_offers_all_profiles() -> None:
    """Help lists the names; another one is wrong use."""
    run = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"})
    assert server._PROFILES == PROFILES
    shown = run.invoke(app, ["server", "--help"]).stdout
    assert all(name in shown for name in PROFILES)
    refused = run.invoke(app, ["server", "--profile", "v9"])
    assert refused.exit_code == 2
    assert all(name in refused.stderr for name in PROFILES)


@pytest.mark.enable_socket
@pytest.mark.parametrize("profile", PROFILES)
def test_command_runs_the_profile(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that it starts is of the kind asked for."""
    seen: list[str] = []

    def look(door: EmbeddedServer) -> None:
        with urllib.request.urlopen(f"{door.url}/info") as answer:  # noqa: S310
            seen.append(json.load(answer)["head"]["compile_flags"])
        raise KeyboardInterrupt

    monkeypatch.setattr(EmbeddedServer, "wait", look)
    arguments = ["server", "--port", "0", "--root", str(tmp_path), "--profile", profile]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert seen == [profile_named(profile).compile_flags]
