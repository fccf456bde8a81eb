"""What all commands share: options, where output goes, and errors as one line with an exit code."""

from __future__ import annotations

import io
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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

from ddsim.catalogue import Where, address_in, on_disk
from ddsim.config import CONFIGS
from ddsim.errors import ConfigError, DDSimError, ImageError, InvalidRequest, ManifestBusy
from ddsim.showing import printable

DONE, SOME_FAILED, WRONG_USE, SERVER_TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130
# A red audit means that the server does not do what it should.
AUDIT_FAILED = SERVER_TROUBLE

# Results go to standard output; what is said about the work to standard error, so that pipes stay clean.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

DEFAULT_CONFIG = CONFIGS / "resnet50.yaml"


def _only_one(config: Path) -> Path:
    """The usual configuration or, where that is not there, the only one that is."""
    there = sorted(CONFIGS.glob("*.yaml")) if config == DEFAULT_CONFIG and not os.path.exists(config) else []
    return there[0] if len(there) == 1 else config


ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="DDSIM_CONFIG",
        callback=_only_one,
        help="Configuration file, or the name of one that comes with ddsim, such as photos. By default the one in "
        "configs/, resnet50.yaml where there are several.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what happens.")]
# Commands that take the catalogue as their argument; `ddsim evaluate` so takes the configuration.
_FOLDER_FIRST = ("index", "train")
_STDERR = 2
_Given = TypeVar("_Given", Path, Path | None)
_COMMAND = re.compile(r"`ddsim (index|train|serve|evaluate|catalogue \w+|state \w+)( [^`]*|)`")


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


@dataclass(frozen=True)
class Typed:
    """What was typed behind a command, which the commands that it advises need as well.

    Attributes:
        config: the configuration.
        folder: the catalogue; None where none was named.
    """

    config: Path = DEFAULT_CONFIG
    folder: Path | None = None

    def completed(self, text: str) -> str:
        """A text with the commands in it as they have to be typed."""
        config = f" --config {shlex.quote(str(self.config))}" if self.config != DEFAULT_CONFIG else ""
        folder = None if self.folder is None else shlex.quote(str(self.folder))

        def complete(found: re.Match[str]) -> str:
            name, rest = found.groups()
            if "--config" in rest or re.search(r"\b[A-Z]{4}", rest):
                return found[0]
            if folder is None or name.startswith("state "):  # which is about all catalogues
                where = ""
            else:
                where = f" {folder}" if name in _FOLDER_FIRST else f" --catalogue {folder}"
            settings = config.removeprefix(" --config") if name == "evaluate" else config
            return f"`ddsim {name}{where}{settings}{rest}`"

        return _COMMAND.sub(complete, text)


_NOTHING = Typed()


@contextmanager
def reported(interrupted: str = "Interrupted.", typed: Typed = _NOTHING) -> Iterator[None]:
    """Turn ddsim's errors, and Ctrl-C, into one line on standard error and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        with _deaf():
            err.print(interrupted)
        raise typer.Exit(INTERRUPTED) from None
    except (ConfigError, ImageError, InvalidRequest, ManifestBusy) as error:
        say(error, typed)
        raise typer.Exit(WRONG_USE) from error
    except DDSimError as error:
        say(error, typed)
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
    if address and not os.path.exists(path):
        shown = f"{address[1]}:{'///' if address[1].lower() == 'file' else '//'}{str(path)[address.end() :]}"
        raise InvalidRequest(
            f"{shown}: an address is given where a file or folder of this machine belongs: "
            "download it first, such as with `curl -O`"
        )
    return on_disk(path)


def given_catalogue(path: Path | None) -> Where | None:
    """A catalogue that somebody gave: a folder or table as the disk has it, or an address; None is none.

    Raises:
        InvalidRequest: nothing can be read from such an address.
    """
    if path is None:
        return None
    try:
        return address_in(str(path)) or on_disk(path)
    except ValueError as error:
        raise InvalidRequest(f"{path}: {error}") from error


class RateColumn(ProgressColumn):
    """How many of it are done in a second."""

    def render(self, task: Task) -> Text:
        """As text; nothing while it is unknown."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def say(error: DDSimError, typed: Typed = _NOTHING) -> None:
    """Print an error as one line on standard error, or as one for each of its problems."""
    err.print("[bold red]error:[/] ", end="")
    # Names of files and categories may hold what moves a terminal's cursor; lines of several problems stay lines.
    err.print("\n".join(map(printable, typed.completed(str(error)).split("\n"))), markup=False)


def print_json(value: Any) -> None:
    """Print one JSON object in UTF-8, whatever the terminal's encoding.

    File names that are not Unicode have escapes in them, as `ddsim catalogue list` prints them: no JSON can hold them.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        text = orjson.dumps(_unicode(value), option=orjson.OPT_INDENT_2)
    typer.echo(text)


def _unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_unicode(key): _unicode(item) for key, item in value.items()}
    return [_unicode(item) for item in value] if isinstance(value, (list, tuple)) else value


def check_not_both(words: str, both: object) -> None:
    """Refuse options that contradict one another.

    Args:
        words: what each of them asks for.
        both: whether both are given.

    Raises:
        InvalidRequest: they are.
    """
    if both:
        raise InvalidRequest(f"{words}: give one of them")


def check_place(path: Path | None, option: str = "") -> None:
    """Refuse a file that cannot be written, before any work is done for it.

    Args:
        path: the file; None where none is wanted.
        option: that names it; nothing where an argument does.

    Raises:
        ConfigError: there is no such folder, or somebody else's, or a folder of that name.
    """
    if path is None:
        return
    shown = f"{option} {path}".strip()
    if os.path.isdir(path):
        raise ConfigError(f"{shown}: cannot be written: it is a folder; name a file in it")
    if not os.path.isdir(path.parent):
        raise ConfigError(f"{shown}: cannot be written: there is no folder {path.parent}; make it first")
    if not os.access(path if os.path.exists(path) else path.parent, os.W_OK):
        raise ConfigError(f"{shown}: cannot be written: permission denied")


def check_png(path: Path | None, option: str) -> None:
    """Refuse a place for a PNG file likewise, and another ending.

    Raises:
        ConfigError: as :func:`check_place`; or the file has another ending.
    """
    check_place(path, option)
    if path is not None and path.suffix.lower() != ".png":
        raise ConfigError(f"{option} {path}: a PNG file is written: give it the ending .png")


def save_png(image: Image.Image, path: Path, option: str) -> None:
    """Write a picture where an option names a file.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        image.save(path, "PNG")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {error.strerror or error}") from error
