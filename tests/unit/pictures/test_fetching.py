"""Pictures at addresses: what is fetched, what is refused before it is asked, and what never ends."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from ddsim.errors import ImageError, ImageUnavailable
from ddsim.pictures import Fetching, fetch, is_address, is_public, parts_of, shown_url

PRIVATE = Fetching(allow_private=True)
OK = "HTTP/1.1 200 OK\r\n"


class Door:
    """A server that answers each path with the bytes that are set for it, and notes what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, list[bytes]] = {}
        self.asked: list[str] = []
        self.stop = threading.Event()
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """An address here."""
        return f"http{'s' if self._context else ''}://{host}:{self.port}{path}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                self._answer(self._context.wrap_socket(connection, server_side=True) if self._context else connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (part := connection.recv(1000)):
                    return
                head += part
            self.asked.append(head.decode("ascii"))
            path = head.split(b" ")[1].decode("ascii")
            for number, piece in enumerate(
                self.answers.get(path, [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"])
            ):
                if number:
                    self.stop.wait(0.05)  # what comes drop by drop
                connection.sendall(piece)

    def close(self) -> None:
        """End it."""
        self.stop.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)


@pytest.fixture
def door(loopback: None) -> Iterator[Door]:
    """Such a server."""
    door = Door()
    yield door
    door.close()


def whole(content: bytes, *headers: str) -> list[bytes]:
    """An answer with this content."""
    lines = "".join(f"{line}\r\n" for line in (f"Content-Length: {len(content)}", *headers))
    return [f"{OK}{lines}\r\n".encode() + content]


def refused(url: str, fetching: Fetching = PRIVATE) -> str:
    """Why an address is refused."""
    with pytest.raises(ImageError) as caught:
        fetch(url, fetching)
    assert caught.value.source == shown_url(url)
    return caught.value.reason


def test_what_is_an_address() -> None:
    """Plain and encrypted ones alone, in any letters."""
    assert is_address("https://x/y.jpg")
    assert is_address("HTTP://x")
    assert not any(map(is_address, ("ftp://x/y", "file:///etc/passwd", "photo.jpg", "http:/x", "-")))


def test_a_picture_is_fetched(door: Door) -> None:
    """Its bytes come as they are; names with blanks and letters beyond ASCII work; nothing is said of who asks."""
    door.answers["/a%20b/st%C3%BChle.jpg?x=%20y"] = whole(b"picture")
    assert fetch(door.url("/a b/stühle.jpg?x= y"), PRIVATE) == b"picture"
    (head,) = door.asked
    assert f"Host: 127.0.0.1:{door.port}\r\n" in head
    assert "Accept-Encoding: identity" in head


def test_a_picture_without_a_length(door: Door) -> None:
    """Chunks, and content that ends with the connection."""
    door.answers["/chunks"] = [f"{OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".encode()]
    door.answers["/end"] = [f"{OK}\r\nabc".encode()]
    assert fetch(door.url("/chunks"), PRIVATE) == b"abcde"
    assert fetch(door.url("/end"), PRIVATE) == b"abc"


@pytest.mark.parametrize("told", [True, False])
def test_too_much(door: Door, told: bool) -> None:
    """What says that it is too long is not read; what does not is given up at the limit."""
    door.answers["/x"] = whole(b"x" * 2000) if told else [f"{OK}\r\n".encode() + b"x" * 2000]
    reason = "more than the limit of 1000 bytes (upload.max_bytes)"
    assert refused(door.url("/x"), Fetching(max_bytes=1000, allow_private=True)) == reason


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
def test_too_slow(door: Door, begin: bytes) -> None:
    """What comes drop by drop is given up after the time for all of it, in headers and in the content."""
    drops = [b"HTTP/1.1 100 Continue\r\n\r\n"] if b"100" in begin else [b"x: y\r\n"]
    door.answers["/x"] = [begin, *drops * 10_000]
    assert refused(door.url("/x"), Fetching(seconds=0.3, allow_private=True)) == "it did not come within 0.3 seconds"


def test_too_silent(door: Door) -> None:
    """A server that says nothing at all is given up, too."""
    silent = socket.create_server(("127.0.0.1", 0))
    with silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        assert "0.2 seconds" in refused(url, Fetching(seconds=0.2, allow_private=True))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], "the server there answers 404 Not Found"),
        (whole(b"<html>", "Content-Type: text/html; charset=utf-8"), "is a web page, not a picture"),
        (whole(b"x", "Content-Encoding: gzip"), "comes packed as gzip"),
        ([f"{OK}Content-Length: 10\r\n\r\nabc".encode()], "it ended before all of it had come"),
        ([b"SSH-2.0-OpenSSH_9\r\n"], "it cannot be fetched: SSH-2.0"),
        ([], "it cannot be fetched: "),
        ([b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n"], "it cannot be fetched: got more than 100 headers"),
        ([b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"], "redirected more than 5 times"),
    ],
)
def test_answers_that_are_no_picture(door: Door, answer: list[bytes], reason: str) -> None:
    """Each is named."""
    door.answers["/x"] = answer
    assert refused(door.url("/x")).startswith(reason)


@pytest.mark.parametrize(
    ("answer", "passing"),
    [
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], True),
        ([b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\n\r\n"], True),
        ([f"{OK}Content-Length: 10\r\n\r\nabc".encode()], True),
        (whole(b"<html>", "Content-Type: text/html; charset=utf-8"), True),
        ([], True),
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], False),
        (whole(b"x", "Content-Encoding: gzip"), False),
    ],
)
def test_what_may_be_over_soon(door: Door, answer: list[bytes], passing: bool) -> None:
    """It is told from what is said of the picture itself."""
    door.answers["/x"] = answer
    with pytest.raises(ImageError) as caught:
        fetch(door.url("/x"), PRIVATE)
    assert isinstance(caught.value, ImageUnavailable) == passing


def test_nobody_there_may_be_over_soon(door: Door) -> None:
    """Neither a closed port nor a server that says nothing speaks of the picture."""
    with pytest.raises(ImageUnavailable, match="refused"):
        fetch("http://127.0.0.1:9/x", PRIVATE)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ImageUnavailable, match="within"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x", Fetching(seconds=0.2, allow_private=True))


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x.jpg",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:0/x",
        "http://[::1/x",
        "http://x/a\nb",
        "http://\x00/",
        "https://x/\r\nHost: y",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """It is refused before anything is asked."""
    assert refused(url).startswith("is no address such as https://")


def test_secrets_are_not_sent() -> None:
    """An address with a password in it is refused, and shown without it."""
    assert shown_url("http://me:secret@127.0.0.1/a@2x.jpg") == "http://***@127.0.0.1/a@2x.jpg"
    assert shown_url("http://me:sec/ret@127.0.0.1/x") == shown_url("http://me@:secret@127.0.0.1/x")
    assert shown_url("http://127.0.0.1/a@2x.jpg") == "http://127.0.0.1/a@2x.jpg"
    assert shown_url("me:secret@127.0.0.1:99999") == "***@127.0.0.1:99999"
    assert "user name or password" in refused("http://me:secret@127.0.0.1/x")


def test_a_redirect_is_followed(door: Door) -> None:
    """To another path, and to another address."""
    door.answers["/a"] = [b"HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"]
    door.answers["/b"] = [f"HTTP/1.1 307 Moved\r\nLocation: {door.url('/c')}\r\nContent-Length: 0\r\n\r\n".encode()]
    door.answers["/c"] = whole(b"found")
    assert fetch(door.url("/a"), PRIVATE) == b"found"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:70/x", "http://:1/"])
def test_a_redirect_to_something_else(door: Door, target: str) -> None:
    """Nothing but http and https is followed."""
    door.answers["/a"] = [f"HTTP/1.1 302 Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()]
    assert refused(door.url("/a")) == "redirects to no such address"


def test_a_redirect_that_gives_up_encryption() -> None:
    """From https nothing leads to http; the other way round is fine."""
    with pytest.raises(ImageError, match="redirects from https to http"):
        parts_of("https://shop.example/a.jpg", "http://shop.example/a.jpg")
    assert parts_of("http://shop.example/a.jpg", "https://shop.example/a.jpg").scheme == "https"


Resolve = Callable[..., list[Any]]


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let every name stand for these addresses, the first time for the first of them; gives the names asked for."""
    asked: list[str] = []
    turns = iter(answers)

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        kind = socket.AF_INET
        return [(kind, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(turns)]

    monkeypatch.setattr("ddsim.pictures.fetching.socket.getaddrinfo", resolve)
    return asked


def test_a_redirect_into_the_own_network(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public address that redirects to a private one is refused there."""
    connected = socket.socket()
    connected.connect(("127.0.0.1", door.port))
    names(monkeypatch, ["93.184.215.14"], ["10.0.0.7"])
    monkeypatch.setattr("ddsim.pictures.fetching.socket.create_connection", lambda *_: connected)
    door.answers["/a"] = [b"HTTP/1.1 302 Moved\r\nLocation: http://inside/\r\nContent-Length: 0\r\n\r\n"]
    assert "inside is 10.0.0.7, of this machine or its own network" in refused("http://outside/a", Fetching())


def test_an_address_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A private address that is given as such is not explained by itself."""
    names(monkeypatch, ["127.0.0.1"])
    assert refused("http://127.0.0.1/x", Fetching()).startswith("127.0.0.1 is of this machine or its own network")


def test_a_name_is_resolved_once(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was looked at, whatever the name server would say a moment later."""
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], _: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    asked = names(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    monkeypatch.setattr("ddsim.pictures.fetching.socket.create_connection", connect)
    assert refused("http://rebinding/x", Fetching()) == "it cannot be fetched: Connection refused"
    assert (asked, connected) == (["rebinding"], [("93.184.215.14", 80)])


def test_one_private_address_spoils_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a public and a private address is not asked at either."""
    names(monkeypatch, ["93.184.215.14", "192.168.1.1"])
    assert "--allow-private" in refused("http://mixed/x", Fetching())


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "0", "127.1", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_not_asked(door: Door, host: str) -> None:
    """However its address is written."""
    assert "of this machine or its own network" in refused(f"http://{host}:{door.port}/x", Fetching())
    assert door.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("64:ff9b::7f00:1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.1.1", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),  # noqa: S104  an address to refuse
        ("::", False),
        ("ff0e::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    """Those of the internet at large; not those of links, networks, groups and tunnels."""
    assert is_public(ipaddress.ip_address(address)) is public


def test_a_name_that_leads_nowhere(loopback: None) -> None:
    """It is said of the name."""
    assert refused("http://nobody.invalid/x").startswith("the name nobody.invalid leads nowhere")


def test_encrypted(loopback: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is checked against the name; one that nobody vouches for is refused."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    door = Door(context)
    door.answers["/x"] = whole(b"picture")
    try:
        assert refused(door.url("/x", "localhost")).startswith("its certificate is not trusted (")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert fetch(door.url("/x", "localhost"), PRIVATE) == b"picture"
        assert refused(door.url("/x", "127.0.0.1")).startswith("its certificate is not trusted (")
    finally:
        door.close()
