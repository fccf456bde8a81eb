"""Sixteen threads on one client, two processes on one catalogue, rebuilds, searches and the page, all at once.

``DDSIM_SOAK_SECONDS`` is the time for each home of vectors; ``scripts/soak`` takes minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from soak import Soak

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.usefixtures("loopback"),
]
_SECONDS = float(os.environ.get("DDSIM_SOAK_SECONDS", "8"))


@pytest.mark.parametrize("backend", ["server", "local"])
def test_everything_at_once(tmp_path: Path, backend: str) -> None:
    """Every answer is right or a refusal in words, and in the end every picture is found, and once."""
    with Soak(tmp_path, backend) as soak:
        soak.run(_SECONDS)
        soak.settle()
    tried = {name for name, how in soak.counts if how in ("right", "done", "rebuilt", "200")}
    assert tried == {"client", "index", "search", "page"}
