"""Tables that a benchmark prints, and with ``--write`` puts into README.md beside this file."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

README = Path(__file__).with_name("README.md")


class Report:
    """What one benchmark found, under its heading.

    Args:
        name: the section of README.md that it fills.
        packages: those whose versions matter.
    """

    def __init__(self, name: str, packages: Sequence[str] = ()) -> None:
        self._name = name
        self._lines: list[str] = []
        versions = ", ".join(f"{one} {_version(one)}" for one in packages)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        python = platform.python_version()
        self.say(f"{today}, {os.cpu_count()} cores, load {load:.1f} when it began, Python {python}; {versions}.")

    def say(self, text: str) -> None:
        """A paragraph."""
        print(text, end="\n\n", flush=True)
        self._lines += [text, ""]

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table in Markdown."""
        shown = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in [list(heads), *shown]) for column in range(len(heads))]
        lines = [list(heads), ["-" * (width - 1) + ":" for width in widths], *shown]
        self.say(
            "\n".join(
                "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |"
                for row in lines
            )
        )

    def write(self) -> None:
        """Take the place of the section in README.md."""
        begin, end = f"<!-- {self._name}: written by the command -->", f"<!-- {self._name}: end -->"
        text = README.read_text("utf-8")
        section = "\n".join([begin, "", *self._lines]).rstrip() + f"\n\n{end}"
        found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not found.search(text):
            raise SystemExit(f"{README}: no section {begin}")
        README.write_text(found.sub(lambda _: section, text), "utf-8")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with what all of them take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into README.md, too")
    return parser


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
