"""ddsim.evaluation.experiments: files and matrices -> configurations to be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddsim import load
from ddsim.config import Settings
from ddsim.config.loading import dump
from ddsim.config.shipping import shipped, write_shipped
from ddsim.errors import ConfigError, InvalidRequest
from ddsim.evaluation.experiments import Experiment, read_experiments
from ddsim.evaluation.matrix import AXES

BASE: dict[str, Any] = {
    "server": "http://host:8080",
    "network": {"def": "/m/net.prototxt", "weights": "/m/net.caffemodel", "nclasses": 5, "width": 224},
    "classification": {"repository": "/data/classes"},
    "similarity": {"repository": "/data/similar", "extract_layer": "pool5"},
}
SHIPPED = shipped()["demo.yaml"].parent / "experiments"


def write(folder: Path, raw: dict[str, Any] | str, name: str = "mine.yaml") -> Path:
    """A file with this content."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw, sort_keys=False), "utf-8")
    return file


def expand(folder: Path, matrix: Any, **changes: Any) -> list[Experiment]:
    """The experiments of a file with this matrix."""
    return read_experiments([write(folder, {**BASE, **changes, "matrix": matrix})])


def settled(one: Experiment) -> Settings:
    """The settings of an experiment that has some."""
    assert one.problem is None
    assert one.settings is not None
    return one.settings


def refused(folder: Path, matrix: Any) -> list[str]:
    """What is said about a file with this matrix, without its name."""
    file = write(folder, {"matrix": matrix, **BASE})
    with pytest.raises(ConfigError) as caught:
        read_experiments([file])
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(file)) for line in lines)
    return [line.removeprefix(f"{file}:") for line in lines]


# Files without a matrix


def test_a_file_is_an_experiment(tmp_path: Path) -> None:
    """A configuration as `ddsim index` takes it, under its own name."""
    file = write(tmp_path, BASE)
    (one,) = read_experiments([file])
    assert (one.name, one.settings, one.problem) == ("mine", load(file), None)
    assert one.about == {"model": "mine", "layer": "pool5", "metric": "l2"}


def test_names_are_unique(tmp_path: Path) -> None:
    """Files of one name in several folders, also where only capitals differ."""
    files = [write(tmp_path, BASE, name) for name in ("a/mine.yaml", "b/mine.yaml", "c/Mine.yaml")]
    assert [one.name for one in read_experiments(files)] == ["mine", "mine-2", "Mine-3"]


def test_what_differs_is_said(tmp_path: Path) -> None:
    """What all have in common is left out, but for model, layer and metric."""
    other = {**BASE, "index": {"backend": "local", "pca": 8}}
    one, two = read_experiments([write(tmp_path, BASE, "a.yaml"), write(tmp_path, other, "b.yaml")])
    assert one.about == {"model": "a", "layer": "pool5", "metric": "l2", "pca": "none"}
    assert two.about == {"model": "b", "layer": "pool5", "metric": "l2", "pca": "8"}


def test_a_wrong_file_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    """The others are compared; its row says what is wrong."""
    good, wrong = write(tmp_path, BASE, "good.yaml"), write(tmp_path, {**BASE, "colour": 1}, "wrong.yaml")
    one, two = read_experiments([wrong, good])
    assert (one.name, one.settings, one.about) == ("wrong", None, {"model": "wrong"})
    assert f"{wrong}:" in str(one.problem)
    assert "colour: unknown key" in str(one.problem)
    assert two.settings is not None


def test_nothing_to_compare(tmp_path: Path) -> None:
    """No file, none that is there, or none without a problem: wrong use, with all reasons."""
    with pytest.raises(InvalidRequest, match="at least one file"):
        read_experiments([])
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        read_experiments([write(tmp_path, BASE, "good.yaml"), tmp_path / "nowhere.yaml"])
    wrong = [write(tmp_path, {**BASE, name: 1}, f"{name}.yaml") for name in ("colour", "taste")]
    with pytest.raises(ConfigError, match=r"(?s)colour.yaml.*taste.yaml"):
        read_experiments(wrong)


# Expansion


def test_a_matrix_is_every_combination(tmp_path: Path) -> None:
    """In the order of the axes, whatever their order in the file, with names made of what differs."""
    found = expand(tmp_path, {"metric": ["l2", "cosine"], "layer": ["pool5/7x7_s1", "relu7"], "pca": ["none"]})
    assert [one.name for one in found] == [
        "mine-pool5-7x7_s1-l2",
        "mine-pool5-7x7_s1-cosine",
        "mine-relu7-l2",
        "mine-relu7-cosine",
    ]
    assert [settled(one).similarity.extract_layer for one in found] == ["pool5/7x7_s1"] * 2 + ["relu7"] * 2
    assert [settled(one).index.metric for one in found] == ["l2", "cosine"] * 2
    assert found[1].about == {"model": "mine", "layer": "pool5/7x7_s1", "metric": "cosine"}


def test_where_vectors_live_follows(tmp_path: Path) -> None:
    """What the server's index cannot do is compared by ddsim, without a word in the file; the rest stays there."""
    axes: dict[str, list[Any]] = {
        "metric": ["l2", "cosine"],
        "normalisation": ["none", "l2", "power"],
        "pca": ["none", None, 8],
        "whiten": [False, True],
    }
    for axis, values in axes.items():
        first, *others = expand(
            tmp_path, {axis: values[:1] + values[-1:]}, index={"pca": 4} if axis == "whiten" else {}
        )
        if axis != "whiten":
            assert settled(first).index.backend == "server"
        assert [settled(one).index.backend for one in others] == ["local"]
        assert getattr(settled(others[0]).index, axis) == values[-1]


def test_an_axis_says_none(tmp_path: Path) -> None:
    """No principal components are written none, or nothing at all."""
    for nothing in ("none", None):
        one, two = expand(tmp_path, {"pca": [nothing, 8]}, index={"backend": "local", "pca": 16})
        assert (settled(one).index.pca, settled(two).index.pca) == (None, 8)
        assert (one.about["pca"], two.about["pca"]) == ("none", "8")
        assert (one.name, two.name) == ("mine-no-pca", "mine-pca8")


@pytest.mark.parametrize(
    ("matrix", "index", "reason"),
    [
        ({"metric": ["l2", "cosine"]}, {"backend": "server"}, "index.metric: the server's index knows l2 only"),
        ({"normalisation": ["none", "power"]}, {"backend": "server"}, "index.normalisation: the server compares"),
        ({"pca": [8, "none"], "whiten": [True]}, {}, "index.whiten: it weighs principal components"),
        ({"index_type": ["Flat", "IVF4,Flat"], "metric": ["cosine"]}, {}, "index_type IVF4,Flat is for the server's"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, matrix: Any, index: Any, reason: str) -> None:
    """Such a combination is a row with its reason; the others are as they should be."""
    one, two = expand(tmp_path, matrix, index=index)
    assert one.problem is None
    assert two.settings is None
    assert reason in str(two.problem)
    assert str(two.problem).startswith(f"{tmp_path / 'mine.yaml'}:")
    assert two.about.keys() >= {"model", *matrix}


def test_index_types(tmp_path: Path) -> None:
    """They are the server's."""
    one, two = expand(tmp_path, {"index_type": ["Flat", "IVF4,Flat"]})
    assert (settled(one).similarity.index_type, settled(two).similarity.index_type) == ("Flat", "IVF4,Flat")
    assert (one.name, two.name) == ("mine-Flat", "mine-IVF4-Flat")
    assert two.about["index_type"] == "IVF4,Flat"


def test_names_say_what_is_special(tmp_path: Path) -> None:
    """Every value tells what it is, without its axis beside it; what is not whitened needs no word."""
    found = expand(tmp_path, {"normalisation": ["l2", "power"], "pca": [8], "whiten": [False, True]})
    assert [one.name for one in found] == [
        "mine-norm-l2",
        "mine-norm-l2-whitened",
        "mine-norm-power",
        "mine-norm-power-whitened",
    ]
    assert [one.about["whiten"] for one in found] == ["no", "yes", "no", "yes"]


def test_preprocessing(tmp_path: Path) -> None:
    """Keys of network and upload, for both services, whatever these say themselves."""
    choices = [{"name": "as it is", "width": 224}, {"width": 96, "mean": [104, 117, 123], "shrink": False}]
    one, two = expand(tmp_path, {"preprocessing": choices}, similarity={**BASE["similarity"], "width": 299})
    assert (one.name, two.name) == ("mine-as-it-is", "mine-width-96-mean-104-117-123-shrink-no")
    assert (one.about["preprocessing"], two.about["preprocessing"]) == (
        "as it is",
        "width 96, mean 104 117 123, shrink no",
    )
    for part in (settled(two).similarity, settled(two).classification):
        assert part is not None
        assert (part.width, part.height, part.mean) == (96, 224, (104.0, 117.0, 123.0))
    assert (settled(one).upload.shrink, settled(two).upload.shrink) == (True, False)
    assert (settled(one).similarity.width, settled(one).similarity.mean) == (224, ())


def test_models_as_mappings(tmp_path: Path) -> None:
    """They override the network, and are called by their name, or else their weights, or else their place."""
    models = [
        {"name": "old", "weights": "/m/old.caffemodel"},
        {"weights": "/m/new.caffemodel", "def": "/m/new.prototxt"},
        {"nclasses": 7},
    ]
    found = expand(tmp_path, {"model": models, "layer": ["pool5"]})
    assert [one.name for one in found] == ["old", "new", "model-3"]
    assert [settled(one).similarity.weights for one in found] == [
        "/m/old.caffemodel",
        "/m/new.caffemodel",
        "/m/net.caffemodel",
    ]
    assert settled(found[1]).similarity.definition == "/m/new.prototxt"
    assert settled(found[2]).similarity.nclasses == 7
    assert [one.about["model"] for one in found] == ["old", "new", "model 3"]


def test_models_as_files(tmp_path: Path) -> None:
    """Whole configurations, relative to the matrix' file; what stands beside the matrix counts for all of them."""
    one_raw = {**BASE, "catalogue": "photos", "index": {"batch_size": 7}, "categories": {"cat": "chair"}}
    two_raw = {**BASE, "name": "second", "similarity": {**BASE["similarity"], "extract_layer": "relu7", "width": 99}}
    write(tmp_path, one_raw, "one.yaml")
    write(tmp_path, two_raw, "two.yaml")
    raw = {
        "server": "http://other:80",
        "state": "here",
        "network": {"height": 50},
        "index": {"checkpoint": 5},
        "similarity": None,
        "matrix": {"model": ["../one.yaml", "../two.yaml"]},
    }
    one, two = read_experiments([write(tmp_path, raw, "sub/all.yaml")])
    assert (one.name, two.name) == ("one", "second")
    assert (one.about["model"], one.about["layer"]) == ("one", "pool5")
    assert (two.about["model"], two.about["layer"]) == ("second", "relu7")
    for found in (settled(one), settled(two)):
        assert (found.server.url, found.state) == ("http://other:80", tmp_path / "sub" / "here")
        assert (found.similarity.height, found.index.checkpoint) == (50, 5)
    assert settled(one).catalogue == tmp_path / "photos"
    assert (settled(one).index.batch_size, settled(one).categories) == (7, {"cat": "chair"})
    assert (settled(one).similarity.width, settled(two).similarity.width) == (224, 99)
    # Under its own name nothing is renamed: it is the same configuration with other keys, as if these were edited.
    assert settled(one).similarity.service == load(tmp_path / "one.yaml").similarity.service


def test_a_model_that_is_wrong(tmp_path: Path) -> None:
    """A file that is not there is a mistake in the matrix; one with wrong settings is a problem of its rows alone."""
    write(tmp_path, {**BASE, "colour": 1}, "wrong.yaml")
    write(tmp_path, BASE, "good.yaml")
    write(tmp_path, {**BASE, "matrix": {"layer": ["a"]}}, "several.yaml")
    found = read_experiments([write(tmp_path, {"matrix": {"model": ["wrong.yaml", "good.yaml", "several.yaml"]}})])
    assert [one.settings is None for one in found] == [True, False, True]
    assert "wrong.yaml" in str(found[0].problem)
    assert "colour: unknown key" in str(found[0].problem)
    assert "several configurations" in str(found[2].problem)
    (line,) = refused(tmp_path, {"model": ["good.yaml", "nowhere.yaml"]})
    assert line == f"4: matrix.model[1]: no such configuration file: {tmp_path / 'nowhere.yaml'}"


def test_each_has_services_of_its_own(tmp_path: Path) -> None:
    """So that the winner can be indexed beside the others, and none takes another's service or folder."""
    found = expand(tmp_path, {"layer": ["a", "b"], "preprocessing": [{"width": 99}, {"width": 98}]})
    for part in ("similarity", "classification"):
        services = [getattr(settled(one), part) for one in found]
        assert len({one.service for one in services}) == 4
        assert len({one.repository for one in services}) == 4
    first = settled(found[0])
    assert first.name == "mine-a-width-99"
    assert first.similarity.service == "mine-a-width-99-similar"
    assert first.similarity.repository == "/data/similar-mine-a-width-99"


def test_folders_that_hold_the_network_stay(tmp_path: Path) -> None:
    """On Torch the network lies in the service's folder, which cannot be another one."""
    torch = {
        "network": {"mllib": "torch", "repository": "/data/net", "nclasses": 5},
        "similarity": {"extract_layer": "last"},
        "index": {},
    }
    one, two = expand(tmp_path, {"layer": ["last", "final"]}, **torch)
    assert settled(one).similarity.repository == settled(two).similarity.repository == "/data/net"
    assert (settled(one).index.backend, settled(two).index.backend) == ("local", "local")
    assert settled(one).similarity.service != settled(two).similarity.service


def test_every_one_can_be_written_out(tmp_path: Path) -> None:
    """What is dumped is a configuration file, from any folder, that loads to the same settings under the same name."""
    matrix = {"layer": ["a/b", "c"], "pca": ["none", 8], "whiten": [False], "normalisation": ["l2", "power"]}
    for one in expand(tmp_path, matrix, server="embedded", classification=None):
        again = load(write(tmp_path, dump(settled(one)), f"elsewhere/{one.name}.yaml"))
        assert again == one.settings
        assert again.name == one.name


def test_names_stay_short_and_unique(tmp_path: Path) -> None:
    """However long the values: a name is never longer than settings allow, and stands once."""
    found = expand(tmp_path, {"layer": ["x" * 150 + "/a", "x" * 150 + "/b", "***", "/"]})
    assert len({one.name.lower() for one in found}) == 4
    assert all(settled(one).name == one.name for one in found)


def test_a_name_of_its_own_begins_all(tmp_path: Path) -> None:
    """A name in the file stands before what differs; of a single model it takes the place."""
    write(tmp_path, BASE, "net.yaml")
    matrix = {"model": ["net.yaml"], "layer": ["a", "b"]}
    assert [one.name for one in read_experiments([write(tmp_path, {"matrix": matrix})])] == ["net-a", "net-b"]
    named = read_experiments([write(tmp_path, {"name": "try", "matrix": matrix})])
    assert [one.name for one in named] == ["try-a", "try-b"]
    assert [one.about["model"] for one in named] == ["net", "net"]


# What is wrong with a matrix


@pytest.mark.parametrize(
    ("matrix", "line"),
    [
        (None, "1: matrix: expected axes, each with a list of values"),
        ({}, "1: matrix: expected axes, each with a list of values"),
        (["layer"], "1: matrix: expected axes, each with a list of values"),
        ({"layers": ["a"]}, "2: matrix.layers: unknown axis; did you mean layer?"),
        ({"colour": ["a"]}, "2: matrix.colour: unknown axis; known are model, layer,"),
        ({"layer": []}, "2: matrix.layer: expected a list of values"),
        ({"layer": "pool5"}, "2: matrix.layer: expected a list of values"),
        ({"layer": None}, "2: matrix.layer: expected a list of values"),
        ({"layer": ["a", 5]}, "4: matrix.layer[1]: 5 given, expected text"),
        ({"layer": ["a", "b", "a"]}, "5: matrix.layer[2]: stands in this list twice"),
        ({"metric": ["cosinus"]}, "3: matrix.metric[0]: 'cosinus' given, expected 'l2' or 'cosine'"),
        ({"normalisation": ["L2"]}, "3: matrix.normalisation[0]: 'L2' given, expected"),
        ({"pca": [0]}, "3: matrix.pca[0]: 0 given, expected at least 1"),
        ({"pca": ["8"]}, "3: matrix.pca[0]: '8' given, expected a whole number: YAML reads it as text"),
        ({"whiten": ["yes"]}, "3: matrix.whiten[0]: 'yes' given, expected true or false"),
        ({"index_type": ["Annoy"]}, "3: matrix.index_type[0]: 'Annoy' given, expected Flat, IVF<lists>,Flat"),
        ({"preprocessing": ["small"]}, "3: matrix.preprocessing[0]: 'small' given, expected a mapping"),
        ({"preprocessing": [{"name": "x"}]}, "3: matrix.preprocessing[0]: overrides nothing; known are width,"),
        ({"preprocessing": [{"widht": 5}]}, "3: matrix.preprocessing[0].widht: unknown key; known are height, mean,"),
        ({"preprocessing": [{"weights": "/m/x"}]}, "3: matrix.preprocessing[0].weights: unknown key"),
        ({"preprocessing": [{"width": "big"}]}, "3: matrix.preprocessing[0].width: 'big' given, expected a whole"),
        ({"preprocessing": [{"quality": 101}]}, "3: matrix.preprocessing[0].quality: 101 given, expected at most 100"),
        ({"preprocessing": [{"width": 5, "name": 7}]}, "4: matrix.preprocessing[0].name: 7 given, expected text"),
        ({"model": [5]}, "3: matrix.model[0]: 5 given, expected text"),
        ({"model": [{"extract_layer": "x"}]}, "3: matrix.model[0].extract_layer: unknown key; known are"),
        ({"model": [{"weights": "m/x"}]}, "3: matrix.model[0].weights: 'm/x' given, expected an absolute path"),
        ({"layer": [f"l{n}" for n in range(101)], "metric": ["l2", "cosine"]}, "1: matrix: makes 202 configurations"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, matrix: Any, line: str) -> None:
    """Where it stands, what stands there, and what was expected."""
    assert line in [said[: len(line)] for said in refused(tmp_path, matrix)]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Several axes, and what the file itself has wrong."""
    assert len(refused(tmp_path, {"layer": [], "colour": [1], "pca": [0, "x"]})) == 4
    file = write(tmp_path, "matrix:\n  layer: ['${NOBODY_SETS_THIS}']\n")
    with pytest.raises(ConfigError, match="NOBODY_SETS_THIS is not set"):
        read_experiments([file])


def test_sections_that_are_none(tmp_path: Path) -> None:
    """Wrong types beside the matrix are said as they are of any file, since they are wrong for all."""
    for section in ("similarity", "index", "upload", "classification"):
        with pytest.raises(ConfigError, match=rf"{section}: 'text' given, expected a mapping"):
            expand(
                tmp_path,
                {"layer": ["a", "b"], "pca": [8], "preprocessing": [{"width": 5, "quality": 50}]},
                **{section: "text"},
            )


def test_load_says_who_reads_a_matrix(tmp_path: Path) -> None:
    """One file is one configuration for everybody but evaluate."""
    file = write(tmp_path, {**BASE, "matrix": {"layer": ["a"]}})
    with pytest.raises(ConfigError, match=r"mine\.yaml:\d+: matrix: .*`ddsim evaluate`"):
        load(file)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 300), st.floats(), st.text(max_size=5))
ANY = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "width", "mean", "quality", "def", "weights", "x"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(matrix=st.dictionaries(st.sampled_from(AXES), ANY | st.lists(ANY, min_size=1, max_size=3), max_size=3))
def test_anything_is_experiments_or_a_config_error(tmp_path: Path, matrix: dict[str, Any]) -> None:
    """Whatever stands in a matrix: never another error, and never settings that cannot be written out."""
    try:
        found = expand(tmp_path, matrix)
    except ConfigError:
        return
    for one in found:
        assert (one.settings is None) != (one.problem is None)
        if one.settings is not None:
            assert load(write(tmp_path, dump(one.settings), "again.yaml")) == one.settings


# What is shipped


def test_demo_layers() -> None:
    """Three layers of the demonstration's network, and nothing else differs."""
    found = read_experiments([SHIPPED / "demo-layers.yaml"])
    assert [one.name for one in found] == ["demo-pool1", "demo-res3b", "demo-pool5-7x7_s1"]
    demo = load(shipped()["demo.yaml"])
    for one in found:
        assert settled(one).catalogue == demo.catalogue
        assert settled(one).similarity.weights == demo.similarity.weights


def test_furniture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The article's networks, each with its own layer, by distance and by angle."""
    monkeypatch.delenv("DDSIM_URL", raising=False)
    found = read_experiments([SHIPPED / "furniture.yaml"])
    assert [(one.about["model"], one.about["layer"]) for one in found[::2]] == [
        ("resnet50", "pool5/7x7_s1"),
        ("googlenet", "pool5/7x7_s1"),
        ("vgg16", "pool5"),
        ("squeezenet", "pool10"),
    ]
    assert [settled(one).index.backend for one in found] == ["server", "local"] * 4


def test_furniture_in_full(tmp_path: Path) -> None:
    """The lists that are commented out there are right, too."""
    text = (SHIPPED / "furniture.yaml").read_text("utf-8")
    part = text.index("  # layer:")
    lines = [line.replace("  # ", "  ", 1).replace("  #   - ", "    - ", 1) for line in text[part:].splitlines()]
    whole = yaml.safe_load(text)["matrix"] | yaml.safe_load("\n".join(lines))
    assert set(whole) == set(AXES)
    for axis in set(AXES) - {"model", "metric"}:
        found = expand(tmp_path, {axis: whole[axis]}, index={"pca": 8, "backend": "local"} if axis == "whiten" else {})
        assert len(found) == len(whole[axis])
        assert [one.problem for one in found] == [None] * len(found)


@pytest.mark.parametrize("name", ["demo-layers.yaml", "furniture.yaml"])
def test_shipped_experiments_are_copied_out(name: str, tmp_path: Path) -> None:
    """`ddsim config init` writes them beside the configurations that they name."""
    assert tmp_path / "configs" / "experiments" / name in write_shipped(tmp_path / "configs")
    assert all(one.settings for one in read_experiments([tmp_path / "configs" / "experiments" / name]))
