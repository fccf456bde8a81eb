"""The table of ImageNet labels and the configurations that are shipped for real servers."""

import re
from pathlib import Path

import pytest
from terminal import run

from ddsim.config.loading import load, shipped
from ddsim.deepdetect.results import Label
from ddsim.routing.categories import by_labels

TABLE = shipped()["resnet50.yaml"].parent / "categories" / "furniture.yaml"
CORRESPS = sorted((Path(__file__).parents[4] / "shared" / "models").glob("*/corresp.txt"))

# What the labels are called in the networks' label files, after the number and the synset.
FURNITURE = {
    "chair": {
        "n02791124": "barber chair",
        "n03376595": "folding chair",
        "n03891251": "park bench",
        "n04099969": "rocking chair, rocker",
        "n04429376": "throne",
    },
    "lamp": {
        "n02948072": "candle, taper, wax light",
        "n03637318": "lampshade, lamp shade",
        "n04380533": "table lamp",
    },
    "table": {
        "n03179701": "desk",
        "n03201208": "dining table, board",
        "n03982430": "pool table, billiard table, snooker table",
    },
    "bed": {
        "n02804414": "bassinet",
        "n03125729": "cradle",
        "n03131574": "crib, cot",
        "n03388549": "four-poster",
        "n03788365": "mosquito net",
        "n04033995": "quilt, comforter, comfort, puff",
    },
    "sofa": {"n04344873": "studio couch, day bed"},
}
IMAGENET = ["googlenet.yaml", "resnet50.yaml", "squeezenet.yaml", "torch.yaml", "vgg16.yaml"]


@pytest.fixture(scope="module", params=CORRESPS or [None], ids=lambda path: path.parent.name if path else "none")
def labels(request: pytest.FixtureRequest) -> dict[str, str]:
    """Synset -> words of the real 1,000 labels, of each network that is there."""
    if request.param is None:
        pytest.skip("no label file beside the checkout")
    rows = (line.split(" ", 2) for line in request.param.read_text("utf-8").splitlines())
    return {synset: words.strip() for _, synset, words in rows}


def test_every_label_leads_to_its_category() -> None:
    """The table says of each label what was decided, of all five categories, and nothing of others."""
    decided = {synset: category for category, names in FURNITURE.items() for synset in names}
    assert load(shipped()["resnet50.yaml"]).categories == decided


def test_the_table_tells_each_labels_words() -> None:
    """Beside every number stands what it means, so that nobody has to look it up."""
    lines = re.findall(r"^(n\d{8}): (\w+) +# (.+)$", TABLE.read_text("utf-8"), re.MULTILINE)
    assert len(lines) == sum(map(len, FURNITURE.values()))
    assert all(FURNITURE[category][synset] == words for synset, category, words in lines)


def test_labels_are_imagenets(labels: dict[str, str]) -> None:
    """Every label exists in the label file of a real network, in these very words."""
    assert len(labels) == 1000
    for names in FURNITURE.values():
        assert names.items() <= labels.items()


def test_real_labels_add_up_to_categories(labels: dict[str, str]) -> None:
    """A thousand labels as a server names them, equally probable: each category gets as many parts as it has labels."""
    named = [Label(f"{synset} {words}", 1 / 1000) for synset, words in labels.items()]
    shares = by_labels(named, load(shipped()["resnet50.yaml"]).categories)
    assert shares == pytest.approx({category: len(names) / 1000 for category, names in FURNITURE.items()})


@pytest.mark.parametrize("category", FURNITURE)
def test_one_sure_label_is_its_category(labels: dict[str, str], category: str) -> None:
    """Each label alone leads to its category and no other, with all its probability."""
    table = load(shipped()["resnet50.yaml"]).categories
    for synset in FURNITURE[category]:
        rest = [Label(f"{other} {words}", 0.0) for other, words in labels.items() if other != synset]
        shares = by_labels([Label(f"{synset} {labels[synset]}", 0.9), *rest], table)
        assert {name: share for name, share in shares.items() if share} == {category: 0.9}


def test_labels_that_are_left_out(labels: dict[str, str]) -> None:
    """What the table names as left out exists, is called so, and is really left out."""
    text = TABLE.read_text("utf-8").partition("# Left out")[2]
    left_out = dict(re.findall(r"(n\d{8}) ([a-z' -]+?)(?=  |:|$)", text, re.MULTILINE))
    assert len(left_out) == len(re.findall(r"n\d{8}", text)) > 20
    assert not left_out.keys() & load(shipped()["resnet50.yaml"]).categories.keys()
    assert {synset: labels[synset].partition(",")[0] for synset in left_out} == left_out


def test_no_furniture_was_overlooked(labels: dict[str, str]) -> None:
    """Every label with a word for furniture or light in it is in the table or named as left out."""
    word = re.compile(
        r"\b(chair|couch|sofa|bench|throne|seat|swing|desk|table|board|pedestal|lamp|lampshade|light|spotlight|torch"
        r"|candle|lantern|beacon|bed|crib|cot|cradle|bassinet|four-poster|quilt|pillow|cabinet|chest|wardrobe|bookcase)\b"
    )
    near = {synset for synset, words in labels.items() if word.search(words)}
    # A mollusc (sea cradle), and a small belfry (bell cot).
    assert near - {"n01955084", "n02825657"} <= set(re.findall(r"n\d{8}", TABLE.read_text("utf-8")))


@pytest.mark.parametrize("name", IMAGENET)
def test_configurations_share_the_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every configuration with a network of ImageNet's labels loads, has two services on one server, and the table."""
    monkeypatch.setenv("DDSIM_URL", "http://elsewhere:1")
    found, classes = load(shipped()[name]), load(shipped()[name]).classification
    assert classes is not None
    assert (found.name, found.server.url, classes.nclasses) == (name.removesuffix(".yaml"), "http://elsewhere:1", 1000)
    assert found.categories == load(shipped()["resnet50.yaml"]).categories
    assert found.catalogue == shipped()[name].parent.parent / "catalogue"


def test_configurations_do_not_meet_on_a_server() -> None:
    """All of them can be used on one server: no two of their services have a name or a repository in common."""
    every = [load(shipped()[name]) for name in IMAGENET]
    parts = [part for found in every for part in (found.similarity, found.classification) if part]
    assert len({part.service for part in parts}) == len({part.repository for part in parts}) == 2 * len(IMAGENET)


@pytest.mark.parametrize(
    ("name", "layer", "side", "mean"),
    [
        # recordings/wire/61-golden-squeezenet-pool10 is of these files, this size and this mean.
        ("squeezenet.yaml", "pool10", 227, (104.0, 117.0, 123.0)),
        ("googlenet.yaml", "pool5/7x7_s1", 224, (104.0, 117.0, 123.0)),
        ("vgg16.yaml", "pool5", 224, (103.939, 116.779, 123.68)),
    ],
)
def test_caffe_networks(name: str, layer: str, side: int, mean: tuple[float, ...]) -> None:
    """Networks of a Caffe server give the vectors of a named layer into the server's index."""
    found = load(shipped()[name])
    part, spec = found.similarity, found.similarity_spec()
    assert (part.extract_layer, part.width, part.height, part.mean) == (layer, side, side, mean)
    assert (spec.type, spec.mllib, found.index.backend, part.rgb) == ("unsupervised", "caffe", "server", False)


def test_torch_network() -> None:
    """A Torch server's vectors are what a supervised service's network ends in, and they live with ddsim."""
    found = load(shipped()["torch.yaml"])
    spec = found.similarity_spec()
    assert (spec.type, spec.mllib, spec.nclasses, found.similarity.extract_layer) == (
        "supervised",
        "torch",
        2048,
        "last",
    )
    assert found.index.backend == "local"
    # recordings/torch/wire/13-input-parameters: scale first, then mean and std, in the order that rgb gives.
    assert (spec.rgb, spec.scale, spec.mean, spec.std) == (True, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert not spec.create_repository


def test_config_init_writes_the_table_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `ddsim config init` writes is complete: the copies load, with the same categories."""
    monkeypatch.chdir(tmp_path)
    assert "wrote mine/categories/furniture.yaml\n" in run("config", "init", "--all", "--folder", "mine").stdout
    assert (tmp_path / "mine/categories/furniture.yaml").read_bytes() == TABLE.read_bytes()
    for name, original in shipped().items():
        assert load(tmp_path / "mine" / name).categories == load(original).categories
