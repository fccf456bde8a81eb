"""The embedded server's engine, where no recording speaks for it."""

from __future__ import annotations

import base64
import gc
import importlib
import json
import shutil
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ddsim.embedded
from ddsim.deepdetect.transport import Timeout
from ddsim.embedded import WOULD_HAVE_DIED, EmbeddedTransport, Engine, engine, payload
from ddsim.embedded.profile import profile_named
from ddsim.embedded.replies import Refusal, encode
from ddsim.errors import CapabilityError, ServerUnreachable

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
PICTURES = RECORDINGS / "images"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the tiny network."""
    return Path(shutil.copytree(RECORDINGS / "models" / "tiny", tmp_path / "models" / "tiny"))


def _picture(name: str = "chair1.jpg") -> str:
    return base64.b64encode((PICTURES / name).read_bytes()).decode()


def _creation(model: Path, repository: Path | None = None, kind: str = "supervised") -> dict[str, Any]:
    files = {"def": "deploy.prototxt", "weights": "tiny.caffemodel", "corresp": "corresp.txt"}
    return {
        "mllib": "caffe",
        "type": kind,
        "parameters": {"input": {"connector": "image", "width": 32, "height": 32}, "mllib": {"nclasses": 5}},
        "model": {"repository": str(repository or model), "create_repository": True}
        | {key: str(model / name) for key, name in files.items()},
    }


def _call(server: Engine, method: str, target: str, request: Any = None) -> tuple[int, Any]:
    answer = server.handle(method, target, b"" if request is None else json.dumps(request).encode())
    return answer.status, json.loads(answer.body.decode("utf-8", "surrogateescape"))


def _predict(server: Engine, service: str, **request: Any) -> tuple[int, Any]:
    return _call(server, "POST", "/predict", {"service": service} | request)


def _extraction(**output: Any) -> dict[str, Any]:
    return {"mllib": {"extract_layer": "fc1"}, "output": output}


def test_paths_in_data_are_not_read_where_that_is_forbidden(model: Path) -> None:
    """A door for others does not let them read files; the answer does not tell whether there is one."""
    server = Engine(allow_paths=False)
    assert _call(server, "PUT", "/services/cls", _creation(model))[0] == 201
    answers = [_predict(server, "cls", data=[str(PICTURES / name)]) for name in ("chair1.jpg", "nothing.jpg")]
    assert [(status, answer["status"]["dd_code"]) for status, answer in answers] == [(400, 1005)] * 2
    assert _predict(server, "cls", data=[_picture()])[0] == 200


def test_everything_outside_the_root_is_as_if_it_were_not_there(model: Path, tmp_path: Path) -> None:
    """Repositories, model files and data, also by a link that leads out."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "models")
    server = Engine(root=inside)
    for repository in (tmp_path / "new", inside / "link" / "new", inside / ".." / "new"):
        status, answer = _call(server, "PUT", "/services/cls", _creation(model, repository))
        assert (status, answer["status"]["dd_code"]) == (400, 1006)
        assert not repository.exists()
    status, answer = _call(server, "PUT", "/services/cls", _creation(model, inside / "repository"))
    assert (status, answer["status"]["dd_code"]) == (500, 1007)
    shutil.copytree(model, inside / "tiny")
    assert _call(server, "PUT", "/services/cls", _creation(inside / "tiny"))[0] == 201
    assert _predict(server, "cls", data=[str(PICTURES / "chair1.jpg")])[0] == 400


@pytest.mark.parametrize("clear", ["lib", "full", "dir"])
def test_clearing_a_repository_removes_links_and_not_what_they_lead_to(model: Path, tmp_path: Path, clear: str) -> None:
    """Weights that were linked into a repository outlive every clear."""
    repository = tmp_path / "repository"
    repository.mkdir()
    for path in model.iterdir():
        (repository / path.name).symlink_to(path)
    (repository / "folder.json").symlink_to(model, target_is_directory=True)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    server = Engine()
    creation = _creation(model) | {"model": {"repository": str(repository)}}
    assert _call(server, "PUT", "/services/cls", creation)[0] == 201
    assert _call(server, "DELETE", f"/services/cls?clear={clear}")[0] == 200
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    left = {path.name for path in repository.iterdir()} if repository.exists() else set()
    assert left == ({"deploy.prototxt", "corresp.txt"} if clear == "lib" else set())


def test_clear_lib_goes_by_the_names_of_files(model: Path, tmp_path: Path) -> None:
    """A folder above that is called like a weights file does not cost everything in it."""
    repository = tmp_path / "x.data" / "repository"
    server = Engine()
    assert _call(server, "PUT", "/services/cls", _creation(model, repository))[0] == 201
    (repository / "notes.txt").write_text("mine")
    assert _call(server, "DELETE", "/services/cls?clear=lib")[0] == 200
    assert [path.name for path in repository.iterdir()] == ["notes.txt"]


def test_failing_clear_leaves_the_service(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be removed can be tried again."""
    server = Engine()
    assert _call(server, "PUT", "/services/cls", _creation(model, tmp_path / "r"))[0] == 201

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(engine.repository, "clear_all", refused)
    status, answer = _call(server, "DELETE", "/services/cls?clear=full")
    assert (status, answer["status"]["dd_code"]) == (500, 1007)
    assert _predict(server, "cls", data=[_picture()])[0] == 200


def test_what_would_have_killed_a_server_leaves_the_service_working(model: Path, tmp_path: Path) -> None:
    """Short ids get 500 with a code of their own, and the next call is answered."""
    server = Engine()
    assert _call(server, "PUT", "/services/sim", _creation(model, tmp_path / "r", "unsupervised"))[0] == 201
    data = [_picture("chair1.jpg"), _picture("lamp1.jpg")]
    status, answer = _predict(server, "sim", data=data, ids=["a"], parameters=_extraction())
    assert (status, answer["status"]["dd_code"]) == (500, WOULD_HAVE_DIED)
    assert "SIGABRT" in answer["status"]["dd_msg"]
    assert _predict(server, "sim", data=data, ids=["a", "b"], parameters=_extraction())[0] == 200


def test_batches_are_never_answered_in_the_order_of_the_request(model: Path) -> None:
    """So that a client that joins by position is found out."""
    server = Engine()
    assert _call(server, "PUT", "/services/cls", _creation(model))[0] == 201
    for count in (2, 3, 8):
        ids = [str(i) for i in range(count)]
        _, answer = _predict(server, "cls", data=[_picture()] * count, ids=ids)
        got = [entry["uri"] for entry in answer["body"]["predictions"]]
        assert sorted(got) == ids
        assert got != ids


def test_services_do_not_wait_for_each_other(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one service is at work another one answers, and calls on the first wait."""
    server = Engine()
    for name in ("one", "two"):
        assert _call(server, "PUT", f"/services/{name}", _creation(model, tmp_path / name))[0] == 201
    at_work, let_go = threading.Event(), threading.Event()
    real = engine.predict._predictions

    def held(call: Any) -> Any:
        if call.service.name == "one":
            at_work.set()
            assert let_go.wait(10)
        return real(call)

    monkeypatch.setattr(engine.predict, "_predictions", held)
    with ThreadPoolExecutor(2) as pool:
        pending = pool.submit(_predict, server, "one", data=[_picture()])
        assert at_work.wait(10)
        assert _predict(server, "two", data=[_picture()])[0] == 200
        assert _call(server, "GET", "/info")[0] == 200
        assert not pending.done()
        let_go.set()
        assert pending.result(timeout=10)[0] == 200


def test_builds_without_similarity_search_ignore_it(model: Path, tmp_path: Path) -> None:
    """200, no flag, no neighbours, no file, as in such builds of the real server."""
    server = Engine(profile=replace(profile_named("v0.25.0"), simsearch=False))
    assert _call(server, "PUT", "/services/sim", _creation(model, tmp_path / "r", "unsupervised"))[0] == 201
    parameters = _extraction(index=True, build_index=True, search=True)
    status, answer = _predict(server, "sim", data=[_picture()], parameters=parameters)
    assert status == 200
    assert answer["body"]["predictions"][0].keys() == {"last", "uri", "classes", "vals", "images"}
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["config.json"]


def test_unknown_profile_names_those_there_are() -> None:
    """The error helps."""
    with pytest.raises(ValueError, match=r"v0\.25\.0"):
        Engine(profile="v9")


def test_too_long_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """413, without reading it."""
    monkeypatch.setattr(engine, "MAX_BODY_BYTES", 10)
    assert Engine().handle("POST", "/predict", bytes(11)).status == 413


def test_failure_of_the_engine_is_an_answer_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500/1007, as a real server answers any exception."""
    server = Engine()
    monkeypatch.setattr(engine, "parse", lambda _: 1 / 0)
    status, answer = _call(server, "POST", "/predict", {})
    assert (status, answer["status"]["dd_code"]) == (500, 1007)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("target", "request_", "code"),
    [
        ("/train", {"service": "cls"}, 1006),
        ("/chain/c", {"chain": {"calls": [{"service": "a"}, {"service": "b"}]}}, 1006),
        ("/chain/c", [], None),
        ("/chain/c", {"chain": {"calls": [{"service": "a"}]}}, 1007),
    ],
)
def test_endpoints_of_real_servers_only(target: str, request_: Any, code: int | None) -> None:
    """What is not here says so."""
    status, answer = _call(Engine(), "POST", target, request_)
    assert status >= 400
    assert answer["status"].get("dd_code") == code


def test_numbers_that_are_none_are_sent_bare() -> None:
    """As the real server sends them; Python's parser reads them back."""
    body = {"vals": np.array([1.5, np.nan]), "dist": float("inf")}
    assert encode(body) == b'{"vals":[1.5,NaN],"dist":Infinity}'


def test_vectors_are_sent_with_all_digits() -> None:
    """A float32 comes back as the same float32."""
    vector = np.array([0.1, 1e-12, 3e8], np.float32)
    sent = json.loads(encode({"vals": vector.astype(np.float64)}))["vals"]
    assert sent == vector.tolist()


def test_bytes_that_are_not_utf8_come_back_as_they_were() -> None:
    """In and out byte for byte."""
    body = b'{"a":"x\xff\xfe"}'
    assert encode(payload.parse(body)) == body


@pytest.mark.parametrize(
    ("escaped", "raw"),
    [
        (rb"\ud83d\ude00", "\U0001f600".encode()),
        (rb"a\uDCFFb", b"a\xed\xb3\xbfb"),
        (rb"\\ud83d", rb"\\ud83d"),
        (rb"\u00e9\udc80", "é".encode() + b"\xed\xb2\x80"),
    ],
)
def test_escaped_surrogates_become_bytes(escaped: bytes, raw: bytes) -> None:
    """Pairs are one character, lone low ones three bytes; an escaped backslash is no escape."""
    assert encode(payload.parse(b'{"a":"' + escaped + b'"}')) == b'{"a":"' + raw + b'"}'


@pytest.mark.parametrize(
    "body",
    [
        rb'"\ud83d"',
        rb'"\ud83dx"',
        rb'"\ud83d\u0041"',
        rb'"\ud83d\ud83d\ude00"',
        b"[" * 100_000,
        b"\xef\xbb\xbf1",
        b"{,}",
        b"",
    ],
)
def test_bodies_that_are_not_json(body: bytes) -> None:
    """400 without dd_code, never an exception of Python's."""
    with pytest.raises(Refusal) as caught:
        payload.parse(body)
    assert (caught.value.status, caught.value.dd_code) == (400, None)


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({"a": None, "b": [], "c": {}}, {"c": {}}),
        ({"a": "x\0y"}, {"a": "x"}),
        ({"a": [1.5, 2]}, {"a": [1.5, 2.0]}),
        ({"a": 10**30}, {"a": 1e30}),
        ({"a": [{"b": None}]}, {"a": [{}]}),
    ],
)
def test_container_drops_and_converts(given: Any, held: Any) -> None:
    """What the typed container makes of a request."""
    assert payload.container(given) == held


@pytest.mark.parametrize(
    ("array", "code"),
    [
        ([None], None),
        ([[1]], None),
        ([1, 1.5], WOULD_HAVE_DIED),
        (["x", 1], WOULD_HAVE_DIED),
        ([True, 1], WOULD_HAVE_DIED),
        ([1, True], WOULD_HAVE_DIED),
        ([1.5, True], WOULD_HAVE_DIED),
        ([1, 2**31], WOULD_HAVE_DIED),
    ],
)
def test_arrays_that_no_server_takes(array: list[Any], code: int | None) -> None:
    """400 without dd_code for types it lacks; mixed types end the official images."""
    with pytest.raises(Refusal) as caught:
        payload.container({"a": array})
    assert caught.value.dd_code == code


def test_transport_answers_until_it_is_closed() -> None:
    """Afterwards nothing was sent, so any call may be repeated."""
    transport = EmbeddedTransport()
    reply = transport.exchange("GET", "/info", None, Timeout(1, 1))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    transport.close()
    transport.close()
    with pytest.raises(ServerUnreachable):
        transport.exchange("GET", "/info", None, Timeout(1, 1))


def test_transport_carries_names_that_are_not_utf8() -> None:
    """Such a name is escaped, not refused."""
    transport = EmbeddedTransport()
    reply = transport.exchange("POST", "/predict", {"service": "x", "ids": ["\udcff"]}, Timeout(1, 1))
    assert reply.status == 404


@pytest.mark.parametrize(
    ("module", "said"), [("cv2", "OpenCV"), ("faiss", "FAISS"), ("onnx", "onnx"), ("onnxruntime", "ONNX Runtime")]
)
def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str, said: str) -> None:
    """Using the embedded server without its libraries says how to get them; importing the package works."""
    for name in [name for name in sys.modules if name == module or name.startswith("ddsim.embedded.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CapabilityError, match=rf"{said}.*pip install '\.\[embedded\]'"):
        importlib.import_module("ddsim.embedded").__getattr__("Engine")


def test_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="nothing"):
        ddsim.embedded.nothing  # noqa: B018


def test_a_gpu_that_is_not_there_is_told(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that wants one works without; the answer to its creation, its description and the log say so."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    server, creation = Engine(), _creation(model)
    creation["parameters"]["mllib"]["gpu"] = True
    status, answer = _call(server, "PUT", "/services/cls", creation)
    assert status == 201
    assert "onnxruntime-gpu" in answer["status"]["warning"]
    assert "service cls: gpu is true" in caplog.text
    assert _call(server, "GET", "/services/cls")[1]["body"]["warning"] == answer["status"]["warning"]
    assert _predict(server, "cls", data=[_picture()])[0] == 200


def test_without_that_wish_there_is_no_warning(model: Path) -> None:
    """Nothing is said of GPUs to those who do not ask."""
    server = Engine()
    assert "warning" not in _call(server, "PUT", "/services/cls", _creation(model))[1]["status"]
    assert "warning" not in _call(server, "GET", "/services/cls")[1]["body"]


def test_services_share_a_network(model: Path, tmp_path: Path) -> None:
    """Two services on equal files hold one network; with the last of them it goes."""
    server = Engine()
    _call(server, "PUT", "/services/cls", _creation(model))
    _call(server, "PUT", "/services/sim", _creation(model, tmp_path / "sim", "unsupervised"))
    services = [server._find(name) for name in ("cls", "sim")]
    networks = [service.network for service in services if service is not None]
    assert networks[0] is networks[1]
    gone = weakref.ref(networks[0])
    del services, networks
    for name in ("cls", "sim"):
        assert gone() is not None
        _call(server, "DELETE", f"/services/{name}")
    gc.collect()
    assert gone() is None
