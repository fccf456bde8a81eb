"""What `--help` prints is what was written: markup takes nothing out of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
import pytest
import typer
from typer import rich_utils
from typer.testing import CliRunner

from ddsim.commands.app import app


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, by the words that are typed for them."""
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {word}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


def written(command: click.Command) -> Iterator[str]:
    """The paragraphs that a command's help consists of, as the source has them."""
    for text in (command.help, command.epilog, *(getattr(parameter, "help", None) for parameter in command.params)):
        yield from re.split(r"\n\s*\n", inspect.cleandoc(text or ""))


def plain(text: str) -> str:
    """A text without the source's marks for code and for what is no markup, nor the frames and folds of a terminal."""
    return " ".join(re.sub(r"\\([<>\[\]*_])", r"\1", text).replace("`", "").replace("│", " ").split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_prints_what_was_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every paragraph stands there whole, with all that it has in angle and square brackets."""
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 1000)
    result = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb"}).invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    shown = plain(result.output)
    assert [text for text in map(plain, written(COMMANDS[name])) if text not in shown] == []


LEAVES = [name for name, command in COMMANDS.items() if not getattr(command, "commands", {})]
# They run until they are stopped, pass on what somebody else says, or print JSON anyway.
WITHOUT_JSON = {"serve", "server", "logs", "config schema"}


@pytest.mark.parametrize("name", LEAVES)
def test_help_says_what_machines_and_beginners_need(name: str) -> None:
    """Examples of this very command, its exit codes, --json, and arguments in the capitals of the texts."""
    command = COMMANDS[name]
    examples, _, codes = (command.epilog or "").partition("Exit codes: ")
    assert f"ddsim {name}" in examples.partition("Examples:")[2]
    assert codes.startswith("0 ")
    options = [word for parameter in command.params for word in parameter.opts]
    assert ("--json" in options) != (name in WITHOUT_JSON)
    shown = [parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"]
    assert all(word and word.isupper() and word.isalpha() for word in shown)
