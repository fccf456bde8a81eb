"""Figures of long runs, written into CONTRIBUTING.md by the commands that measured them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def write(command: str, what: str, tried: int, survived: int) -> str:
    """The row of a command in the table of figures, put there in place of its last one.

    Args:
        command: as people type it, without options that do not change what is tried.
        what: the cases, in words.
        tried: how many.
        survived: how many of them came out as they should.
    """
    today = datetime.now(timezone.utc).date().isoformat()
    row = f"| `{command}` | {what} | {tried:,} | {survived:,} | {today} |"
    text = CONTRIBUTING.read_text(encoding="utf-8")
    changed, count = re.subn(rf"(?m)^\| `{re.escape(command.split()[0])}\b.*$", lambda _: row, text)
    if count != 1:
        raise SystemExit(f"CONTRIBUTING.md has {count} rows for {command}, not one")
    CONTRIBUTING.write_text(changed, encoding="utf-8")
    return row
