"""A server's password: sent with every call, and found nowhere afterwards."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import orjson
import pytest
from shop import Shop, picture
from terminal import RUN, command, run

from ddsim import Timeout, connect, load
from ddsim.commands.app import app
from ddsim.embedded import EmbeddedTransport, Engine

pytestmark = pytest.mark.enable_socket

PASSWORD = "h0rse/staple@7"  # noqa: S105  of a server that lives as long as a test
WRITTEN = "h0rse%2Fstaple%407"
BASIC = "Basic " + base64.b64encode(f"shop:{PASSWORD}".encode()).decode()


class Guarded:
    """A DeepDetect server behind a door that wants this Authorization header."""

    def __init__(self, wanted: str) -> None:
        engine = Engine()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                status, content = 401, b'{"status": {"code": 401, "msg": "Unauthorized"}}'
                if self.headers.get("Authorization") == wanted:
                    json = orjson.loads(body) if body else None
                    reply = EmbeddedTransport(engine).exchange(self.command, self.path, json, Timeout(5, 60))
                    status, content = reply.status, reply.body
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  the base class's names

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        """Answer nothing any more."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    """A server that wants user and password."""
    server = Guarded(BASIC)
    yield server
    server.close()


@pytest.fixture
def shop(tmp_path: Path, guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose configuration says the password in the server's address."""
    root = tmp_path / "work"
    root.mkdir()
    shop = Shop(root)
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png")
    configure(shop, f"http://shop:{WRITTEN}@{guarded.host}")
    monkeypatch.chdir(root)
    return shop


def configure(shop: Shop, server: object) -> None:
    """A configuration for a server elsewhere."""
    places = {part: {"repository": str(shop.root / part)} for part in ("classification", "similarity")}
    similarity = {**places["similarity"], "extract_layer": "fc1"}
    shop.configure(
        server=server, classification=places["classification"], similarity=similarity, index={"backend": "local"}
    )


def shown(*outputs: str) -> list[str]:
    """The outputs in which one of the password's spellings stands."""
    spellings = (PASSWORD, WRITTEN, BASIC.partition(" ")[2])
    return [text for text in outputs if any(one in text for one in spellings)]


def test_a_password_is_sent_and_kept_nowhere(
    shop: Shop, guarded: Guarded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No output, no log, no file and no service says it, whether all goes well or nothing does."""
    caplog.set_level(logging.DEBUG)
    query = tmp_path / "query.png"
    picture(99).save(query)
    results = [
        command(shop, "index", "--verbose"),
        command(shop, "index", "--json"),
        command(shop, "search", query, "--json"),
        command(shop, "doctor", "--verbose"),
        command(shop, "doctor", "--json"),
        run("doctor", "--url", f"http://shop:{WRITTEN}@{guarded.host}", "--quick", "--json"),
        run("config", "show", shop.config),
        run("config", "show", shop.config, "--json"),
        run("evaluate", shop.config, "--json"),
    ]
    assert [result.exit_code for result in results] == [0] * len(results), [one.output for one in results]
    services = orjson.dumps([vars(one) for one in services_of(shop)], default=str).decode()
    guarded.close()
    failing = [command(shop, "search", query), command(shop, "doctor"), command(shop, "index", "--wait", 0)]
    assert {result.exit_code for result in failing} == {3}
    outputs = [text for result in (*results, *failing) for text in (result.stdout, result.stderr)]
    assert shown(*outputs, caplog.text, services) == []
    files = [path for path in shop.root.rglob("*") if path.is_file() and path != shop.config]
    assert {"results.json", "best.yaml", "manifest.sqlite"} <= {path.name for path in files}
    assert [path for path in files if shown(path.read_bytes().decode("latin-1"))] == []


def services_of(shop: Shop) -> list[object]:
    """The services as the server describes them."""
    with connect(shop.settings) as client:
        return [client.get_service(one.name) for one in client.info().services]


def test_a_wrong_password_is_not_shown_either(shop: Shop, guarded: Guarded) -> None:
    """The server's refusal names the call, and nothing of what was sent."""
    configure(shop, f"http://shop:hunter2@{guarded.host}")
    result = command(shop, "index")
    assert result.exit_code == 3
    assert "401" in result.stderr
    assert "hunter2" not in result.output


def test_a_configuration_that_was_shown_wants_the_password_from_the_environment(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `config show` prints is the same configuration again once a variable holds the password."""
    printed = run("config", "show", shop.config).stdout
    assert "password: ${DDSIM_SERVER_PASSWORD}" in printed
    again = shop.root / "again.yaml"
    again.write_text(printed, "utf-8")
    assert "DDSIM_SERVER_PASSWORD is not set" in run("config", "show", again).stderr
    monkeypatch.setenv("DDSIM_SERVER_PASSWORD", PASSWORD)
    assert load(again) == load(shop.config)


def test_a_token_is_sent_as_one(shop: Shop) -> None:
    """A server that wants a bearer token gets it from the configuration, or from the environment through it."""
    server = Guarded("Bearer t0k3n")
    configure(shop, {"url": f"http://{server.host}", "token": "${TOKEN}"})
    result = RUN.invoke(app, ["index", "--config", str(shop.config)], env={"TOKEN": "t0k3n"})
    server.close()
    assert result.exit_code == 0, result.output
    assert "t0k3n" not in result.output


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("http://me:sesame@host:99999", "expected a server's address"),
        ("http://me:ses/ame@host", "expected a server's address"),
        ("http://me:sesame", "expected a server's address"),
        ("ftp://me:sesame@host", "'ftp://host' given"),
        ("http://me:sesame@host/?q=1", "expected a server's address"),
        ("http://me:ses ame@ho st", "expected a server's address"),
        ("http://me:ses$ame@host", "a lone $"),
        ({"url": "http://h", "password": 777333}, "Put it in quotes"),
        ({"url": "http://h", "password": ["sesame"]}, "password: "),
        ({"url": "http://h", "token": "sesame", "password": "sesame"}, "leave one out"),
        ({"url": "http://h", "pasword": "sesame"}, "did you mean password?"),
        ({"url": "http://h", "token": "a$sesame"}, "a lone $"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_without_the_password(shop: Shop, server: object, said: str) -> None:
    """The message of a configuration that cannot be read quotes nothing that could be a secret."""
    configure(shop, server)
    result = command(shop, "index")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not [word for word in ("sesame", "ses/ame", "ses ame", "ses$ame", "777333") if word in result.stderr]


def test_a_password_with_leading_zeros_is_not_quoted(shop: Shop) -> None:
    """YAML's trouble with a number is told without the number."""
    text = shop.config.read_text("utf-8").replace("server: ", "server:\n  password: 0123456\n  url: ")
    shop.config.write_text(text, "utf-8")
    result = command(shop, "index")
    assert "put it in quotes" in result.stderr
    assert "0123456" not in result.stderr
