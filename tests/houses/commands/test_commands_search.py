"""`ddsim search`: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from shop import Shop, picture
from terminal import ODD_NAMES, RUN, command, error, error_line, interrupt, run
from typer.testing import Result

from ddsim.commands.app import app


@pytest.fixture(scope="module")
def main_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same, indexed."""
    shop = Shop(tmp_path_factory.mktemp("main"))
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png")
    with shop.search() as search:
        search.index()
    return shop


@pytest.fixture
def indexed(main_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A branch of that, and the current folder in it; for tests that search only."""
    monkeypatch.chdir(tmp_path)
    return main_shop.branch(tmp_path)


def rows(result: Result) -> list[list[str]]:
    """The table's rows, split at runs of spaces."""
    lines = [line for line in result.stdout.splitlines() if re.match(r" *\d+ ", line)]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_search(indexed: Shop) -> None:
    """Categories come first, then what was searched, then the neighbours: rank, picture, category, distance, score."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "--all")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert re.match(r"lamp \d+\.\d%  bed \d+\.\d%\nsearched: all categories\n", result.stdout)
    found = rows(result)
    assert found[0] == ["1", "lamp/a.png", "lamp", "0", "100.0%"]
    assert [row[0] for row in found] == ["1", "2", "3", "4"]
    assert {row[1] for row in found} == {"lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png"}


def test_search_prints_what_the_labels_say(indexed: Shop) -> None:
    """Where the configuration maps labels to categories, those are printed; where no category is known, the labels."""
    every = {f"n0000000{number}": "furniture" for number in range(1, 6)}
    indexed.configure(categories=every, routing={"by": "service"})
    result = command(indexed, "search", "catalogue/lamp/a.png")
    assert result.stdout.startswith("furniture 100.0%\nsearched: all categories\n")
    indexed.configure(categories={"n9": "lamp"}, routing={"by": "service"})
    result = command(indexed, "search", "catalogue/lamp/a.png")
    assert re.match(r"n0000000\d \w+ \d+\.\d%  n0000000\d ", result.stdout)


def test_search_says_that_nothing_is_similar(shop: Shop) -> None:
    """Where even the nearest is too far, a line says so and why; the neighbours are printed all the same."""
    command(shop, "index")
    picture(60).save(shop.root / "query.png")
    assert "Nothing similar" not in command(shop, "search", "query.png", "--all").stdout
    with shop.collection() as collection:
        kept = collection.manifest.get_meta("learned")
        kept["learned"]["reach"] = 1e-3
        collection.manifest.set_meta(learned=kept)
    result = command(shop, "search", "query.png", "--all")
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("Nothing similar enough: ")]
    assert "99 of 100" in line
    assert len(rows(result)) == 4


def test_search_as_json(indexed: Shop) -> None:
    """With --json standard output is one object with these keys and nothing else."""
    result = command(indexed, "search", "catalogue/bed/d.png", "--json", "-k", 2, "--category", "bed")
    assert result.exit_code == 0
    value = json.loads(result.stdout)
    keys = ["query", "remark", "searched", "nothing_similar", "labels", "categories", "neighbours", "timings", "sheet"]
    assert list(value) == keys
    assert (value["query"], value["searched"], value["sheet"]) == ("catalogue/bed/d.png", ["bed"], None)
    assert value["nothing_similar"] is None
    assert value["labels"][0].keys() == {"name", "probability"}
    assert {one["name"]: (one["searched"], one["why"]) for one in value["categories"]} == {
        "bed": (True, "asked for"),
        "lamp": (False, "another category was asked for"),
    }
    assert all(0 <= one["probability"] <= 1 for one in value["categories"])
    assert value["timings"].keys() == {"prepare", "classify", "search", "total"}
    assert [neighbour["rank"] for neighbour in value["neighbours"]] == [1, 2]
    first = {"rank": 1, "uri": "bed/d.png", "category": "bed"}
    path = value["neighbours"][0]["path"]
    assert Path(path).samefile(indexed.catalogue / "bed/d.png")
    assert value["neighbours"][0] == {
        **first,
        "product": None,
        "path": path,
        "distance": 0.0,
        "score": 1.0,
        "also": [],
    }


def test_search_one_category(indexed: Shop) -> None:
    """--category leaves the others out."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "--category", "bed")
    assert {row[2] for row in rows(result)} == {"bed"}
    assert "\nsearched: bed\n" in result.stdout


def test_search_several_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--category may be given again; all that are named are searched, and no other."""
    monkeypatch.chdir(tmp_path)
    shop = Shop(tmp_path)
    shop.add("lamp/a.png", "bed/c.png", "sofa/e.png")
    assert command(shop, "index").exit_code == 0
    result = command(shop, "search", "catalogue/sofa/e.png", "--category", "bed", "--category", "lamp")
    assert {row[2] for row in rows(result)} == {"bed", "lamp"}
    assert "\nsearched: bed, lamp\n" in result.stdout


def test_search_an_unknown_category(indexed: Shop) -> None:
    """A category that the catalogue lacks is refused with those that it has."""
    line = error_line(command(indexed, "search", "catalogue/lamp/a.png", "--category", "lmap"), 2)
    assert "'lmap'" in line
    assert "bed, lamp" in line


@pytest.mark.parametrize("k", ["0", "-1", "many"])
def test_search_with_a_wrong_k(indexed: Shop, k: str) -> None:
    """-k must be a number from 1."""
    assert "-k" in error(command(indexed, "search", "catalogue/lamp/a.png", "-k", k), 2)


def test_search_before_index(shop: Shop) -> None:
    """Where nothing was indexed, exit code 2 with the folder and what to do; looking does not change what is next."""
    line = error_line(command(shop, "search", "catalogue/lamp/a.png"), 2)
    assert f"nothing of {shop.catalogue} is indexed" in line
    assert "run `ddsim index`" in line
    assert command(shop, "index").exit_code == 0
    assert command(shop, "search", "catalogue/lamp/a.png").exit_code == 0


def test_another_folder_is_searched_by_default(shop: Shop) -> None:
    """After `ddsim index FOLDER` searches go there, until the configuration's own catalogue is indexed as well."""
    (shop.root / "other" / "x").mkdir(parents=True)
    picture(50).save(shop.root / "other" / "x" / "1.png")
    assert command(shop, "search", "catalogue/lamp/a.png").exit_code == 2
    assert command(shop, "index", "other").exit_code == 0
    result = command(shop, "search", "catalogue/lamp/a.png", "--sheet", "found.png")
    assert result.exit_code == 0
    assert [row[1] for row in rows(result)] == ["x/1.png"]
    assert command(shop, "index").exit_code == 0
    assert {row[2] for row in rows(command(shop, "search", "catalogue/lamp/a.png", "--all"))} == {"lamp", "bed"}
    result = command(shop, "search", "catalogue/lamp/a.png", "--catalogue", "other")
    assert [row[1] for row in rows(result)] == ["x/1.png"]


def test_a_search_during_a_run(tapped: Shop) -> None:
    """While a run is at work and has nothing unbuilt, searches go on."""
    command(tapped, "index")
    with tapped.collection() as collection, collection.manifest.writing():
        assert command(tapped, "search", "catalogue/lamp/a.png").exit_code == 0


@pytest.mark.parametrize(("name", "content"), [("gone.jpg", None), ("empty.jpg", b""), ("text.jpg", b"words")])
def test_search_a_bad_photo(indexed: Shop, name: str, content: bytes | None) -> None:
    """A photo that cannot be read is named with the reason."""
    if content is not None:
        (indexed.root / name).write_bytes(content)
    assert f"{name}: " in error_line(command(indexed, "search", name), 2)


@pytest.mark.parametrize("name", ["[red]x[/].jpg", "[bold].jpg", ":car:.jpg", "\\[red]x.jpg", "a  b.jpg"])
def test_odd_names_in_messages(indexed: Shop, name: str) -> None:
    """The name of a bad photo is printed as it is."""
    (indexed.root / name).parent.mkdir(exist_ok=True)
    (indexed.root / name).write_bytes(b"")
    assert error_line(command(indexed, "search", name), 2) == f"error: {name}: empty, 0 bytes\n"


def test_odd_names_in_the_table(shop: Shop) -> None:
    """Pictures and categories are printed as they are called, on one line each, however long."""
    categories = {name: "[bold] :car: \\[x]" if len(name) < 100 else "lamp" for name in ODD_NAMES}
    paths = {name: shop.add(f"{category}/{name}")[0] for name, category in categories.items()}
    command(shop, "index")
    for name, category in categories.items():
        result = command(shop, "search", paths[name], "-k", 1)
        assert result.exit_code == 0
        (line,) = [line for line in result.stdout.splitlines() if line.lstrip().startswith("1 ")]
        assert f"{category}/{name} " in line
        assert line.split(f"{category}/{name} ")[1].split() == [*category.split(), "0", "100.0%"]


def test_a_photo_whose_name_begins_with_a_dash(indexed: Shop) -> None:
    """Such a name goes after two dashes."""
    picture(3).save(indexed.root / "-x.png")
    result = command(indexed, "search", "--all", "--", "-x.png")
    assert result.exit_code == 0
    assert len(rows(result)) == 4


def test_search_draws_a_sheet(indexed: Shop) -> None:
    """--sheet writes a PNG, says where, and overwrites."""
    for _ in range(2):
        result = command(indexed, "search", "catalogue/lamp/a.png", "--sheet", "found.png")
        assert result.exit_code == 0
        assert result.stdout.endswith("sheet: found.png\n")
    with Image.open(indexed.root / "found.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 1000
    result = command(indexed, "search", "catalogue/lamp/a.png", "--json", "--sheet", "found.png")
    assert json.loads(result.stdout)["sheet"] == "found.png"


@pytest.mark.parametrize("place", ["nowhere/found.png", "catalogue", "shop.yaml/found.png"])
def test_a_sheet_that_cannot_be_written(indexed: Shop, place: str) -> None:
    """A place that cannot be written to is named with the reason; what was found is printed all the same."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "--sheet", place)
    assert result.exit_code == 2
    assert f"--sheet {place}: cannot be written: " in result.stderr
    assert result.stderr.count("\n") == 1
    assert rows(result)[0][1] == "lamp/a.png"
    assert "sheet:" not in result.stdout


def test_search_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration the error says which is missing and how to get it."""
    monkeypatch.chdir(tmp_path)
    line = error_line(run("search", "x.jpg"), 2)
    assert "configs/resnet50.yaml" in line
    assert "ddsim config init" in line


def test_the_environment_names_a_configuration(indexed: Shop) -> None:
    """DDSIM_CONFIG stands in for --config."""
    result = RUN.invoke(app, ["search", "catalogue/lamp/a.png"], env={"DDSIM_CONFIG": str(indexed.config)})
    assert result.exit_code == 0


def test_interrupted_search(tapped: Shop) -> None:
    """Ctrl-C ends a search with 130, too."""
    assert command(tapped, "index").exit_code == 0
    tapped.tap.faults.append(lambda sent, _: interrupt() if sent.path == "/predict" else None)
    assert "Interrupted" in error(command(tapped, "search", "catalogue/lamp/a.png"), 130)
