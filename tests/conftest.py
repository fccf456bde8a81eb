"""What several test files share: a server that is none, drawn pictures, and a closed network."""

from __future__ import annotations

import base64
import hashlib
import logging
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

from ddsim import Client, DDSimError, Reply, Retries, Timeout

CONTRACT = Path(__file__).parent / "contract"
CAFFE = "USE_TORCH=OFF USE_CAFFE=ON USE_SIMSEARCH=ON USE_ANNOY=OFF USE_FAISS=ON "
# Three services as a server describes them: one that classifies, one for similarity, one of the other library.
SERVICES: dict[str, dict[str, Any]] = {
    "cls": {"name": "cls", "mllib": "caffe", "type": "supervised", "repository": "/m/cls"},
    "sim": {"name": "sim", "mllib": "caffe", "type": "unsupervised", "repository": "/i/sim"},
    "torch": {"name": "torch", "mllib": "torch", "type": "supervised", "repository": "/m/torch"},
}


# How fast a case is drawn depends on what else the machine does, which no test is about.
settings.register_profile("ddsim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ddsim")

# A test run that was started in the background ignores Ctrl-C, and so would the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The live server that tests/contract and tests/integration are to talk to, and the places of things there."""
    group = parser.getgroup("ddsim")
    group.addoption("--server", help="URL of a live DeepDetect v0.25.0")
    group.addoption(
        "--server-models", default="/opt/models", help="folder there that holds tiny/ (and squeezenet_v1.1/)"
    )
    group.addoption("--server-data", default="/data", help="folder there that holds images/, and gets indexes/")
    group.addoption(
        "--restart-command",
        help="shell command that ends that server with kill -9 and starts it again, for tests of its deaths",
    )
    group.addoption("--server-config", help="configuration that works there, if not configs/resnet50.yaml")
    group.addoption("--long", action="store_true", help="run the tests that are marked long, too")


LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are marked long, unless they are asked for by --long or by their names."""
    named = [str(config.invocation_params.dir / arg) for arg in config.args if "::" in arg]
    left = {
        item
        for item in items
        if item.get_closest_marker("long")
        and not config.getoption("--long")
        and not f"{item.path}::{item.nodeid.partition('::')[2]}".startswith(tuple(named))
    }
    if left:
        config.hook.pytest_deselected(items=list(left))
        items[:] = [item for item in items if item not in left]
    config.stash[LEFT_OUT] = len(left)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that started this one, if it was pytest-xdist, how many were left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from a process of pytest-xdist how many were left out: the same ones in each."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many were left out, and how to run them."""
    if left := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left} tests marked long were left out: --long runs them, too, and so does naming one (FILE::TEST)."
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what is no Unicode in captured output: pytest-xdist cannot carry it from process to process."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture
def loopback() -> Iterator[None]:
    """Asks for sockets, on this machine alone."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    yield  # noqa: PT022  pytest-socket takes the restriction away after each test


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """No sockets but for tests that ask for them; contract tests talk to the servers they are given."""
    asked = {"loopback", "socket_enabled"} & set(request.fixturenames)
    if not asked and CONTRACT not in request.path.parents and not request.node.get_closest_marker("enable_socket"):
        disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def _log_levels() -> Iterator[None]:
    """What a command sets of the log, for the rest of its process, ends with the test that calls it."""
    yield
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("ddsim")]:
        logging.getLogger(name).setLevel(logging.NOTSET)


@dataclass(frozen=True)
class Sent:
    """One request as a transport was given it; ``json`` has gone through real JSON."""

    method: str
    path: str
    json: Any
    timeout: Timeout


Answer = Reply | DDSimError | Callable[[Any], "Answer"]


def reply(payload: Any = None, status: int = 200) -> Reply:
    """An answer with this JSON, or with the bare envelope of its status."""
    return Reply(status, orjson.dumps({"status": {"code": status, "msg": "x"}} if payload is None else payload))


def refusal(status: int, dd_code: int | None = None, dd_msg: str = "no") -> Reply:
    """An answer that says no."""
    code = {} if dd_code is None else {"dd_code": dd_code, "dd_msg": dd_msg}
    return reply({"status": {"code": status, "msg": "Message", **code}}, status)


def features(data: str) -> list[float]:
    """Four numbers that belong to this picture alone."""
    return [byte / 8 for byte in hashlib.sha256(data.encode()).digest()[:4]]


def predicted(body: Mapping[str, Any]) -> Reply:
    """The answer to a prediction: in another order than asked, as real servers do, and telling pictures apart."""
    output = body["parameters"].get("output", {})
    layer = body["parameters"]["mllib"].get("extract_layer")
    predictions = []
    for uri, data in zip(body["ids"], body["data"], strict=True):
        entry: dict[str, Any] = {"uri": uri, "classes": [], "images": []}
        if layer:
            entry["vals"] = features(data)
        else:
            entry["classes"] = [{"prob": features(data)[0] / 32, "cat": data[-20:]}]
        if output.get("search"):
            entry["nns"] = [{"uri": f"far/{data[-20:]}", "dist": 2.0}, {"uri": f"near/{data[-20:]}", "dist": 0.0}]
        predictions.insert(0, entry)
    return reply({"status": {"code": 200, "msg": "OK"}, "head": {}, "body": {"predictions": predictions}})


class RecordingTransport:
    """Stands where a server would: remembers what was sent, answers from a script, then as a healthy server.

    It fails the test at once for a request that could kill a real server, whatever the test is about.
    """

    def __init__(self, *script: Answer) -> None:
        self.sent: list[Sent] = []
        self.script: deque[Answer] = deque(script)
        self.services = {name: dict(service) for name, service in SERVICES.items()}
        self.compile_flags = CAFFE
        self.closed = False

    @property
    def predicts(self) -> list[Any]:
        """The bodies of all predictions that were sent."""
        return [sent.json for sent in self.sent if sent.path == "/predict"]

    def exchange(self, method: str, path: str, json: Mapping[str, Any] | None, timeout: Timeout) -> Reply:
        """Take the next answer of the script; what only asks about the server is never scripted."""
        assert timeout.connect > 0
        assert timeout.read > 0
        sent = Sent(method, path, None if json is None else orjson.loads(orjson.dumps(json)), timeout)
        self.sent.append(sent)
        _assert_harmless(sent)
        if method == "GET":
            return self._described(path)
        answer: Any = self.script.popleft() if self.script else self._healthy
        while callable(answer):
            answer = answer(sent.json)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _described(self, path: str) -> Reply:
        if path == "/info":
            return reply({"head": {"compile_flags": self.compile_flags, "services": list(self.services.values())}})
        service = self.services.get(path.removeprefix("/services/").partition("?")[0])
        return refusal(404, 1002, "Service Not Found") if service is None else reply({"status": {}, "body": service})

    def _healthy(self, body: Any) -> Reply:
        last = self.sent[-1]
        return predicted(body) if last.path == "/predict" else reply(status=201 if last.method == "PUT" else 200)


def _assert_harmless(sent: Sent) -> None:
    """What no request of a client may be (recordings 11, 28, 09, 02 of torch 15b)."""
    assert (sent.json is None) == (sent.method in ("GET", "DELETE"))
    _assert_unmixed(sent.json)
    if sent.path == "/predict":
        assert len(sent.json["ids"]) == len(sent.json["data"]) == len(set(sent.json["ids"]))
        size = sent.json["parameters"]["mllib"]["net"]["test_batch_size"]
        assert isinstance(size, int)
        assert size >= 1
        assert all(uri and not set("^\0") & set(uri) for uri in sent.json["ids"])


def _assert_unmixed(value: Any) -> None:
    if isinstance(value, dict):
        for part in value.values():
            _assert_unmixed(part)
    elif isinstance(value, list):
        assert len({type(part) for part in value}) < 2, f"an array of mixed types can kill a server: {value}"
        assert None not in value
        for part in value:
            _assert_unmixed(part)


@pytest.fixture
def transport() -> RecordingTransport:
    """A server that answers everything well until told otherwise."""
    return RecordingTransport()


@pytest.fixture
def client(transport: RecordingTransport) -> Client:
    """A client of that server, which waits for nothing between tries."""
    return Client(transport=transport, retries=Retries(sleep=lambda _: None))


@pytest.fixture
def wire_answers() -> Any:
    """Ways to write answers: ``reply``, ``refusal``, ``predicted``, ``features`` and the transport's class."""
    return _Answers


class _Answers:
    reply = staticmethod(reply)
    refusal = staticmethod(refusal)
    predicted = staticmethod(predicted)
    features = staticmethod(features)
    transport = RecordingTransport


@pytest.fixture
def draw() -> Callable[..., Image.Image]:
    """Draws a small picture that is unlike those of other seeds."""

    def picture(seed: int = 0, size: tuple[int, int] = (16, 16)) -> Image.Image:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return picture


@pytest.fixture
def as_sent() -> Callable[[Any], str]:
    """The base64 that a picture is sent as."""
    from ddsim.pictures.encoding import encode

    return lambda picture: base64.b64encode(encode(picture).data).decode()


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Milvus: one for all processes of a test run, which ends with the last of them."""
    from milvuses import running, skip_without

    skip_without()
    folder = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own below that of the run.
    folder = folder.parent if folder.name.startswith("popen-") else folder
    with running(folder / "milvus") as url:
        yield url
