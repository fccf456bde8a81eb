"""Shops that several test files begin with; a file that wants another one has a fixture of the same name."""

from __future__ import annotations

from pathlib import Path

import pytest
from homes import four_at_a_time
from shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with an empty catalogue, before a server that keeps the index; four pictures go in one request."""
    return four_at_a_time(tmp_path, "server")


@pytest.fixture(params=["server", "local"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """One of either home."""
    return four_at_a_time(tmp_path, request.param)
