"""The README tells the truth: its configuration loads, its commands exist, its first program runs."""

from __future__ import annotations

import ast
import configparser
import functools
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

import ddsim
from ddsim.commands.app import app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PROGRAMS = [code for language, code in BLOCKS if language == "python"]
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for language, code in BLOCKS
        if not language
        for line in code.splitlines()
        if line.startswith(("ddsim ", "python -m ddsim"))
    }
)


def test_the_two_commands_come_first() -> None:
    """The first block is the commands that do everything, with drawings and with photos; they can be run."""
    names = [line.split("#")[0].strip() for line in BLOCKS[0][1].splitlines()]
    assert names == ["scripts/demo", "scripts/demo FOLDER", "scripts/test"]
    names = ["scripts/demo", "scripts/test"]
    assert all((ROOT / name).stat().st_mode & 0o111 for name in names)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist_with_their_options(line: str) -> None:
    """Each command of the README is one, and knows the options that it is shown with."""
    words = shlex.split(line.replace("[", "").replace("]", ""))
    words = words[1:] if words[0] == "ddsim" else [words[2].removeprefix("ddsim."), *words[3:]]
    name = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
    options = [word for word in words if word.startswith("-")]
    helped = CliRunner().invoke(app, [*name, "--help"], terminal_width=200)
    assert helped.exit_code == 0, helped.output
    assert all(option in helped.output for option in options)


def test_the_service_of_systemd_is_one() -> None:
    """Its command knows its options, and what it may write is where it works."""
    (text,) = (code for language, code in BLOCKS if language == "ini")
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    program, name, *options = shlex.split(service["ExecStart"])
    assert Path(program).name == "ddsim"
    helped = CliRunner().invoke(app, [name, "--help"], terminal_width=200).output
    assert [one for one in options if one.startswith("--") and one not in helped] == []
    assert service["ReadWritePaths"] == service["WorkingDirectory"]


def test_the_configuration_loads(tmp_path: Path) -> None:
    """The complete configuration that the README shows is complete."""
    look, whole = (code for language, code in BLOCKS if language == "yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(whole + look, encoding="utf-8")
    assert ddsim.load(file).similarity.extract_layer == "pool5"
    assert ddsim.load(file).web.language == "de"


def test_errors_are_there() -> None:
    """Every error that the table of errors names is one."""
    table = TEXT[TEXT.index("## Errors") : TEXT.index("## When something is odd")]
    names = set(re.findall(r"`([A-Z]\w+)`", table))
    assert names
    assert all(issubclass(getattr(ddsim, name), ddsim.DDSimError) for name in names)


@pytest.mark.parametrize("code", PROGRAMS)
def test_programs_use_what_there_is(code: str) -> None:
    """Every name of ddsim in the README's programs exists."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ddsim"
    }
    assert used <= set(ddsim.__all__)


def test_the_service_of_fastapi_runs(
    monkeypatch: pytest.MonkeyPatch, wire_answers: Any, draw: Any, as_sent: Any, loopback: None
) -> None:
    """The service that the README shows answers an uploaded photo with its labels."""
    transport = wire_answers.transport()
    transport.services["resnet50-classes"] = transport.services["cls"]
    behind = functools.partial(ddsim.AsyncClient, transport=ddsim.ThreadedTransport(transport))
    monkeypatch.setattr(ddsim, "AsyncClient", behind)
    space: dict[str, Any] = {}
    code = next(code for code in PROGRAMS if "FastAPI" in code)
    exec(compile(code, "README.md", "exec"), space)  # noqa: S102  the program that people are told to run
    photo = io.BytesIO()
    draw().save(photo, "PNG")
    with TestClient(space["app"]) as browser:
        [label] = browser.post("/labels", files={"photo": photo.getvalue()}).json()
    assert label["name"] == as_sent(photo.getvalue())[-20:]
    assert transport.closed


def test_the_first_programs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first program finds the drawn lamp again, and the second one asks for all else that there is."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from demo_drawing import draw

    for product in (7, 12):
        folder = tmp_path / "demo" / "catalogue" / "lamp"
        folder.mkdir(parents=True, exist_ok=True)
        draw("lamp", product, 1, size=160, supersampling=1).save(folder / f"lamp-{product:03d}.jpg")
    queries = tmp_path / "demo" / "queries" / "lamp"
    queries.mkdir(parents=True)
    draw("lamp", 7, 2, size=160, supersampling=1).save(queries / "lamp-007-view2.jpg")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").write_bytes((ROOT / "configs" / "demo.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(PROGRAMS[0], "README.md", "exec"), {})  # noqa: S102  the program that people are told to run
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "2 ()"
    assert "\n1 lamp/lamp-007.jpg lamp " in printed
    exec(compile(PROGRAMS[1], "README.md", "exec"), {})  # noqa: S102  and the one that asks for more
    printed = capsys.readouterr().out
    assert printed.startswith("<Items: 2 items indexed: lamp 2> <Failures: none>\n<SearchResult: ")
    assert (tmp_path / "demo" / "map.html").read_text("utf-8").count("data:image/jpeg") == 2


def test_commands_are_called_in_one_way() -> None:
    """As `ddsim` in an activated environment, wherever a command stands that is to be typed."""
    assert ".venv/bin/ddsim" not in TEXT
    typed = [line for _, code in BLOCKS for line in code.splitlines()]
    assert not [line for line in typed if line.startswith(("python -m ddsim", "./"))]
    assert ". .venv/bin/activate" in TEXT


def test_completion_works() -> None:
    """What the README says of shells: one that asks is told the commands that a word may become."""
    assert "ddsim --install-completion" in TEXT
    asking = {**os.environ, "_DDSIM_COMPLETE": "complete_bash", "COMP_WORDS": "ddsim sea", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "ddsim"], env=asking, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["search"]


def test_links_lead_somewhere() -> None:
    """Files of the checkout are there, and so are headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = link.partition("#")
        if link.startswith("#"):
            assert anchor in anchors, link
        elif not link.startswith("https://"):
            assert (ROOT / path).exists(), link
