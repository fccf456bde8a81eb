"""A real Milvus for tests: one for all processes of a test run, and ends with the last of them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from milvus_keeper import TOKEN

PATIENCE = 180.0
__all__ = ["TOKEN", "running", "skip_without"]


def skip_without() -> None:
    """Skip a test where the wheel of the server, or its client, is missing; fail where neither may be."""
    missing = [name for name in ("milvus", "pymilvus") if find_spec(name) is None]
    if missing and os.environ.get("DDSIM_REQUIRE_MILVUS") == "1":
        pytest.fail(f"DDSIM_REQUIRE_MILVUS=1, and {missing} is not installed: pip install --group milvus")
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: pip install --group milvus")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a server that runs until the last user has left.

    Args:
        folder: the same for all users; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("ab") as users, (folder / "start").open("ab") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        # A keeper that is about to end its server holds this lock until it has.
        fcntl.flock(users, fcntl.LOCK_SH)
        if not (folder / "url").exists():
            _start(folder)
        url = (folder / "url").read_text(encoding="utf-8")
        fcntl.flock(start, fcntl.LOCK_UN)
        yield url


def _start(folder: Path) -> None:
    with (folder / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("milvus_keeper.py")), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + PATIENCE
    while not (folder / "url").exists():
        assert keeper.poll() is None, (folder / "keeper.log").read_text(encoding="utf-8")
        assert time.monotonic() < end, "the Milvus does not start in time"
        time.sleep(0.05)
    # It ends by itself, after whoever started it.
    keeper.returncode = 0
