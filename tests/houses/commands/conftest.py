"""The shop that commands are tried on; a file that wants another one has a fixture of the same name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from shop import PATIENT, Shop

import ddsim.commands.evaluate
import ddsim.commands.index
import ddsim.search.search
from ddsim import connect
from ddsim.commands.progress import Lines


@pytest.fixture(autouse=True)
def _no_run_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs tell no progress, and here no run is long, however busy the machine."""
    for command in (ddsim.commands.evaluate, ddsim.commands.index):
        monkeypatch.setattr(command, "Lines", partial(Lines, clock=lambda: 0.0))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with two lamps and two beds, and the current folder in it."""
    shop = Shop(tmp_path)
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png")
    monkeypatch.chdir(tmp_path)
    return shop


@pytest.fixture
def tapped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The same; the commands talk to the shop's own server, where faults can be put in."""
    monkeypatch.setattr(ddsim.search.search, "connect", partial(connect, transport=shop.tap, retries=PATIENT))
    return shop
