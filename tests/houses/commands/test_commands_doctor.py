"""`ddsim doctor` as people run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from shop import Shop, plain
from terminal import RUN, error, error_line
from typer.testing import Result

from ddsim.commands import doctor as command
from ddsim.doctor import TRAPS
from ddsim.embedded import EmbeddedServer, Engine

APP = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown")
APP.command(epilog=command.EPILOG)(command.doctor)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with a lamp, its label mapped."""
    shop = Shop(tmp_path, {"categories": {"n00000002": "lamp"}})
    shop.add_picture("lamp/1.png", plain("red"))
    return shop


def doctor(*args: object) -> Result:
    """Run the command."""
    result = RUN.invoke(APP, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def configured(shop: Shop, *args: object) -> Result:
    """Run it with the shop's configuration."""
    return doctor("--config", shop.config, *args)


def as_json(result: Result) -> Any:
    """What it printed."""
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_all_well(shop: Shop) -> None:
    """Server and checks are printed within 80 columns; warnings are no failure."""
    result = configured(shop)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "DeepDetect v0.25.0 (9a3935bb3aa8), embedded in ddsim"
    assert max(map(len, lines)) <= 80
    assert "  similarity  faiss" in lines
    assert "too-few-ids" not in result.stdout
    assert "  ok      similarity network      layer pool1 gives 392 values" in lines
    assert f"run`ddsimindex--config{shop.config}`withthis" in "".join(result.stdout.split())
    assert lines[-1] == "11 checks: 10 ok, 1 warning; 27 traps, a work-around for each"
    assert sorted(path.name for path in shop.root.iterdir()) == ["catalogue", "shop.yaml"]


def test_the_traps_of_the_server_come_after_the_checks(shop: Shop) -> None:
    """Who asks for them, by --verbose, reads first what is wrong here."""
    lines = configured(shop, "--verbose").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines.index("Checks") < lines.index("Traps of this server, each with what ddsim does about it")
    assert any("too-few-ids: every picture gets an id" in line for line in lines)
    assert any("(unproven)" in line for line in lines)


def test_something_failed(shop: Shop) -> None:
    """Exit code 1 where something configured cannot work."""
    shop.configure(similarity={"weights": str(shop.root / "nosuch.caffemodel")})
    result = configured(shop)
    assert result.exit_code == 1
    assert "  failed  similarity network" in result.stdout
    assert "1 failed" in result.stdout


def test_json(shop: Shop) -> None:
    """--json says all of it."""
    found = as_json(configured(shop, "--json"))
    assert found["server"]["version"] == "v0.25.0"
    assert found["server"]["similarity_engine"] == "faiss"
    assert found["server"]["services"] == []
    assert {trap["name"] for trap in found["traps"]} < {trap.name for trap in TRAPS}
    assert all(trap["on"] for trap in found["traps"])
    assert {check["status"] for check in found["checks"]} == {"ok", "warning"}
    assert found["conformance"] is None
    assert found["failed"] is False


def test_quick(shop: Shop) -> None:
    """--quick says what it leaves out."""
    assert "not tried: --quick" in configured(shop, "--quick").stdout


def test_conformance(shop: Shop) -> None:
    """--conformance counts the calls, in text and in JSON."""
    result = configured(shop, "--quick", "--conformance")
    assert result.exit_code == 0
    assert " as recorded, 0 different, 0 not tried" in result.stdout
    found = as_json(configured(shop, "--quick", "--conformance", "--json"))["conformance"]
    assert {(one["difference"], one["untried"]) for one in found} == {("", "")}
    assert found[0]["expected"] == found[0]["got"] == {"status": 200, "dd_code": None}


def test_over_http(shop: Shop, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """--url names another server; differences come with what was recorded and where."""
    with EmbeddedServer(Engine(profile="no-simsearch")) as server:
        result = configured(shop, "--url", server.url, "--conformance", "--verbose")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"DeepDetect v0.25.0 (9a3935bb3aa8), {server.url}\n")
    assert "  failed  index " in result.stdout
    assert "no-similarity-search, OFF: " in result.stdout
    assert "  differs search for what is indexed: no nns\n          recordings/wire/21-sim" in result.stdout
    assert "1 without a work-around" in result.stdout


def test_untried(shop: Shop, loopback: None) -> None:
    """What could not be tried is counted, with the reason."""
    with EmbeddedServer(Engine(profile="torch-v0.29")) as server:
        result = configured(shop, "--url", server.url, "--conformance", "--verbose")
    assert result.exit_code == 1
    assert "1 different, 46 not tried" in result.stdout
    assert "create without a network: 400/1006 instead of 201" in result.stdout
    assert "and 45 after it: it needs a service" in " ".join(result.stdout.split())


def test_an_address_alone(tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration the networks of the official image are tried, and nothing of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DDSIM_URL", raising=False)
    with EmbeddedServer(Engine(root=tmp_path)) as server:
        result = doctor("--url", server.url)
    assert result.exit_code == 1
    assert "/opt/models/ddsim/resnet50/similar" in result.stdout
    assert "catalogue" not in result.stdout.partition("Checks")[2]


def test_no_server(shop: Shop, loopback: None) -> None:
    """Exit code 3 where nobody answers, with what to start."""
    text = error_line(configured(shop, "--url", "http://127.0.0.1:1"), 3)
    assert "no server answers at http://127.0.0.1:1" in text


@pytest.mark.parametrize(
    "arguments", [(), ("--config", "none.yaml"), ("--url", "http://x", "--config", "none.yaml"), ("--url", "ftp://x")]
)
def test_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """A configuration that is not there, and an address that is none, end with 2."""
    monkeypatch.chdir(tmp_path)
    error_line(doctor(*arguments), 2)


def test_interrupted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "diagnose", interrupt)
    assert error(configured(shop), 130) == "Interrupted.\n"


def test_names_that_are_odd(shop: Shop) -> None:
    """What stands in names is printed, and never taken for markup or for the terminal's commands."""
    shop.add_picture("[red]x\x1b/1.png", plain("red"))
    result = configured(shop, "--quick")
    assert "no label stands for these folders: [red]x\\x1b" in " ".join(result.stdout.split())


def test_help() -> None:
    """It shows examples and says what the exit codes mean."""
    text = doctor("--help").stdout
    assert "Exit codes: 0" in text
    assert text.count("ddsim doctor") >= 4
