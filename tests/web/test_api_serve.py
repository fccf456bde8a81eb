"""`ddsim serve`: what it prints, what it refuses, and that it ends well."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from sharing import first_alone
from shop import Shop
from typer.testing import CliRunner, Result

import ddsim.commands.serve as command
from ddsim.commands.serve import EPILOG, serve
from ddsim.config import write_shipped
from ddsim.web.security import Guarded

REPOSITORY = Path(__file__).parents[2]
RUN = "import typer; from ddsim.commands.serve import serve; typer.run(serve)"


def run(*arguments: str) -> Result:
    """Run the command until it ends by itself."""
    app = typer.Typer()
    app.command(epilog=EPILOG)(serve)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def process(shop: Shop, loopback: None) -> Iterator[subprocess.Popen[str]]:
    """The command at work in a process of its own, on a free port."""
    arguments = [sys.executable, "-c", RUN, "--config", str(shop.config), "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        yield running
        running.kill()


def connect(process: subprocess.Popen[str]) -> http.client.HTTPConnection:
    """A connection to the address that it prints."""
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/")
    return http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=60)


@pytest.mark.parametrize("word", first_alone([signal.SIGINT, signal.SIGTERM]))
def test_it_serves_until_it_is_told_to_stop(process: subprocess.Popen[str], shop: Shop, word: signal.Signals) -> None:
    """It prints its address, answers a search over a server of its own, and ends without an error."""
    door = connect(process)
    body = "like=lamp/a0.png&k=3&category=lamp"
    door.request("POST", "/api/search", body, {"content-type": "application/x-www-form-urlencoded"})
    answer = door.getresponse()
    assert answer.status == 200
    assert len(json.loads(answer.read())["neighbours"]) == 3
    assert "server" not in {name.lower() for name, _ in answer.getheaders()}
    door.close()
    process.send_signal(word)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "Ctrl-C stops it\n" in said
    assert "bed/nobody.png" in said, "what is wrong with product data is told without being asked for"
    assert said.endswith("\nstopped\n")
    assert "Traceback" not in said


def test_a_port_that_is_taken(shop: Shop, loopback: None) -> None:
    """Wrong use, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("--config", str(shop.config), "--port", str(other.getsockname()[1]))
    assert result.exit_code == 2
    assert "Choose another --port or --host" in result.stderr


def test_no_configuration(tmp_path: Path) -> None:
    """Wrong use, and the file is named."""
    result = run("--config", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize("library", ["fastapi", "uvicorn", "python_multipart", "jinja2", "prometheus_client"])
def test_what_the_page_needs_is_not_installed(shop: Shop, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """It says what to install."""
    for name in [name for name in sys.modules if name.startswith(("ddsim.web", f"{library}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    result = run("--config", str(shop.config))
    assert result.exit_code == 3
    assert "pip install '.[web]'" in result.stderr
    assert library in result.stderr


class _Door:
    """Stands for a socket that listens."""

    def __enter__(self) -> _Door:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def getsockname(self) -> tuple[str, int]:
        """Where."""
        return ("", 8000)


@pytest.mark.parametrize(
    ("host", "warned", "shown"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:8000/"),
        ("localhost", False, "http://localhost:8000/"),
        ("::1", False, "http://[::1]:8000/"),
        ("0.0.0.0", True, "http://127.0.0.1:8000/"),  # noqa: S104  nothing is bound
        ("::", True, "http://[::1]:8000/"),
        ("192.0.2.7", True, "http://192.0.2.7:8000/"),
    ],
)
def test_who_is_let_in(shop: Shop, monkeypatch: pytest.MonkeyPatch, host: str, warned: bool, shown: str) -> None:
    """Anything but this machine itself comes with a warning, and then any name of it will do."""
    import uvicorn

    hosts: list[object] = []
    monkeypatch.setattr(command, "_listening", lambda *_: _Door())
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, **_: hosts.append(_hosts_of(server)))
    result = run("--config", str(shop.config), "--host", host)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{shown}\n"
    assert ("no login" in result.stderr) == warned
    assert (hosts == [None]) == warned


def _hosts_of(server: object) -> object:
    return _guard_of(server)["hosts"]


def _guard_of(server: object) -> dict[str, object]:
    (guard,) = (one for one in server.config.app.user_middleware if one.cls is Guarded)  # type: ignore[attr-defined]
    return dict(guard.kwargs)


def test_behind_a_proxy(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, names and proxies that are given count; names are allowed besides this machine's own."""
    import uvicorn

    guards: list[dict[str, object]] = []
    monkeypatch.setattr(command, "_listening", lambda *_: _Door())
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, **_: guards.append(_guard_of(server)))
    options = ["--root-path", "/visual", "--allow-host", "Shop.example:443", "--trusted-proxy", "192.0.2.0/24"]
    result = run("--config", str(shop.config), "--host", "0.0.0.0", *options)  # noqa: S104  nothing is bound
    assert result.exit_code == 0, result.output
    (guard,) = guards
    assert guard["hosts"] == {"127.0.0.1", "localhost", "[::1]", "shop.example"}
    headers = [(b"x-forwarded-host", b"shop.example")]
    scope = {"type": "http", "path": "/", "scheme": "http", "headers": headers, "client": ("192.0.2.9", 1)}
    assert guard["front"].inside(scope)["path"] == "/visual/"  # type: ignore[attr-defined]
    assert guard["front"].host(scope) == "shop.example"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [["--root-path", "visual"], ["--allow-host", "https://shop.example"], ["--trusted-proxy", "nginx"]],
    ids=" ".join,
)
def test_what_stands_before_it_cannot_be(shop: Shop, options: list[str]) -> None:
    """Wrong use, with what to write instead."""
    result = run("--config", str(shop.config), *options)
    assert result.exit_code == 2
    assert "write it as" in result.stderr.replace("\n", " ")


def test_the_browser_is_opened_where_wanted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """--open goes to the address that is printed."""
    import uvicorn

    opened: list[str] = []
    monkeypatch.setattr(command, "_listening", lambda *_: _Door())
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    monkeypatch.setattr(command, "_open", opened.append)
    assert run("--config", str(shop.config)).exit_code == 0
    assert opened == []
    assert run("--config", str(shop.config), "--open").exit_code == 0
    assert opened == ["http://127.0.0.1:8000/"]


def test_nothing_indexed_is_told(empty: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts it hears at once that there is nothing to search, and what to run."""
    import uvicorn

    monkeypatch.setattr(command, "_listening", lambda *_: _Door())
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    result = run("--config", str(empty.config), "--catalogue", str(empty.catalogue))
    assert result.exit_code == 0
    assert f"ddsim index {empty.catalogue} --config {empty.config}" in result.stderr.replace("\n", "")


def test_help() -> None:
    """The help has examples."""
    result = run("--help")
    assert result.exit_code == 0
    assert "ddsim serve --config configs/demo.yaml --open" in result.output


@pytest.mark.parametrize("indexed", [None, "demo", "resnet50"])
def test_without_a_configuration(indexed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the demonstration alone its page is served; else that of the usual configuration."""
    import uvicorn

    monkeypatch.setattr(command, "_listening", lambda *_: _Door())
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    monkeypatch.delenv("DDSIM_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    write_shipped(Path("configs"))
    for name in {"demo", indexed} - {None}:
        if indexed:
            (tmp_path / ".ddsim" / str(name)).mkdir(parents=True)
            (tmp_path / ".ddsim" / str(name) / "current").write_text(str(tmp_path))
    result = run()
    assert result.exit_code == 0
    expected = "ddsim index --config configs/demo.yaml" if indexed == "demo" else "`ddsim index`"
    assert expected in result.stderr.replace("\n", "")


def test_logs_as_json(shop: Shop, loopback: None) -> None:
    """Each request is a line of JSON, without the part of the address that would show somebody's photo."""
    arguments = [sys.executable, "-c", RUN, "--config", str(shop.config), "--port", "0", "--json-logs", "--metrics"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            door = connect(running)
            door.request("GET", "/search?photo=secret")
            assert door.getresponse().read()
            door.request("GET", "/metrics")
            assert b'ddsim_searches_total{status="404"} 1.0' in door.getresponse().read()
            door.close()
            running.send_signal(signal.SIGTERM)
            said = running.communicate(timeout=60)[1]
        finally:
            running.kill()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["logger"] == "ddsim.web.watching"]
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("GET", "/search", 404),
        ("GET", "/metrics", 200),
    ]
    assert requests[0]["level"] == "INFO"
    assert requests[0]["seconds"] >= 0
    assert any("match no indexed picture" in line["message"] for line in lines)
    assert "secret" not in said
