"""Configuration files: what they mean, and what is said about wrong ones."""

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddsim.config import loading as config
from ddsim.config import shipping
from ddsim.config.loading import dump, load
from ddsim.config.shipping import shipped, write_shipped
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.errors import ConfigError
from ddsim.pictures.encoding import Upload

MINIMAL = """\
server: embedded
catalogue: photos
network:
  def: model/net.prototxt
  weights: model/net.caffemodel
  nclasses: 5
similarity:
  extract_layer: pool5/7x7_s1
classification: {}
"""
REMOTE: dict[str, Any] = {
    "server": "http://host:8080",
    "network": {"def": "/m/net.prototxt", "weights": "/m/net.caffemodel", "nclasses": 5},
    "classification": {"repository": "/data/classes"},
    "similarity": {"repository": "/data/similar", "extract_layer": "pool5"},
}
TORCH: dict[str, Any] = {
    "network": {"mllib": "torch", "repository": "/data/net", "def": None, "weights": None},
    "classification": None,
    "similarity": {"repository": "/data/net", "extract_layer": "last"},
}


def write(folder: Path, text: str | bytes, name: str = "mine.yaml") -> Path:
    """A file with this content."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def remote(folder: Path, **changes: Any) -> Path:
    """A file for a real server; a change is merged into its section, or replaces what is no mapping."""
    raw = {**REMOTE}
    for key, value in changes.items():
        raw[key] = {**raw.get(key, {}), **value} if isinstance(value, dict) and key in raw else value
    return write(folder, yaml.safe_dump({key: value for key, value in raw.items() if value is not None}))


def problems(file: Path) -> list[str]:
    """What is said about a file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load(file)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(file)) for line in lines)
    return [line.removeprefix(str(file)).lstrip(":") for line in lines]


def test_minimal_file(tmp_path: Path) -> None:
    """Nine lines are enough: names, folders and limits have defaults, and the embedded server sees local paths."""
    found = load(write(tmp_path, MINIMAL, "Red Sofas.yaml"))
    assert (found.name, found.server.url, found.server.embedded) == ("Red-Sofas", None, True)
    assert (found.catalogue, found.state) == (tmp_path / "photos", tmp_path / ".ddsim")
    assert found.classification is not None
    assert (found.classification.service, found.similarity.service) == ("red-sofas-classes", "red-sofas-similar")
    assert found.similarity.definition == str(tmp_path / "model" / "net.prototxt")
    assert found.similarity.repository == str(tmp_path / ".ddsim" / "Red-Sofas" / "similar")
    assert (found.similarity.width, found.similarity.index_type) == (224, "Flat")
    assert (found.index.backend, found.index.batch_size, found.index.batch_bytes) == ("server", 32, 16_000_000)


def test_without_classification(tmp_path: Path) -> None:
    """No classification section means no such service; an empty one means one with defaults."""
    bare = MINIMAL.replace("classification: {}\n", "")
    assert load(write(tmp_path, bare)).classification is None
    assert load(write(tmp_path, bare + "classification:\n  # service: x\n")).classification is not None


def test_specs(tmp_path: Path) -> None:
    """Both services take over what network says, and override what they say themselves."""
    file = remote(
        tmp_path,
        network={"mean": [103, 115.9, 123.15], "gpu": True, "gpuid": 1, "corresp": "/m/corresp.txt"},
        similarity={"def": "/m/other.prototxt", "width": 299, "service": "Mine", "gpuid": [0, 1]},
    )
    shared: dict[str, Any] = {
        "nclasses": 5,
        "create_repository": True,
        "weights": "/m/net.caffemodel",
        "corresp": "/m/corresp.txt",
        "mean": (103.0, 115.9, 123.15),
        "gpu": True,
    }
    found = load(file)
    assert found.classification_spec() == ServiceSpec(
        name="mine-classes", repository="/data/classes", definition="/m/net.prototxt", gpuid=1, **shared
    )
    assert found.similarity_spec() == ServiceSpec(
        name="mine",
        type="unsupervised",
        repository="/data/similar",
        definition="/m/other.prototxt",
        width=299,
        gpuid=(0, 1),
        **shared,
    )


def test_mean_is_floats(tmp_path: Path) -> None:
    """Ints in a mean become floats, since an official server dies of a mixture; one number stands for all channels."""
    mixed = load(remote(tmp_path, network={"mean": [104, 117.5, 123]})).similarity.mean
    assert mixed == (104.0, 117.5, 123.0)
    assert all(type(value) is float for value in mixed)
    assert load(remote(tmp_path, network={"mean": [127]})).similarity.mean == (127.0, 127.0, 127.0)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local paths are relative to the file wherever ddsim runs; a real server's paths are left as they are."""
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "configs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = remote(tmp_path / "configs", catalogue="../photos", state="~/kept", similarity={"repository": "/data/../x/"})
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = load(Path("..") / "configs" / file.name)
    assert (found.catalogue, found.state) == (tmp_path / "photos", Path("/home/someone/kept"))
    assert found.similarity.repository == "/data/../x/"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("width: ${SIDE}", 64),
        ("width: ${NONE:-32}", 32),
        ("width: ${EMPTY:-32}", 32),
        ("width: 1${SIDE}", 164),
        ("gpu: ${YES}", True),
        ("template: '${SIDE}'", "64"),
        ("template: a$$b$${SIDE}", "a$b${SIDE}"),
        ("template: ${INJECT}", "[1]\nwidth: 9"),
        ("template: ${NONE:-a-b c}/${SIDE}", "a-b c/64"),
    ],
)
def test_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, value: object) -> None:
    """Variables are filled in after parsing; unquoted ones then get the type they look like, and never structure."""
    for name, content in {"SIDE": "64", "EMPTY": "", "YES": "true", "INJECT": "[1]\nwidth: 9"}.items():
        monkeypatch.setenv(name, content)
    monkeypatch.delenv("NONE", raising=False)
    file = write(tmp_path, MINIMAL.replace("  def: model/net.prototxt", f"  {written}\n  template: net"))
    if written.startswith("template"):
        file = write(tmp_path, MINIMAL.replace("  def: model/net.prototxt", f"  {written}"))
    assert getattr(load(file).similarity, written.partition(":")[0]) == value


def test_shipped_models_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DDSIM_MODELS is the package's own folder, whatever the environment says."""
    monkeypatch.setenv("DDSIM_MODELS", "/nowhere")
    found = load(write(tmp_path, MINIMAL.replace("model/net", "${DDSIM_MODELS}/demo/net")))
    assert found.similarity.definition == str(Path(config.__file__).parents[1] / "embedded/models/demo/net.prototxt")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "is empty; `ddsim config init` writes commented configurations to begin with"),
        ("- a", "holds no mapping (key: value); `ddsim config init` writes commented configurations to begin with"),
        (
            "a: 1\nb: [1\nc: 2",
            "3: column 2: cannot be read as YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ),
        ("a: 1\n\tb: 2", "2: column 1: a tab: YAML is indented with spaces, not tabs"),
        ("a:\n  b: 1\n  \tc: 2", "3: column 3: a tab: YAML is indented with spaces, not tabs"),
        ("a: 1\n---\nb: 2", "2: column 1: cannot be read as YAML: expected a single document in the stream, but found"),
        (b"name: \xff", "cannot be read as YAML: "),
        ("a: &x 1\nb: *x", "2: column 4: cannot be read as YAML: anchors and aliases are not supported here"),
        ("[" * 5000, "is nested too deeply to be a configuration"),
        ("name: !!python/object:os.system x", "1: name: the tag !!python/object:os.system is not supported here"),
        ("name: !!int '12'", "1: name: the tag !!int is not supported here"),
        ("index: !!set {a}", "1: index: the tag !!set is not supported here"),
        ("? [a]\n: b", "1: a list or mapping cannot be a key"),
        ("state: a\nname: b\nstate: c", "3: state: stands twice, first on line 1"),
        ("server: ${DDSIM_NONE}", "1: server: the environment variable DDSIM_NONE is not set: set it, or write "),
        ("name: $HOME", "1: name: '$HOME' has a lone $: write ${NAME} or ${NAME:-default} for a variable, $$ for the "),
        ("upload: {quality: 0144}", "1: upload.quality: YAML reads 0144 as 100: write 100 if that is meant, or quote "),
        ("upload: {quality: 1:30}", "1: upload.quality: YAML reads 1:30 as 90: write 90 if that is meant, or quote "),
        ('name: "\\ud800"', "1: name: is not valid Unicode text"),
        ("upload: {quality: 0x_}", "1: upload.quality: '0x_' is not a number"),
    ],
)
def test_not_readable(tmp_path: Path, text: str | bytes, start: str) -> None:
    """What YAML cannot read, or would read in a surprising way, is refused with line and column."""
    said = problems(write(tmp_path, text))
    assert [line for line in said if line.strip().startswith(start)], said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"catalog": "x"}, "catalog: unknown key; did you mean catalogue?"),
        ({"network": {"wieght": "/m/x"}}, "network.wieght: unknown key; did you mean weights?"),
        ({"routing": {"buy": "labels"}}, "routing.buy: unknown key; did you mean by?"),
        ({"web": {"titel": "x"}}, "web.titel: unknown key; did you mean title?"),
        ({"network": {"extract_layer": "x"}}, "network.extract_layer: unknown key here; it belongs under similarity"),
        ({"index": {"nclasses": 1}}, "index.nclasses: unknown key here; it belongs under network"),
        ({"upload": {"state": "x"}}, "upload.state: unknown key here; it belongs to the top level"),
        ({"upload": {"zzz": 1}}, "upload.zzz: unknown key; known are max_bytes, max_pixels, quality, shrink"),
        ({"network": {"nclasses": None}}, "network.nclasses: nothing given, expected a whole number"),
        ({"similarity": {"extract_layer": 12}}, "YAML reads 12 as a number, put it in quotes"),
        ({"similarity": {"service": False}}, "YAML reads false as true or false, put it in quotes"),
        ({"similarity": {"service": "123"}}, "service name '123': use letters"),
        ({"similarity": {"service": "a b"}}, "service name 'a b': use letters"),
        ({"similarity": {"service": "API"}}, "service name 'API' is reserved by the server"),
        ({"network": {"width": 224.5}}, "network.width: 224.5 given, expected a whole number"),
        ({"network": {"width": True}}, "network.width: true given, expected a whole number"),
        ({"network": {"height": 0}}, "network.height: 0 given, expected at least 1"),
        ({"network": {"scale": "1e3"}}, "'1e3' given, expected a number: YAML reads it as text, write 1000.0"),
        ({"network": {"nclasses": "1e3"}}, "'1e3' given, expected a whole number: YAML reads it as text, write 1000"),
        ({"network": {"scale": float("inf")}}, "network.scale: inf given, expected a finite number"),
        ({"network": {"scale": 0}}, "network.scale: 0 given, expected more than 0"),
        ({"network": {"mean": 127}}, "network.mean: 127 given, expected a list, such as"),
        ({"network": {"mean": [1, "x", 3]}}, "network.mean[1]: 'x' given, expected a number"),
        ({"network": {"mean": [1, 2]}}, "network.mean: a list given, expected 3 numbers, one a channel, or 1 for all"),
        ({"network": {"gpuid": [True]}}, "network.gpuid[0]: true given, expected a whole number"),
        ({"network": {"rgb": "on"}}, "network.rgb: 'on' given, expected true or false"),
        ({"network": {"mllib": "ncnn"}}, "network.mllib: 'ncnn' given, expected 'caffe' or 'torch'"),
        ({"network": {"def": "net.prototxt"}}, "'net.prototxt' given, expected an absolute path on the server"),
        ({"network": {"def": "~/net.prototxt"}}, "expected an absolute path on the server"),
        ({"classification": {"repository": "data"}}, "'data' given, expected an absolute path on the server"),
        ({"catalogue": ""}, "catalogue: '' given, expected the path of a folder or file"),
        ({"catalogue": 5}, "catalogue: 5 given, expected the path of a folder or file"),
        ({"catalogue": ["a", "b"]}, "catalogue: a list given, expected the path of a folder or file"),
        ({"catalogue": {"folder": "a", "exclude": "*.tmp"}}, "'*.tmp' given, expected a list, such as [first, second]"),
        ({"state": 5}, "state: 5 given, expected the path of a folder or file"),
        ({"similarity": {"index_type": "flat"}}, "'flat' given, expected Flat, IVF<lists>,Flat, HNSW<links>"),
        ({"similarity": {"index_type": "IVF4"}}, "'IVF4' given, expected Flat, IVF<lists>,Flat"),
        ({"similarity": {"index_type": "HNSW1"}}, "'HNSW1' given, expected Flat, IVF<lists>,Flat"),
        ({"similarity": {"extract_layer": ""}}, "similarity.extract_layer: '' given, expected text"),
        (
            {"server": "localhost:8080"},
            "expected a server's address such as http://localhost:8080, or server: embedded",
        ),
        ({"server": "ftp://host"}, "server.url: 'ftp://host' given, expected a server's address"),
        ({"server": "http://host:99999"}, "expected a server's address"),
        ({"server": "http://host/?q=1"}, "expected a server's address"),
        ({"server": ["x"]}, "server: a list given, expected a mapping"),
        (
            {"index": {"backend": "servr"}},
            "index.backend: 'servr' given, expected 'server', 'local', 'milvus' or 'auto'",
        ),
        ({"index": {"batch_size": 257}}, "index.batch_size: 257 given, expected at most 256"),
        ({"index": {"batch_bytes": "65MB"}}, "index.batch_bytes: '65MB' given, expected at most 64000000"),
        ({"index": {"batch_bytes": "big"}}, "'big' given, expected a size such as 16MB"),
        ({"index": 5}, "index: 5 given, expected a mapping"),
        ({"name": "a/b"}, "name: 'a/b' given, expected letters, digits"),
        ({"categories": ["chair"]}, "categories: a list given, expected a mapping"),
        ({"categories": {"n01": True}}, "categories.n01: true given, expected text: YAML reads true as true or false"),
        ({"categories": "none.yaml"}, "none.yaml: no such file"),
    ],
)
def test_wrong_value(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """A wrong value is named once, with its key, itself and what was expected."""
    said = problems(remote(tmp_path, **changes))
    assert len(said) == 1
    assert expected in said[0]


def test_embedded_needs_the_word(tmp_path: Path) -> None:
    """An address left empty does not silently become the embedded server."""
    assert problems(write(tmp_path, "server:\n  url:\n" + MINIMAL.partition("\n")[2]))[0].startswith(
        "2: server.url: ''"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"similarity": {"service": "same"}, "classification": {"service": "Same"}},
            "similarity.service: 'same' is the",
        ),
        ({"similarity": {"repository": "/data/classes/"}}, "/data/classes/ holds classification.repository"),
        ({"similarity": {"repository": "/data"}}, "/data holds classification.repository (/data/classes)"),
        (
            {"similarity": {"repository": "/m"}},
            "/m holds def (/m/net.prototxt): give similarity a repository of its own",
        ),
        ({"similarity": {"repository": "/x/../m"}}, "/x/../m holds def (/m/net.prototxt)"),
        (
            {"similarity": {"weights": None}},
            "similarity.weights: missing: name both def and weights, so that the index",
        ),
        ({"similarity": {"def": None}}, "similarity.def: missing: name both def and weights"),
        ({"similarity": {"template": "googlenet"}}, "similarity.template: def is given too"),
        ({"similarity": {"repository": "/data/my-corresp"}}, "'/data/my-corresp': rename, a server takes 'corresp'"),
        ({"classification": {"repository": "/x.caffemodel/y"}}, "rename, a server takes '.caffemodel'"),
        ({"network": {"scale": 0.5}}, "network.scale: a Caffe server ignores it"),
        ({"network": {"std": [1, 1, 1]}}, "network.std: a Caffe server ignores it"),
        ({"network": {"gpuid": 0}}, "network.gpuid: a server that is told a GPU uses it"),
        ({**TORCH, "similarity": {"extract_layer": "pool5"}}, "similarity.extract_layer: a Torch server knows only"),
        ({**TORCH, "index": {"backend": "auto"}}, "index.backend: with mllib torch write local"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """Settings that would endanger the network or the server, or do nothing, are refused."""
    said = problems(remote(tmp_path, **changes))
    assert len(said) == 1
    assert expected in said[0]


def test_torch(tmp_path: Path) -> None:
    """Torch extracts on a supervised service from the network in the repository; vectors then live with ddsim."""
    found = load(remote(tmp_path, **{**TORCH, "network": {**TORCH["network"], "std": [58], "scale": 1}}))
    assert found.index.backend == "local"
    assert found.similarity_spec() == ServiceSpec(
        name="mine-similar",
        mllib="torch",
        repository="/data/net",
        nclasses=5,
        std=(58.0, 58.0, 58.0),
        scale=1.0,
    )


def test_several_problems(tmp_path: Path) -> None:
    """All problems come together, one a line, in the file's order, each once although two services share it."""
    text = """\
server: http://host
network:
  weights: /m/w
  def: ${DDSIM_NONE}
  width: wide
  nclasses: 2
classification:
  repository: x
similarity:
  repository: /data/similar
upload:
  shrink: "yes"
"""
    assert [" ".join(line.split()[:2]) for line in problems(write(tmp_path, text))] == [
        "4: network.def:",
        "5: network.width:",
        "8: classification.repository:",
        "9: similarity.extract_layer:",
        "12: upload.shrink:",
    ]


def test_hidden_mistake_in_network(tmp_path: Path) -> None:
    """What is wrong under network is said although every service overrides it."""
    file = remote(tmp_path, network={"width": "x"}, similarity={"width": 9}, classification={"width": 9})
    assert "network.width: 'x' given, expected a whole number" in problems(file)[0]


def test_value_from_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value that came from a variable is shown with the variable."""
    monkeypatch.setenv("SIDE", "wide")
    assert "'wide' (from ${SIDE}) given, expected" in problems(remote(tmp_path, network={"width": "${SIDE}"}))[0]


@pytest.mark.parametrize(
    ("written", "size"),
    [("16MB", 16_000_000), ("500 kB", 500_000), ("1.5MiB", 1_572_864), (200_000, 200_000), ("300000", 300_000)],
)
def test_sizes(tmp_path: Path, written: object, size: int) -> None:
    """Sizes may be numbers or carry a unit."""
    assert load(remote(tmp_path, index={"batch_bytes": written})).index.batch_bytes == size


@pytest.mark.parametrize("kind", ["Flat", "IVF100,Flat", "HNSW32", "PCA64,Flat"])
def test_index_types(tmp_path: Path, kind: str) -> None:
    """The forms of index that were seen to work on a server are accepted."""
    assert load(remote(tmp_path, similarity={"index_type": kind})).similarity.index_type == kind


def test_upload_options(tmp_path: Path) -> None:
    """Pictures are shrunk to the larger of the two networks' inputs, or not at all."""
    file = remote(tmp_path, similarity={"width": 96}, classification={"height": 300}, upload={"max_bytes": "1MB"})
    assert load(file).upload_options() == Upload((224, 300), quality=95, max_bytes=1_000_000)
    assert load(remote(tmp_path, upload={"shrink": False})).upload_options().shrink is None


def test_categories(tmp_path: Path) -> None:
    """Labels are mapped to categories inline or in a file beside; labels that look like numbers are labels."""
    inline = load(write(tmp_path, MINIMAL + "categories: {0: chair, no: lamp}"))
    assert inline.categories == {"0": "chair", "no": "lamp"}
    write(tmp_path, "n01 stool: chair\n", "furniture.yaml")
    assert load(write(tmp_path, MINIMAL + "categories: furniture.yaml")).categories == {"n01 stool": "chair"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a: b\nc: on", "{}:2: c: true given, expected text"), ("- a", "{}: a list given"), ("a: [", "{}:1: column 5: ")],
)
def test_wrong_categories_file(tmp_path: Path, text: str, expected: str) -> None:
    """What is wrong in a categories file is said with that file's name and line."""
    other = write(tmp_path, text, "other.yaml")
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, MINIMAL + "categories: other.yaml"))
    assert expected.format(other) in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is named; where ddsim ships one of that name, it is said how to get it."""
    assert problems(tmp_path / "none.yaml") == [" no such file"]
    assert "`ddsim config init` writes it" in problems(tmp_path / "demo.yaml")[0]
    assert problems(tmp_path) == [" cannot be read: Is a directory"]


def test_settings_are_frozen(tmp_path: Path) -> None:
    """Settings cannot be changed after they were checked."""
    with pytest.raises(ValidationError, match="frozen"):
        load(write(tmp_path, MINIMAL)).similarity.width = 3  # type: ignore[misc]


def test_settings_know_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of them. One that comes with ddsim is told by where it would lie here."""
    first = load(write(tmp_path, MINIMAL))
    second = load(write(tmp_path, dump(first), "second.yaml"))
    assert (first.file, second.file) == (tmp_path / "mine.yaml", tmp_path / "second.yaml")
    assert first.with_backend("local").file == first.file
    assert first.read_from(tmp_path / "third.yaml") == first
    monkeypatch.chdir(tmp_path)
    assert load("demo").file == tmp_path / "configs" / "demo.yaml"


def test_what_is_shipped() -> None:
    """The demo, and a configuration for each network that is worth a try."""
    names = ["demo", "googlenet", "milvus", "photos", "resnet50", "squeezenet", "torch", "vgg16"]
    assert list(shipped()) == [f"{name}.yaml" for name in names]


@pytest.mark.parametrize("name", [name for name in shipped() if name != "photos.yaml"])
def test_shipped_configurations(name: str) -> None:
    """Every shipped configuration loads, names two services, and maps labels to the demo's five categories."""
    found = load(shipped()[name])
    assert found.classification_spec() is not None
    assert found.similarity_spec().body()
    assert set(found.categories.values()) == {"chair", "lamp", "table", "bed", "sofa"}


@pytest.mark.parametrize("name", ["demo.yaml", "googlenet.yaml", "resnet50.yaml"])
def test_the_articles_layer(name: str) -> None:
    """The demo and both networks of the official image are asked for the layer by the article's name."""
    assert load(shipped()[name]).similarity.extract_layer == "pool5/7x7_s1"


def test_demo_configuration() -> None:
    """The demo needs no server: the model is ddsim's own and everything is written beside the configurations."""
    found, home = load(shipped()["demo.yaml"]), shipped()["demo.yaml"].parent.parent
    assert found.server.embedded
    assert (found.catalogue, found.state) == (home / "demo/catalogue", home / ".ddsim")
    for spec in (found.classification_spec(), found.similarity_spec()):
        assert spec is not None
        assert Path(spec.repository).is_relative_to(home / ".ddsim/demo")
        assert spec.weights == str(Path(config.__file__).parents[1] / "embedded/models/demo/demo.caffemodel")


def test_demo_configuration_fits_its_model() -> None:
    """Size and labels in the demo's configuration are those of the model's own files."""
    found = load(shipped()["demo.yaml"])
    part = found.similarity
    assert part.definition is not None
    assert part.corresp is not None
    assert f"height: {part.height} width: {part.width} " in Path(part.definition).read_text("utf-8")
    labels = [line.partition(" ")[2] for line in Path(part.corresp).read_text("utf-8").splitlines()]
    assert (labels, len(labels)) == (list(found.categories), part.nclasses)


def test_article_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The article's configuration: ResNet-50 in the server's index, its address from the environment."""
    monkeypatch.delenv("DDSIM_URL", raising=False)
    assert load(shipped()["resnet50.yaml"]).server.url == "http://localhost:8080"
    monkeypatch.setenv("DDSIM_URL", "http://gpu-box:9000/")
    found = load(shipped()["resnet50.yaml"])
    assert (found.server.url, found.index.backend) == ("http://gpu-box:9000", "server")
    assert found.similarity_spec().body()["parameters"]["input"]["mean"] == [103.06, 115.9, 123.15]


def test_write_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations of a wheel are copied with their folders; files that are there stay unless told otherwise."""
    (tmp_path / "package/_configs/categories").mkdir(parents=True)
    for name in ("a.yaml", "categories/b.yaml", ".hidden"):
        write(tmp_path / "package/_configs", "name: x\n", name)
    monkeypatch.setattr(shipping, "_PACKAGE", tmp_path / "package")
    target = tmp_path / "deep/configs"
    assert list(shipped()) == ["a.yaml"]
    assert write_shipped(target) == [target / "a.yaml", target / "categories/b.yaml"]
    write(target, "mine", "a.yaml")
    assert write_shipped(target) == []
    assert (target / "a.yaml").read_text() == "mine"
    assert write_shipped(target, overwrite=True) == [target / "a.yaml", target / "categories/b.yaml"]
    assert (target / "a.yaml").read_text() == "name: x\n"


def test_write_shipped_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be made, and an installation without configurations, are said."""
    with pytest.raises(ConfigError, match="cannot be written"):
        write_shipped(write(tmp_path, "a file", "taken"))
    monkeypatch.setattr(shipping, "_PACKAGE", tmp_path / "package")
    with pytest.raises(ConfigError, match="install ddsim again"):
        write_shipped(tmp_path / "out")


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
names = st.text(string.ascii_letters, min_size=1, max_size=8)
raws = st.fixed_dictionaries(
    {
        "server": st.sampled_from(["embedded", "http://host:1", {"url": "https://host/dd"}]),
        "network": st.fixed_dictionaries(
            {"def": st.just("/m/d"), "weights": st.just("/m/w"), "nclasses": st.integers(1, 10**6)},
            optional={
                "mean": st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
                "gpu": st.just(True),
                "template": st.none(),
                "corresp": words.map(lambda text: f"/m/{text}"),
                "rgb": st.booleans(),
                "width": st.integers(1, 4096),
            },
        ),
        "similarity": st.fixed_dictionaries({"extract_layer": words, "repository": st.just("/data/similar")}),
    },
    optional={
        "name": names,
        "catalogue": words,
        "state": words,
        "classification": st.fixed_dictionaries({"repository": st.just("/data/c")}, optional={"height": st.just(9)}),
        "index": st.fixed_dictionaries({}, optional={"batch_size": st.integers(1, 256), "backend": st.just("auto")}),
        "categories": st.dictionaries(words, words, max_size=4),
        "upload": st.fixed_dictionaries({}, optional={"shrink": st.booleans(), "quality": st.integers(1, 100)}),
    },
)


def escaped(value: Any) -> Any:
    """Raw settings as they are written: a dollar sign is doubled."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return value.replace("$", "$$") if isinstance(value, str) else value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=raws)
@example(
    raw={
        "server": "embedded",
        "network": {"def": "/m/d", "weights": "/m/w", "nclasses": 1},
        "similarity": {"extract_layer": "l", "repository": "/data/similar"},
        "categories": {"a\x85b": "\u2028"},
    }
)
def test_dump_loads_as_the_same(tmp_path: Path, raw: dict[str, Any]) -> None:
    """What dump writes loads as equal settings, from another folder too, and dumps as the same text."""
    first = load(write(tmp_path, yaml.safe_dump(escaped(raw))))
    assert {**first.categories} == raw.get("categories", {})
    (tmp_path / "other").mkdir(exist_ok=True)
    second = load(write(tmp_path / "other", dump(first), "other.yaml"))
    assert second == first
    assert dump(second) == dump(first)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | words,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["server", "network", "similarity", "classification", "index", "mean", "name", "x"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_nothing_but_config_errors(tmp_path: Path, raw: Any) -> None:
    """Whatever a file holds, it loads or is a ConfigError with its name on every line."""
    file = write(tmp_path, yaml.safe_dump(raw, allow_unicode=True))
    try:
        load(file)
    except ConfigError as error:
        assert all(line.startswith(str(file)) for line in str(error).splitlines())  # noqa: PT017


@pytest.mark.parametrize(
    "section",
    ["server", "catalogue", "network", "classification", "similarity", "index", "routing", "upload", "web"],
)
def test_a_key_that_no_section_knows_is_told(tmp_path: Path, section: str) -> None:
    """Whatever section it stands in."""
    file = tmp_path / "own.yaml"
    file.write_text(f"{section}: {{nonsense: 1}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{section}\.nonsense: unknown key"):
        load(file)
