"""What a configuration may leave to the network: known names, and definitions that speak for themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddsim.config import Settings, advice, dump, load
from ddsim.errors import ConfigError
from ddsim.networks import KnownNetwork, centre_file, network_files
from ddsim.vectors.fingerprints import vector_facts

DEFINITION = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 1 channels: 3 height: 60 width: 40 } }
layer { name: "relu" type: "ReLU" bottom: "data" top: "map" }
layer { name: "pool" type: "Pooling" bottom: "map" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 7 } }
"""


def write(folder: Path, **sections: Any) -> Path:
    """A configuration with these sections."""
    file = folder / "mine.yaml"
    raw = {"server": "embedded", "similarity": {"extract_layer": "pool"}, "classification": {}} | sections
    file.write_text(yaml.safe_dump({key: value for key, value in raw.items() if value is not None}), "utf-8")
    return file


def named(folder: Path, network: Any = "tiny", **sections: Any) -> Path:
    """A configuration with a known network."""
    return write(folder, **{"network": network, "similarity": {"extract_layer": "pool5/7x7_s1"}} | sections)


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Any]:
    """A network of somebody's own."""
    (tmp_path / "net.prototxt").write_text(DEFINITION, "utf-8")
    return {"def": "net.prototxt", "weights": "net.caffemodel"}


def refusal(file: Path) -> str:
    """What is said of a file."""
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value)


# Names


def test_a_name_stands_for_everything(tiny: KnownNetwork, tmp_path: Path) -> None:
    """Files, labels, size and mean of both services follow from it."""
    found, files = load(named(tmp_path)), network_files("tiny")
    for part in (found.similarity, found.classification):
        assert part is not None
        assert (part.definition, part.weights, part.corresp) == tuple(
            map(str, (files.definition, files.weights, files.corresp))
        )
        assert (part.nclasses, part.width, part.height, part.mean) == (1000, 36, 36, (127.0, 127.0, 127.0))
    spec = found.similarity_spec()
    assert spec.body()["model"]["weights"] == str(files.weights)
    assert Path(files.weights).is_file()


def test_each_of_it_can_be_overridden(tiny: KnownNetwork, tmp_path: Path) -> None:
    """In the long form, and by a service for itself."""
    found = load(
        named(
            tmp_path,
            {"name": "tiny", "mean": [1.0, 2.0, 3.0]},
            classification={"corresp": "mine.txt"},
        )
    )
    assert found.similarity.mean == (1.0, 2.0, 3.0)
    assert found.classification is not None
    assert found.classification.corresp == str(tmp_path / "mine.txt")
    assert found.similarity.corresp == str(network_files("tiny").corresp)


def test_a_service_may_have_a_network_of_its_own(tiny: KnownNetwork, tmp_path: Path, own: dict[str, Any]) -> None:
    """Nothing that the other one is made of is mixed into it."""
    file = named(tmp_path, own | {"mean": [5.0]}, similarity={"name": "tiny", "extract_layer": "pool5/7x7_s1"})
    found = load(file)
    assert found.similarity.weights == str(network_files("tiny").weights)
    assert (found.similarity.width, found.similarity.mean) == (36, (127.0, 127.0, 127.0))
    assert found.classification is not None
    assert (found.classification.width, found.classification.mean) == (40, (5.0, 5.0, 5.0))


def test_a_real_server_has_the_files_in_its_folder_of_models(tiny: KnownNetwork, tmp_path: Path) -> None:
    """There the name stands for what `ddsim network export` wrote; nothing is needed here."""
    sections = {
        "server": "http://host:8080",
        "classification": {"repository": "/d/classes", "create_repository": True},
        "similarity": {"repository": "/d/similar", "extract_layer": "pool5/7x7_s1", "pooling": "centre", "power": 2},
    }
    found = load(named(tmp_path, **sections))
    assert found.similarity.weights == "/opt/models/tiny/tiny.caffemodel"
    assert found.similarity.width == 36
    assert found.similarity_spec().definition == "/opt/models/tiny/deploy-centre-power2.prototxt"
    assert found.classification is not None
    assert found.classification.definition == "/opt/models/tiny/deploy.prototxt"
    assert load(_dumped(found, tmp_path)) == found


def test_a_name_that_nobody_knows(tiny: KnownNetwork, tmp_path: Path) -> None:
    """One line says so, with the nearest; what follows from the name is not missed besides."""
    assert refusal(named(tmp_path, "tyny")).endswith("network.name: no network is called 'tyny'; did you mean tiny?")
    assert "similarity.name: no network is called" in refusal(
        named(tmp_path, similarity={"name": "huge", "extract_layer": "x"})
    )


def test_a_package_that_is_missing_is_said_before_anything_is_sent(tiny: KnownNetwork, tmp_path: Path) -> None:
    """With the line of the configuration, and how to get it."""
    assert tiny.weights is not None
    tiny.weights.unlink()
    assert "mine.yaml:1: network.name: " in refusal(named(tmp_path, classification=None))


def test_settings_with_a_name_can_be_written_out(tiny: KnownNetwork, tmp_path: Path, cache: Path) -> None:
    """They name the network and no place of this machine, and read again they are equal."""
    found = load(named(tmp_path))
    text = dump(found)
    assert str(cache) not in text
    assert load(_dumped(found, tmp_path)) == found


def _dumped(found: Settings, folder: Path) -> Path:
    file = folder / "dumped.yaml"
    file.write_text(dump(found), "utf-8")
    return file


# Definitions


def test_a_definition_says_what_it_takes_and_gives(tmp_path: Path, own: dict[str, Any]) -> None:
    """Width, height and number of labels need not be written."""
    found = load(write(tmp_path, network=own))
    assert (found.similarity.width, found.similarity.height, found.similarity.nclasses) == (40, 60, 7)
    assert found.classification is not None
    assert found.classification.nclasses == 7


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 300}, "network.width: 300 given, where the network's own definition comes to 40"),
        ({"height": 224}, "network.height: 224 given, where the network's own definition comes to 60"),
        ({"nclasses": 10}, "network.nclasses: 10 given, where the network's own definition comes to 7"),
    ],
)
def test_settings_that_the_definition_contradicts(
    tmp_path: Path, own: dict[str, Any], wrong: dict[str, Any], said: str
) -> None:
    """The line is named once, for both services."""
    message = refusal(write(tmp_path, network=own | wrong))
    assert said in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("content", [None, "layer {", 'layer { name: "a" type: "Data" }'])
def test_a_definition_that_tells_nothing_changes_nothing(
    tmp_path: Path, own: dict[str, Any], content: str | None
) -> None:
    """The server has its words for files that cannot be used."""
    path = tmp_path / "net.prototxt"
    path.unlink() if content is None else path.write_text(content, "utf-8")
    found = load(write(tmp_path, network=own | {"nclasses": 9}))
    assert (found.similarity.width, found.similarity.height, found.similarity.nclasses) == (224, 224, 9)
    assert "nclasses: missing" in refusal(write(tmp_path, network=own))


def test_a_missing_mean_is_told(tmp_path: Path, own: dict[str, Any]) -> None:
    """Once for both services; zeros, a mean in the definition's head and a server's own folder are means, too."""
    (said,) = advice(load(write(tmp_path, network=own)))
    assert "no mean is subtracted" in said
    assert str(tmp_path / "net.prototxt") in said
    assert advice(load(write(tmp_path, network=own | {"mean": [0]}))) == []
    head = 'top: "label" transform_param { mean_value: 104 }'
    (tmp_path / "net.prototxt").write_text(DEFINITION.replace('top: "label"', head), "utf-8")
    assert advice(load(write(tmp_path, network=own))) == []


# Pooling


def test_centre_weighted_pooling_derives_a_definition(tiny: KnownNetwork, tmp_path: Path) -> None:
    """The service gets the derived one; the settings keep the network's own."""
    layer = "pool5/7x7_s1"
    found = load(named(tmp_path, similarity={"extract_layer": layer, "pooling": "centre", "power": 2}))
    definition = network_files("tiny").definition
    assert found.similarity.definition == str(definition)
    assert found.similarity_spec().definition == str(centre_file(definition, layer, 2.0))
    assert found.classification_spec() == load(named(tmp_path)).classification_spec()


@pytest.mark.parametrize(
    ("similarity", "said"),
    [
        ({"power": 2}, "similarity.power: it belongs to pooling: centre"),
        ({"pooling": "middle"}, "similarity.pooling: 'middle' given, expected 'plain' or 'centre'"),
        ({"pooling": "centre", "power": 0.5}, "similarity.power: 0.5 given, expected at least 1"),
        ({"pooling": "centre", "extract_layer": "fc"}, r"similarity.pooling: .*deploy.prototxt: layer 'fc' \(InnerP"),
        ({"pooling": "centre", "extract_layer": "pool6"}, "similarity.extract_layer: the network has no layer 'pool6'"),
        (
            {"extract_layer": "pool5"},
            "similarity.extract_layer: the network has no layer 'pool5'; did you mean pool5/7",
        ),
        ({"pooling": "centre", "mllib": "torch", "extract_layer": "last"}, "pooling: centre is derived from a Caffe"),
    ],
)
def test_pooling_that_makes_no_sense(tiny: KnownNetwork, tmp_path: Path, similarity: dict[str, Any], said: str) -> None:
    """It is refused before anything is sent."""
    file = named(tmp_path, similarity={"extract_layer": "pool5/7x7_s1"} | similarity, classification=None)
    with pytest.raises(ConfigError, match=said):
        load(file)


# What is indexed


def test_older_indexes_are_still_known(tmp_path: Path, own: dict[str, Any]) -> None:
    """What is new in settings, and at its default, does not make an index another one."""
    facts = vector_facts(load(write(tmp_path, network=own)))["vectors"]["network"]
    assert facts.keys() & {"name", "pooling", "power"} == set()


def test_another_way_of_pooling_is_another_index(tiny: KnownNetwork, tmp_path: Path) -> None:
    """Its vectors are others."""
    layer = "pool5/7x7_s1"
    found = [
        vector_facts(load(named(tmp_path, similarity={"extract_layer": layer} | more)))
        for more in ({}, {"pooling": "centre"}, {"pooling": "centre", "power": 2})
    ]
    assert found[0] != found[1] != found[2] != found[0]


def test_the_place_of_the_cache_does_not_matter(
    tiny: KnownNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network with a name is known by what is in its files."""
    before = vector_facts(load(named(tmp_path)))
    monkeypatch.setenv("DDSIM_CACHE", os.fspath(tmp_path / "elsewhere"))
    assert vector_facts(load(named(tmp_path))) == before
