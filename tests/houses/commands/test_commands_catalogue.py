"""`ddsim catalogue`: what is indexed, what could not be, and taking pictures out."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest
from homes import HOMES, StrictTap
from shop import PATIENT, Shop, picture
from stock import wait_for_nothing
from terminal import ODD_NAMES, error_line, run
from typer.testing import Result

import ddsim.search.search
from ddsim import connect


def _shop(root: Path, home: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    settings, profile = HOMES[home]
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": settings}
    shop = Shop(root, base, tap=StrictTap(profile=profile))
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png")
    shop.add_bytes("lamp/bad.jpg", b"")
    monkeypatch.chdir(root)
    wait_for_nothing(monkeypatch)
    monkeypatch.setattr(ddsim.search.search, "connect", partial(connect, transport=shop.tap, retries=PATIENT))
    assert run("index", "--config", shop.config).exit_code == 1
    shop.tap.sent.clear()
    return shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Two lamps, two beds and a file that is no picture, indexed; the commands talk to the shop's server."""
    return _shop(tmp_path, "server", monkeypatch)


@pytest.fixture(params=["server", "local"])
def either(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The same in either home."""
    return _shop(tmp_path, request.param, monkeypatch)


def catalogue(shop: Shop, name: str, *args: object) -> Result:
    """One of the commands, with the shop's configuration."""
    return run("catalogue", name, "--config", shop.config, *args)


def test_list(shop: Shop) -> None:
    """One indexed picture a line, in order; the server is not asked."""
    result = catalogue(shop, "list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "bed/c.png\nbed/d.png\nlamp/a.png\nlamp/b.png\n"
    assert catalogue(shop, "list", "--category", "bed").stdout == "bed/c.png\nbed/d.png\n"
    assert json.loads(catalogue(shop, "list", "--json", "--category", "lamp").stdout) == {
        "indexed": ["lamp/a.png", "lamp/b.png"]
    }
    assert not shop.tap.sent


def test_odd_names_are_listed_as_they_are(tmp_path: Path) -> None:
    """Markup, emoji codes and length in a file name change nothing of what is printed."""
    shop = Shop(tmp_path)
    for name in ODD_NAMES:
        shop.add(f"lamp/{name}")
        shop.add_bytes(f"bed/{name}", b"")
    run("index", "--config", shop.config)
    assert catalogue(shop, "list").stdout.splitlines() == sorted(f"lamp/{name}" for name in ODD_NAMES)
    failed = catalogue(shop, "failures").stdout.splitlines()
    assert failed == [f"bed/{name}: empty, 0 bytes" for name in sorted(ODD_NAMES)]


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    """Each item is one line, whatever its name holds."""
    shop = Shop(tmp_path)
    shop.add("lamp/two\nlines.png", "lamp/\x1b[31mred.png")
    run("index", "--config", shop.config)
    assert catalogue(shop, "list").stdout == "lamp/\\x1b[31mred.png\nlamp/two\\nlines.png\n"


def test_count(shop: Shop) -> None:
    """Indexed pictures by category, and all items by state."""
    result = catalogue(shop, "count")
    assert result.exit_code == 0
    assert result.stdout == (
        "       2 bed\n       2 lamp\n4 indexed, 1 could not be indexed "
        f"(`ddsim catalogue failures --config {shop.config}` says why)\n"
    )
    value = json.loads(catalogue(shop, "count", "--json").stdout)
    assert value["categories"] == {"bed": 2, "lamp": 2}
    assert value["states"] == {"pending": 0, "sending": 0, "added": 0, "indexed": 4, "failed": 1}
    assert value["failed"] == 1
    assert not shop.tap.sent


def test_failures(shop: Shop) -> None:
    """Exit code 1 and the reasons where there are some; 0 and nothing where there are none."""
    result = catalogue(shop, "failures")
    assert (result.exit_code, result.stdout) == (1, "lamp/bad.jpg: empty, 0 bytes\n")
    parsed = catalogue(shop, "failures", "--json")
    assert parsed.exit_code == 1
    assert json.loads(parsed.stdout) == {"failed": [{"uri": "lamp/bad.jpg", "reason": "empty, 0 bytes", "tries": 1}]}
    (shop.catalogue / "lamp/bad.jpg").unlink()
    assert run("index", "--config", shop.config).exit_code == 0
    result = catalogue(shop, "failures")
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(catalogue(shop, "failures", "--json").stdout) == {"failed": []}


def test_remove(either: Shop) -> None:
    """They are found no more at once, the files stay, and a name that is none is told with exit code 1."""
    result = catalogue(either, "remove", "lamp/a.png", "lamp/bad.jpg")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "2 removed\n", "")
    assert either.indexed() == ["bed/c.png", "bed/d.png", "lamp/b.png"]
    assert (either.catalogue / "lamp/a.png").exists()
    assert catalogue(either, "failures").exit_code == 0
    result = catalogue(either, "remove", "lamp/b.png", "[red]nobody.png")
    assert (result.exit_code, result.stdout) == (1, "1 removed\n")
    assert result.stderr == "not in the catalogue: [red]nobody.png\n"
    assert either.indexed() == ["bed/c.png", "bed/d.png"]
    assert run("index", "--config", either.config).exit_code == 1
    assert either.indexed() == ["bed/c.png", "bed/d.png", "lamp/a.png", "lamp/b.png"]


def test_remove_during_a_run(shop: Shop) -> None:
    """Exit code 2 with who is at work; nothing is removed."""
    with shop.collection() as collection, collection.manifest.writing():
        line = error_line(catalogue(shop, "remove", "lamp/a.png"), 2)
        assert len(collection.manifest.rows()) == 5
    assert "another run works on this index" in line
    assert "lamp/a.png" in shop.indexed()


def test_of_another_folder(shop: Shop) -> None:
    """--catalogue names a folder that is not the one looked at by default."""
    (shop.root / "other" / "x").mkdir(parents=True)
    picture(50).save(shop.root / "other" / "x" / "1.png")
    shop.tap.restart()
    assert run("index", "--config", shop.config, shop.root / "other").exit_code == 0
    assert catalogue(shop, "list", "--catalogue", "other").stdout == "x/1.png\n"
    assert "x/1.png" not in catalogue(shop, "list").stdout


def test_before_anything_was_indexed(tmp_path: Path) -> None:
    """Nothing is listed, and counting says that nothing is indexed."""
    shop = Shop(tmp_path)
    shop.add("lamp/a.png")
    assert catalogue(shop, "list").stdout == ""
    assert catalogue(shop, "count").stdout == "nothing is indexed\n"
    assert catalogue(shop, "failures").exit_code == 0


@pytest.mark.parametrize("name", ["list", "count", "failures", "remove"])
def test_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Exit code 2 naming the file, and the command that writes it."""
    monkeypatch.chdir(tmp_path)
    line = error_line(run("catalogue", name, *(["x"] if name == "remove" else [])), 2)
    assert "configs/resnet50.yaml" in line
    assert "ddsim config init" in line


def test_products(shop: Shop) -> None:
    """Product data that matches no indexed picture is listed with what may be meant, and that is exit code 1."""
    assert catalogue(shop, "products").stdout.startswith("no products.csv or products.json in ")
    assert catalogue(shop, "products").exit_code == 0
    file = shop.catalogue / "products.csv"
    file.write_bytes("sep=;\r\nuri;name;url\r\n.\\lamp\\a.png;L\xe4mp;\r\n".encode("cp1252"))
    result = catalogue(shop, "products")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("note: it is not UTF-8")
    assert result.stdout.endswith("products.csv: 1 of 1 product matches one of 4 indexed pictures\n")
    file.write_text("uri,name,url\nlamp/a.png,Lamp,x:y\nlamp/B.png,Lamp,\nbed/nobody.png,Bed,\nbed/c.png,Bed,\n")
    result = catalogue(shop, "products")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "lamp/B.png: no picture of that name is indexed; lamp/b.png may be meant",
        "bed/nobody.png: no picture of that name is indexed",
        "left out: line 2 (url is not an address such as https://shop.example/lamp; the rest of it is used)",
        "products.csv: 2 of 4 products match one of 4 indexed pictures",
    ]
    told = json.loads(catalogue(shop, "products", "--json").stdout)
    assert told["unmatched"][0] == {"uri": "lamp/B.png", "near": "lamp/b.png"}
    assert (told["file"], told["products"], told["matched"], told["problem"]) == ("products.csv", 4, 2, None)
    file.write_text("name\nLamp\n")
    result = catalogue(shop, "products")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no heading uri" in result.stderr
    assert not shop.tap.sent


def test_count_and_failures_count_alike(shop: Shop) -> None:
    """A category behind a broken link is among what could not be indexed, in both."""
    (shop.catalogue / "sofa").symlink_to(shop.root / "nowhere")
    run("index", "--config", shop.config)
    listed = json.loads(catalogue(shop, "failures", "--json").stdout)["failed"]
    assert [one["uri"] for one in listed] == ["sofa", "lamp/bad.jpg"]
    assert json.loads(catalogue(shop, "count", "--json").stdout)["failed"] == 2
    assert "2 could not be indexed" in catalogue(shop, "count").stdout


def test_names_are_taken_as_they_are_listed(tmp_path: Path) -> None:
    """What `list` prints for a name with line breaks or backslashes in it names the same picture and category."""
    shop = Shop(tmp_path)
    shop.add("lamp/two\nlines.png", "la\nmp/x.png", "lamp/back\\x41slash.png")
    run("index", "--config", shop.config)
    assert catalogue(shop, "list", "--category", "la\\nmp").stdout == "la\\nmp/x.png\n"
    names = [name for name in catalogue(shop, "list").stdout.splitlines() if "\\" in name]
    assert len(names) == 3
    result = catalogue(shop, "remove", *names)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "3 removed\n", "")


def test_json_is_for_strict_readers(tmp_path: Path) -> None:
    """A name that is no Unicode is in the JSON as people see it, for no JSON text can hold it."""
    shop = Shop(tmp_path)
    shop.add("lamp/a.png")
    with open(os.fsencode(shop.catalogue) + b"/lamp/\xff.png", "wb") as file:
        picture(9).save(file, "PNG")
    run("index", "--config", shop.config)
    (failed,) = orjson.loads(catalogue(shop, "failures", "--json").stdout_bytes)["failed"]
    assert catalogue(shop, "failures").stdout == f"{failed['uri']}: {failed['reason']}\n"


def test_remove_by_patterns(either: Shop) -> None:
    """A pattern stands for all names that fit, whatever their state; what fits nothing is named, with exit code 1."""
    shown = catalogue(either, "remove", "lamp/*", "--dry-run")
    assert (shown.exit_code, shown.stdout) == (0, "lamp/a.png\nlamp/b.png\nlamp/bad.jpg\n3 would be removed\n")
    assert len(either.indexed()) == 4
    result = catalogue(either, "remove", "l*.png", "bed/[cx].png", "bed/c.png", "sofa/*", "--json")
    assert result.exit_code == 1
    removed = ["lamp/a.png", "lamp/b.png", "bed/c.png"]
    assert json.loads(result.stdout) == {"removed": removed, "found": removed, "unknown": ["sofa/*"]}
    assert either.indexed() == ["bed/d.png"]


def test_a_name_that_looks_like_a_pattern(tmp_path: Path) -> None:
    """It stands for the picture of that very name alone."""
    shop = Shop(tmp_path)
    shop.add("lamp/[ab].png", "lamp/a.png", "lamp/*.png")
    run("index", "--config", shop.config)
    assert catalogue(shop, "remove", "lamp/[ab].png", "lamp/*.png").stdout == "2 removed\n"
    assert catalogue(shop, "list").stdout == "lamp/a.png\n"


def test_export(tmp_path: Path) -> None:
    """Names and vectors of what is indexed come back from the file as they are; the file's ending says its form."""
    settings, _ = HOMES["local"]
    shop = Shop(tmp_path, {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": settings})
    shop.add("lamp/a.png", "bed/stühle 椅子.png")
    run("index", "--config", shop.config)
    file = tmp_path / "vectors.npz"
    result = catalogue(shop, "export", file)
    assert (result.exit_code, result.stdout) == (0, f"wrote {file}: 2 vectors of 16 values\n")
    with np.load(file) as kept:
        assert kept["uris"].tolist() == ["bed/stühle 椅子.png", "lamp/a.png"]
        assert (kept["vectors"].shape, kept["vectors"].dtype) == ((2, 16), np.float32)
        vectors = kept["vectors"]
    told = catalogue(shop, "export", tmp_path / "v.parquet", "--category", "lamp", "--json")
    assert json.loads(told.stdout) == {"file": str(tmp_path / "v.parquet"), "items": 1, "values": 16}
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "v.parquet").to_pydict()
    assert table["uri"] == ["lamp/a.png"]
    assert np.array_equal(np.float32(table["vector"]), vectors[1:])


@pytest.mark.parametrize(("file", "word"), [("v.csv", ".npz or .parquet"), ("nowhere/v.npz", "cannot be written")])
def test_exports_in_vain(tmp_path: Path, file: str, word: str) -> None:
    """Another ending and a place that cannot be written are named; nothing is computed for the former."""
    settings, _ = HOMES["local"]
    shop = Shop(tmp_path, {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": settings})
    shop.add("lamp/a.png")
    run("index", "--config", shop.config)
    assert word in error_line(catalogue(shop, "export", tmp_path / file), 2)


def test_parquet_without_its_library(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to get it, and what needs nothing."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    line = error_line(catalogue(shop, "export", "v.parquet"), 3)
    assert "[parquet]" in line
    assert ".npz" in line
