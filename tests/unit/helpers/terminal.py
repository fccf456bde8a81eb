"""The command line as tests run it: in this process, or in a Python of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shop import Shop
from typer.testing import CliRunner, Result

from ddsim.commands.app import app

ROOT = Path(__file__).parents[3]
RUN = CliRunner(env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "80", "DDSIM_CONFIG": None})
# Markup, an emoji code, spaces in a row, a name wider than any terminal: none of it may change what is printed.
ODD_NAMES = [
    "[red]x[red].jpg",
    "[red]x[/].jpg",
    "[red]y[",
    ":car:.jpg",
    "\\[bold]z.jpg",
    "a  b.jpg",
    "x" * 150 + ".jpg",
    "椅子 🛋.jpg",
]


def run(*args: object) -> Result:
    """Run a command. Only an exit is expected of it, never an exception."""
    result = RUN.invoke(app, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def command(shop: Shop, name: str, *args: object) -> Result:
    """Run a command with the shop's configuration."""
    return run(name, "--config", shop.config, *args)


def error(result: Result, code: int) -> str:
    """What is said on standard error by a command that fails with this code; nothing is said elsewhere."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def error_line(result: Result, code: int) -> str:
    """The one line of an error."""
    text = error(result, code)
    assert text.startswith("error: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text


def interrupt(*_: object) -> None:
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A Python of its own with ddsim in reach."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "80"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )
