"""A known network that is tiny, and a cache of its own for every test."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import pytest
import tiny_efficientnet
from torch_writer import state_dict

from ddsim.networks import KnownNetwork


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the cache is in."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DDSIM_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownNetwork:
    """A known network whose package is installed."""
    data = state_dict(tiny_efficientnet.tensors())
    package = tmp_path / "site" / "tiny_pytorch_model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('nothing of it is to be run')")
    (package / "tiny.pth").write_bytes(data)
    network = KnownNetwork(
        "tiny",
        "for tests",
        "tiny-pytorch-model",
        "tiny.pth",
        hashlib.sha256(data).hexdigest(),
        tiny_efficientnet.SIDE,
        tiny_efficientnet.REPEATS,
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    monkeypatch.setattr("ddsim.networks.registry._KNOWN", (network,))
    return network
