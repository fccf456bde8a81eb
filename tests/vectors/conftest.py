"""A real Milvus, started once for all tests of a run, for those who ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from milvuses import running, skip_without


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    skip_without()
    folder: Path = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own below that of the run.
    folder = folder.parent if folder.name.startswith("popen-") else folder
    with running(folder / "milvus") as url:
        yield url
