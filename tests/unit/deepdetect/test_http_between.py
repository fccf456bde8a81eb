"""What stands between a client and its server: certificates, proxies of the environment, names."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from awaited import AwaitedTransport

from ddsim.config import load
from ddsim.deepdetect import Client, HttpTransport, Retries, Timeout
from ddsim.errors import DDSimError, InvalidRequest, Unconnectable
from ddsim.search import transport_to
from ddsim.vectors import Patience

LIMITS = Timeout(connect=5.0, read=20.0)
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
INFO = b'{"status": {"code": 200}, "head": {"version": "0.25.0", "services": []}}'


class Answering(http.server.BaseHTTPRequestHandler):
    """Says what a DeepDetect server says of itself."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(INFO)))
        self.end_headers()
        self.wfile.write(INFO)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own environment counts."""
    for name in (*VARIABLES, *PROXIES, *(name.upper() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """An authority of one's own, and its certificate's file."""
    made = trustme.CA()
    file = tmp_path / "authority.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


@pytest.fixture
def encrypted(loopback: None, authority: tuple[trustme.CA, Path]) -> Iterator[str]:
    """A server on this machine with a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is the subject
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=[HttpTransport, AwaitedTransport], ids=["threads", "tasks"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Both transports: what lies on the way is the same for both."""
    return request.param


def asked(transport: Any) -> int:
    """The status of an answer."""
    try:
        return transport.exchange("GET", "/info", None, LIMITS).status
    finally:
        transport.close()


def failing(url: str) -> DDSimError:
    """The error of a client that may try again, and must not."""
    waits: list[float] = []
    with Client(url, retries=Retries(tries=5, sleep=waits.append)) as client, pytest.raises(Unconnectable) as raised:
        client.info()
    assert waits == [], "waiting cannot help"
    return raised.value


@pytest.mark.parametrize("url", ["encrypted", "plain", "proxied"])
def test_tasks_are_told_the_same(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, dead: str, url: str
) -> None:
    """A certificate that is not trusted, https where there is none, a dead proxy: the words are those for threads."""
    if url == "proxied":
        monkeypatch.setenv("http_proxy", f"http://me:secret@{dead}")
    address = {
        "encrypted": lambda: str(request.getfixturevalue("encrypted")),
        "plain": lambda: str(request.getfixturevalue("plain")),
        "proxied": lambda: "http://dd.example:8080",
    }[url]()
    said = []
    for transport in (HttpTransport(address), AwaitedTransport(address)):
        with pytest.raises(Unconnectable) as raised:
            transport.exchange("GET", "/info", None, LIMITS)
        transport.close()
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert "secret" not in said[1]


# Certificates


@pytest.mark.parametrize("variable", VARIABLES[:3])
def test_certificates_of_the_environment_count_on_this_machine_too(
    encrypted: str, kind: Any, authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Only its proxies are not for servers of this machine."""
    monkeypatch.setenv(variable, str(authority[1]))
    assert asked(kind(encrypted)) == 200


def test_a_configuration_names_the_certificates_file(
    encrypted: str, authority: tuple[trustme.CA, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies beside the configuration; what is named there counts before the environment."""
    assert asked(HttpTransport(encrypted, verify=str(authority[1]))) == 200
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
    config = tmp_path / "own.yaml"
    config.write_text(
        f"server: {{url: '{encrypted}', verify: authority.pem}}\ncatalogue: pictures\nsimilarity:\n"
        "  {def: /m/d.prototxt, weights: /m/w.caffemodel, repository: /m/own, nclasses: 5, extract_layer: pool}\n",
        "utf-8",
    )
    transport = transport_to(load(config))
    assert transport.exchange("GET", "/info", None, LIMITS).status == 200
    transport.close()


def test_a_certificate_that_is_not_trusted_fails_at_once(encrypted: str) -> None:
    """It says which setting and which variable name the certificate."""
    message = str(failing(encrypted))
    assert "certificate of https://127.0.0.1" in message
    assert "verify: FILE" in message
    assert "SSL_CERT_FILE" in message


def test_a_certificate_for_another_name_fails_at_once(
    encrypted: str, authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of the encryption library tell the two apart."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    assert "ostname mismatch" in str(failing(encrypted.replace("127.0.0.1", "localhost")))


@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificates_file_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    """Before anything is sent, and with the name of what names it."""
    gone = str(tmp_path / "gone.pem")
    if variable:
        monkeypatch.setenv(variable, gone)
    with pytest.raises(InvalidRequest, match=rf"gone\.pem, which .*{variable or 'server.verify'}"):
        HttpTransport("https://dd.example", verify=None if variable else gone)
    HttpTransport("http://dd.example").close()


@pytest.fixture
def plain(loopback: None) -> Iterator[str]:
    """The address of a server without encryption, with one letter too many."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_https_to_a_server_without_it_fails_at_once(plain: str) -> None:
    """The address has one letter too many."""
    assert "write http://" in str(failing(plain))


# Proxies and names


@pytest.fixture
def dead(loopback: None) -> str:
    """An address of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("scheme", "variable"),
    [("http", "http_proxy"), ("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY"), ("http", "all_proxy")],
)
def test_a_dead_proxy_is_not_taken_for_a_dead_server(
    dead: str, monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str
) -> None:
    """The proxy is named, the variable that it comes from, and the one that keeps it out; its password is not."""
    monkeypatch.setenv(variable, f"http://me:secret@{dead}")
    message = str(failing(f"{scheme}://dd.example:8080"))
    assert f"the proxy http://***@{dead}, which the environment variable {variable} names" in message
    assert "set NO_PROXY=dd.example" in message
    assert "secret" not in message


def test_a_proxy_that_no_proxy_keeps_out_is_not_blamed(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one for a server of this machine, which is never asked for through a proxy."""
    monkeypatch.setenv("http_proxy", "http://proxy.example")
    monkeypatch.setenv("no_proxy", "dd.example")
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    for url in ("http://dd.example", f"http://localhost:{dead.rpartition(':')[2]}"):
        assert "proxy" not in str(failing(url))


def no_such_name(*_: object, **__: object) -> None:
    """As the system answers."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_leads_nowhere_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run does not wait two minutes for it, either."""
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert "the name in http://dd.example leads nowhere (Name or service not known)" in str(
        failing("http://dd.example")
    )
    waits: list[float] = []
    with Client("http://dd.example", retries=0) as client, pytest.raises(Unconnectable):
        Patience(sleep=waits.append).wait_for(client, "lamps")
    assert waits == []
