"""The command line as a whole, `ddsim config` and `ddsim server`."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import urllib.request
from pathlib import Path
from typing import NoReturn

import pytest
import yaml
from shop import Shop
from terminal import RUN, error, error_line, interrupt, python, run

from ddsim import load
from ddsim.commands.app import app
from ddsim.config import SCHEMA, shipped
from ddsim.embedded import EmbeddedServer
from ddsim.evaluation import read_experiments


def test_config_init_and_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init --all` writes the shipped configurations; `show` prints one complete, which is a configuration again."""
    monkeypatch.chdir(tmp_path)
    result = run("config", "init", "--all")
    assert result.exit_code == 0
    assert "wrote configs/demo.yaml\n" in result.stdout
    assert "wrote configs/resnet50.yaml\n" in result.stdout
    shown = run("config", "show", "configs/demo.yaml")
    assert shown.exit_code == 0
    (tmp_path / "again.yaml").write_text(shown.stdout)
    assert load("again.yaml") == load("configs/demo.yaml")


def test_configurations_for_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json `init` names what it wrote, nothing the second time, and `show` has the same as without."""
    monkeypatch.chdir(tmp_path)
    for written in (["configs/ddsim.schema.json", "configs/photos.yaml"], []):
        assert json.loads(run("config", "init", "--json").stdout) == {"written": written}
    shown = json.loads(run("config", "show", "photos", "--json").stdout)
    assert shown == yaml.safe_load(run("config", "show", "photos").stdout)
    assert shown["name"] == "photos"


def test_config_init_writes_the_one_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name it is the one for photos, with what belongs to it; other commands take the only one there is."""
    monkeypatch.chdir(tmp_path)
    result = run("config", "init")
    assert sorted(path.name for path in (tmp_path / "configs").rglob("*")) == ["ddsim.schema.json", "photos.yaml"]
    assert result.stdout.endswith("next: ddsim index FOLDER --config photos\n")
    assert "configs/photos.yaml" in error_line(run("index"), 2)
    run("config", "init", "resnet50")
    assert (tmp_path / "configs" / "categories" / "furniture.yaml").is_file()
    assert "configs/resnet50.yaml" in error_line(run("index"), 2)


def test_config_schema() -> None:
    """It is printed as the file that comes with ddsim."""
    assert run("config", "schema").stdout == (shipped()["photos.yaml"].parent / SCHEMA).read_text(encoding="utf-8")


def test_config_init_of_one_and_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and --all contradict one another: nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert "--all" in error_line(run("config", "init", "demo", "--all"), 2)
    assert list(tmp_path.iterdir()) == []


def test_config_init_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `init` leaves changed files alone and says so; --overwrite does not."""
    monkeypatch.chdir(tmp_path)
    run("config", "init", "demo", "--folder", "mine")
    (tmp_path / "mine" / "demo.yaml").write_text("mine")
    again = run("config", "init", "demo", "--folder", "mine")
    assert again.exit_code == 0
    assert "--overwrite" in again.stdout
    assert (tmp_path / "mine" / "demo.yaml").read_text() == "mine"
    assert "wrote mine/demo.yaml\n" in run("config", "init", "demo", "--folder", "mine", "--overwrite").stdout


def test_config_init_of_an_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it compares comes with it, and the next step is to compare: an index is made of one configuration."""
    monkeypatch.chdir(tmp_path)
    result = run("config", "init", "experiments/demo-layers")
    assert result.stdout.endswith("next: ddsim evaluate experiments/demo-layers --catalogue FOLDER\n")
    assert (tmp_path / "configs" / "demo.yaml").is_file()
    found = read_experiments([Path("experiments/demo-layers")])
    assert [one.problem for one in found] == [None] * 3
    run("config", "init", "experiments/furniture", "--folder", "mine")
    assert (tmp_path / "mine" / "categories" / "furniture.yaml").is_file()
    assert [one.problem for one in read_experiments([Path("mine/experiments/furniture.yaml")])] == [None] * 8


def test_config_init_in_the_place_of_an_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds nothing to be kept, and other commands say that `ddsim config init` writes a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").touch()
    assert "is empty; `ddsim config init` writes" in error_line(run("config", "show", "demo"), 2)
    assert "wrote configs/demo.yaml\n" in run("config", "init", "demo").stdout
    assert run("config", "show", "demo").exit_code == 0


def test_config_init_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is left that would pass for a configuration, and the error names one."""
    monkeypatch.chdir(tmp_path)

    def full(self: Path, data: bytes) -> int:
        del data
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "error: configs/ddsim.schema.json: cannot be written: No space left" in error_line(
        run("config", "init", "demo"), 2
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("arguments", [("show", "nowhere.yaml"), ("init", "--folder", "taken"), ("init", "nowhere")])
def test_config_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """A missing file or name, or a folder that cannot be made, is named with exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    assert arguments[-1] in error_line(run("config", *arguments), 2)


def test_the_warning_is_for_others(tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens to more than this machine is warned; on Ctrl-C the server ends with 0."""
    monkeypatch.setattr(EmbeddedServer, "wait", interrupt)
    for host, warned in (("0.0.0.0", True), ("127.0.0.1", False), ("localhost", False)):  # noqa: S104
        result = run("server", "--host", host, "--port", 0, "--root", tmp_path)
        assert result.exit_code == 0
        assert result.stdout == ""
        assert ("no login" in result.stderr) == warned
        assert "listening on http://" in result.stderr
        assert "stopping" in result.stderr


def test_a_port_that_is_taken(loopback: None) -> None:
    """Exit code 2 where somebody else listens there, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = error(run("server", "--port", port), 2)
    assert f"cannot listen on 127.0.0.1:{port}: " in text
    assert "--port" in text


@pytest.mark.parametrize(
    "words", [("index", ""), ("search", "--config", "demo", ""), ("--version", ""), ("--json", "--root=")]
)
def test_empty_words_are_refused(words: tuple[str, ...]) -> None:
    """As a path one would be the current folder: exit code 2, with its place."""
    assert f"argument {len(words)} is empty" in error(run(*words), 2)


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    """A server that could see nothing does not start."""
    assert "Invalid value for '--root'" in error(run("server", "--root", tmp_path / "missing"), 2)


@pytest.mark.parametrize("host", ["nobody.invalid", "[red]", "a" * 70, "256.1.1.1"])
def test_a_host_that_is_none(loopback: None, host: str) -> None:
    """Exit code 2 for an address that cannot be had, printed as it was given."""
    assert f"cannot listen on {host}:0: " in error(run("server", "--port", 0, "--host", host), 2)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none(port: str) -> None:
    """Exit code 2 for what is no port."""
    assert "--port" in error(run("server", "--port", port), 2)


def test_a_server_of_its_own(tmp_path: Path, loopback: None) -> None:
    """`ddsim server` takes a free port, says which and what it sees, answers there, and ends with 0 on Ctrl-C."""
    process = python("-m", "ddsim", "server", "--port", "0", cwd=tmp_path)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.match(r"listening on (http://127\.0\.0\.1:\d+) ", said)
        assert found, said
        seen = process.stderr.readline()
        with urllib.request.urlopen(f"{found[1]}/info", timeout=30) as answer:  # noqa: S310
            assert json.load(answer)["head"]["services"] == []
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert out == ""
    assert seen == f"it sees models and repositories below {tmp_path.resolve()} only\n"
    # Whoever is interrupted just behind a line writes that once more.
    assert err.splitlines()[-1] == "stopping"


def test_modules_that_can_be_run() -> None:
    """`python -m ddsim` and `python -m ddsim.index` work, the latter without the warning of a module imported twice."""
    runs = [python("-m", "ddsim", "--version"), python("-W", "error", "-m", "ddsim.index", "--help")]
    (version, version_err), (usage, usage_err) = (process.communicate(timeout=60) for process in runs)
    assert [process.returncode for process in runs] == [0, 0]
    assert re.match(r"ddsim\b.+\n\Z", version)
    assert version_err == usage_err == ""
    assert "python -m ddsim.index" in usage
    assert "--config" in usage


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("index",),
        ("search",),
        ("server",),
        ("doctor",),
        ("evaluate",),
        ("serve",),
        *((name,) for name in ("up", "down", "status", "logs")),
        *(("config", name) for name in ("show", "init")),
        *(("catalogue", name) for name in ("list", "count", "failures", "remove")),
    ],
)
def test_help(arguments: tuple[str, ...]) -> None:
    """Every command explains itself."""
    result = run(*arguments, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("name", ["index", "search", "server", "doctor", "evaluate", "serve", "up"])
def test_help_has_examples_and_exit_codes(name: str) -> None:
    """The commands that do the work show examples, one a line, and say what their exit codes mean."""
    text = run(name, "--help").stdout
    assert "Exit codes: 0" in text
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith(f"ddsim {name}")]
    assert len(examples) >= 2


def test_without_a_command() -> None:
    """`ddsim` alone shows what there is."""
    output = RUN.invoke(app, []).output
    for name in ("index", "search", "evaluate", "serve", "up", "server", "doctor", "config", "catalogue"):
        assert name in output


@pytest.mark.parametrize("arguments", [("nosuch",), ("index", "--nosuch"), ("search",), ("config", "nosuch")])
def test_wrong_use(arguments: tuple[str, ...]) -> None:
    """Unknown commands and options and missing arguments end with 2."""
    assert "Usage: " in error(run(*arguments), 2)


@pytest.mark.parametrize("length", [300, 5000])
@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "--config", "NAME"],
        ["index", "NAME", "--config", "CONFIG"],
        ["search", "NAME", "--config", "CONFIG"],
        ["search", "x.png", "--sheet", "NAME.png", "--config", "CONFIG"],
        ["evaluate", "NAME"],
        ["serve", "--config", "NAME"],
        ["config", "show", "NAME"],
        ["config", "init", "NAME"],
        ["network", "export", "NAME", "there"],
    ],
    ids=" ".join,
)
def test_names_longer_than_any_file_has(shop: Shop, arguments: list[str], length: int) -> None:
    """They are wrong use like any name of what is not there."""
    name = "9" * length
    words = [one.replace("NAME", name).replace("CONFIG", str(shop.config)) for one in arguments]
    assert error_line(run(*words), 2)


def test_a_state_folder_that_may_not_be_looked_at(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with the reason."""

    def refuse(folder: Path, pattern: str) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "glob", refuse)
    line = error_line(run("state", "list", "--config", shop.config), 2)
    assert line.endswith("cannot be read: Permission denied\n")
