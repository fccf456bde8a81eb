"""What all commands share: options, where output goes, and errors as one line with an exit code."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypeVar

import orjson
import typer
from PIL import Image
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import ProgressColumn, Task
from rich.text import Text

from ddsim.catalogue import on_disk
from ddsim.errors import ConfigError, DDSimError, ImageError, InvalidRequest, ManifestBusy

DONE, SOME_FAILED, WRONG_USE, SERVER_TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130
# A red audit means that the server does not do what it should.
AUDIT_FAILED = SERVER_TROUBLE

# Results go to standard output; what is said about the work to standard error, so that pipes stay clean.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="DDSIM_CONFIG",
        help="Configuration file, or the name of one that comes with ddsim, such as photos.",
        show_default=True,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what happens.")]
_STDERR = 2
_Given = TypeVar("_Given", Path, Path | None)
DEFAULT_CONFIG = Path("configs/resnet50.yaml")


def prepare_output() -> None:
    """Let what a terminal or pipe cannot show come out as an escape instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def log_to_terminal(verbose: bool) -> None:
    """Show the library's log on standard error."""
    prepare_output()
    handler = RichHandler(console=err, show_path=False, show_time=verbose)
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s", handlers=[handler])


@contextmanager
def reported(interrupted: str = "Interrupted.") -> Iterator[None]:
    """Turn ddsim's errors, and Ctrl-C, into one line on standard error and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        with _deaf():
            err.print(interrupted)
        raise typer.Exit(INTERRUPTED) from None
    except (ConfigError, ImageError, InvalidRequest, ManifestBusy) as error:
        _say(error)
        raise typer.Exit(WRONG_USE) from error
    except DDSimError as error:
        _say(error)
        raise typer.Exit(SERVER_TROUBLE) from error


@contextmanager
def _deaf() -> Iterator[None]:
    """Pay no heed to one Ctrl-C more while the first ones are answered."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Collect the first Ctrl-C, so that the batch in flight can end; the second one interrupts as usual."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(number)
        signal.signal(signal.SIGINT, before)  # before anybody is told that a second one is something else
        # Past Python's own streams: the signal may have come while one of them was in use, and they refuse to be used
        # once more in the middle of that.
        with suppress(OSError):
            os.write(_STDERR, b"Stopping after this batch; Ctrl-C again to stop at once.\n")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def given(path: _Given) -> _Given:
    """A path that somebody gave, as the disk has it, however its letters are written; None is none.

    Raises:
        InvalidRequest: it is an address on the web.
    """
    if path is None:
        return path
    address = re.match(r"(https?|ftps?|s3|file|data):/*", str(path), re.IGNORECASE)
    if address and not path.exists():
        shown = f"{address[1]}:{'///' if address[1].lower() == 'file' else '//'}{str(path)[address.end() :]}"
        raise InvalidRequest(
            f"{shown}: an address is given where a file or folder of this machine belongs: "
            "download it first, such as with `curl -O`"
        )
    return on_disk(path)


class RateColumn(ProgressColumn):
    """How many of it are done in a second."""

    def render(self, task: Task) -> Text:
        """As text; nothing while it is unknown."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _say(error: DDSimError) -> None:
    err.print("[bold red]error:[/] ", end="")
    # Names of files and categories may hold what moves a terminal's cursor; lines of several problems stay lines.
    err.print("\n".join(map(printable, str(error).split("\n"))), markup=False)


def printable(text: str) -> str:
    """A name on one line, whatever is in it: line breaks and what moves a terminal's cursor as escapes."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def counted(count: int, one: str, more: str | None = None) -> str:
    """A number and its noun, in the plural where it needs one, such as `1 picture` or `2 pictures`.

    Args:
        count: how many.
        one: the noun in the singular.
        more: its plural, where that is not the singular and an s.
    """
    return f"{count} {one if count == 1 else more or one + 's'}"


def print_json(value: Any) -> None:
    """Print one JSON object in UTF-8, whatever the terminal's encoding."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        # A file name that is not Unicode: the standard library escapes it.
        text = json.dumps(value, indent=2).encode()
    typer.echo(text)


def save_png(image: Image.Image, path: Path, option: str) -> None:
    """Write a picture where an option names a file.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        image.save(path, "PNG")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {error.strerror or error}") from error
