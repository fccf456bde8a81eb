"""Tells when another thread asks for its turn to write a manifest."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

import pytest

from ddsim.catalogue.locks import Locks


def turn_asked_for(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as another thread than this one asks for its turn."""
    asked, here, held = threading.Event(), threading.get_ident(), Locks._held

    def told(self: Locks, name: str, *arguments: Any) -> AbstractContextManager[None]:
        if name == "turn.lock" and threading.get_ident() != here:
            asked.set()
        return held(self, name, *arguments)

    monkeypatch.setattr(Locks, "_held", told)
    return asked
