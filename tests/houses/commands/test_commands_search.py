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

import ddsim.commands.photos
from ddsim.commands.app import app
from ddsim.pictures import Fetching


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


def test_search_for_more_than_there_is(indexed: Shop) -> None:
    """-k of a billion finds all there are."""
    assert len(rows(command(indexed, "search", "catalogue/lamp/a.png", "--all", "-k", 10**9))) == 4


def test_hints_keep_what_was_given(shop: Shop) -> None:
    """A command that an error advises has the configuration and the folder of the one that failed."""
    line = error_line(command(shop, "search", "catalogue/lamp/a.png", "--catalogue", "catalogue/bed"), 2)
    assert f"`ddsim index catalogue/bed --config {shop.config}`" in line


def test_search_before_index(shop: Shop) -> None:
    """Where nothing was indexed, exit code 2 with the folder and what to do; looking does not change what is next."""
    line = error_line(command(shop, "search", "catalogue/lamp/a.png"), 2)
    assert f"nothing of {shop.catalogue} is indexed" in line
    assert f"run `ddsim index --config {shop.config}`" in line
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
    """A place that cannot be written to is named with the reason before anything is searched for."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "--sheet", place)
    assert error_line(result, 2).startswith(f"error: --sheet {place}: cannot be written: ")


def test_a_sheet_is_a_png(indexed: Shop) -> None:
    """Another ending is refused, for what would be written is a PNG file all the same."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "--sheet", "found.jpg")
    assert error_line(result, 2) == "error: --sheet found.jpg: a PNG file is written: give it the ending .png\n"


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


# Several photos


def test_several_photos_and_folders(indexed: Shop) -> None:
    """Each is named above what was found for it; the pictures of a folder come in the order of their names."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "catalogue/bed", "-k", 1, "--all")
    assert (result.exit_code, result.stderr) == (0, "")
    heads = [line for line in result.stdout.splitlines() if line.startswith("catalogue/")]
    assert heads == ["catalogue/lamp/a.png", "catalogue/bed/c.png", "catalogue/bed/d.png"]
    assert [row[1] for row in rows(result)] == ["lamp/a.png", "bed/c.png", "bed/d.png"]


def test_one_of_several_fails(indexed: Shop) -> None:
    """The others are answered; what failed is said with its reason, and the exit code is 1."""
    (indexed.root / "bad.jpg").write_bytes(b"")
    result = command(indexed, "search", "catalogue/lamp/a.png", "bad.jpg", "gone.jpg", "catalogue/bed/c.png", "-k", 1)
    assert result.exit_code == 1
    assert [row[1] for row in rows(result)] == ["lamp/a.png", "bed/c.png"]
    assert result.stderr.splitlines() == [
        "error: bad.jpg: empty, 0 bytes",
        "error: gone.jpg: no such file or directory",
    ]


def test_several_as_json(indexed: Shop) -> None:
    """Then it is an object of results and of what failed; one photo is an object by itself, a folder is not."""
    value = json.loads(command(indexed, "search", "catalogue/lamp/a.png", "gone.jpg", "--json").stdout)
    assert [one["query"] for one in value["results"]] == ["catalogue/lamp/a.png"]
    assert value["failed"] == [{"query": "gone.jpg", "reason": "no such file or directory"}]
    assert command(indexed, "search", "gone.jpg", "also-gone.jpg", "--json").exit_code == 1
    folder = indexed.root / "one"
    folder.mkdir()
    picture(3).save(folder / "x.png")
    assert len(json.loads(command(indexed, "search", folder, "--json").stdout)["results"]) == 1


def test_many_photos_go_in_batches(tapped: Shop) -> None:
    """No call holds more photos than the configuration says."""
    command(tapped, "index")
    tapped.configure(index={"batch_size": 3})
    tapped.tap.sent.clear()
    result = command(tapped, "search", *["catalogue/lamp/a.png"] * 7, "--json", "--all")
    assert len(json.loads(result.stdout)["results"]) == 7
    searches = [sent for sent in tapped.tap.sent if sent.path == "/predict" and sent.output.get("search")]
    assert [len(sent.ids) for sent in searches] == [3, 3, 1]


def test_a_folder_without_pictures(indexed: Shop) -> None:
    """It is named; hidden files and the litter of machines are no pictures."""
    (indexed.root / "bare" / "@eaDir").mkdir(parents=True)
    picture(3).save(indexed.root / "bare" / "@eaDir" / "x.png")
    picture(3).save(indexed.root / "bare" / ".x.png")
    assert "bare: there is no picture in this folder" in error_line(command(indexed, "search", "bare"), 2)


def test_a_photo_from_standard_input(indexed: Shop) -> None:
    """`-` reads one; nothing on it, or no picture, is said of it, and it is there once."""
    content = (indexed.catalogue / "lamp" / "a.png").read_bytes()
    arguments = ["search", "--config", str(indexed.config), "-", "--all"]
    result = RUN.invoke(app, arguments, input=content)
    assert result.exit_code == 0
    assert rows(result)[0][1] == "lamp/a.png"
    assert error_line(RUN.invoke(app, arguments, input=b""), 2) == "error: -: nothing came on standard input\n"
    assert error_line(RUN.invoke(app, arguments, input=b"words"), 2).startswith("error: -: ")
    assert "given twice" in error_line(RUN.invoke(app, [*arguments, "-"], input=content), 2)


def test_a_photo_from_an_address(indexed: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fetched within the configuration's limit; the own network is asked only where that is allowed."""
    asked: list[Fetching] = []

    def fetch(url: str, fetching: Fetching) -> bytes:
        asked.append(fetching)
        return (indexed.catalogue / "lamp" / "a.png").read_bytes()

    monkeypatch.setattr(ddsim.commands.photos, "fetch", fetch)
    indexed.configure(upload={"max_bytes": 1_000_000})
    result = command(indexed, "search", "https://shop.example/a.png", "--json", "--all")
    assert json.loads(result.stdout)["query"] == "https://shop.example/a.png"
    assert command(indexed, "search", "http://10.0.0.1/a.png", "--allow-private", "--all").exit_code == 0
    assert [(one.max_bytes, one.allow_private) for one in asked] == [(1_000_000, False), (1_000_000, True)]


def test_addresses_of_other_kinds(indexed: Shop) -> None:
    """They are not fetched, and not taken for paths."""
    assert "ftp://x/y.jpg: an address is given" in error_line(command(indexed, "search", "ftp://x/y.jpg"), 2)


def test_nothing_is_fetched_where_nothing_can_be_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is indexed no address is asked."""
    monkeypatch.setattr(ddsim.commands.photos, "fetch", interrupt)
    assert "is indexed" in error_line(command(shop, "search", "https://shop.example/a.png"), 2)


def test_paths_alone(indexed: Shop) -> None:
    """One a line, as the disk has them, for other programs."""
    result = command(indexed, "search", "catalogue/lamp/a.png", "--category", "bed", "--paths")
    assert {Path(line).name for line in result.stdout.splitlines()} == {"c.png", "d.png"}
    assert all(Path(line).samefile(indexed.catalogue / "bed" / Path(line).name) for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    "options",
    [
        ("--all", "--category", "bed"),
        ("--json", "--paths"),
        ("--open", "catalogue/bed/c.png"),
        ("--pictures",),
        ("--pictures", "--json"),
        ("--pictures", "--paths"),
    ],
)
def test_options_that_contradict_one_another(indexed: Shop, options: tuple[str, ...]) -> None:
    """Exit code 2 with a sentence; so is a wish that this terminal cannot fulfil."""
    assert options[0] in error_line(command(indexed, "search", "catalogue/lamp/a.png", *options), 2)


def test_sheets_of_several(indexed: Shop) -> None:
    """Each photo has its number in its file's name, the failed ones count."""
    command(indexed, "search", "catalogue/lamp/a.png", "gone.png", "catalogue/bed/c.png", "--sheet", "found.png")
    assert sorted(path.name for path in indexed.root.glob("found*")) == ["found-1.png", "found-3.png"]


@pytest.mark.parametrize("there", [True, False])
def test_the_sheet_in_the_browser(indexed: Shop, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """--open shows it, and says where it is where there is no browser."""
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: shown.append(url) or there)
    result = command(indexed, "search", "catalogue/lamp/a.png", "--open")
    assert result.exit_code == 0
    (url,) = shown
    with Image.open(url.removeprefix("file://")) as sheet:
        assert sheet.width > 1000
    assert ("no browser was found" in result.stderr) is not there


def test_labels_stand_in_the_table(indexed: Shop) -> None:
    """Where there is a classifier its labels are printed beside the categories."""
    assert re.search(
        r"^labels: n0000000\d \w+ \d+\.\d%  ", command(indexed, "search", "catalogue/lamp/a.png").stdout, re.M
    )
    indexed.configure(classification=None)
    assert "labels:" not in command(indexed, "search", "catalogue/lamp/a.png").stdout
