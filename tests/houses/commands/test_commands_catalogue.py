"""`ddsim catalogue`: what is indexed, what could not be, and taking pictures out."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

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
    assert result.stdout == "       2 bed\n       2 lamp\n4 indexed, 1 quarantined\n"
    value = json.loads(catalogue(shop, "count", "--json").stdout)
    assert value["categories"] == {"bed": 2, "lamp": 2}
    assert value["states"] == {"pending": 0, "sending": 0, "added": 0, "indexed": 4, "quarantined": 1}
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
    assert result.stdout.endswith("products.csv: 1 of 1 products match one of 4 indexed pictures\n")
    file.write_text("uri,name,url\nlamp/a.png,Lamp,x:y\nlamp/B.png,Lamp,\nbed/nobody.png,Bed,\nbed/c.png,Bed,\n")
    result = catalogue(shop, "products")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "lamp/B.png: no picture of that name is indexed; lamp/b.png may be meant",
        "bed/nobody.png: no picture of that name is indexed",
        "left out: line 2 (url: URL scheme should be 'http' or 'https')",
        "products.csv: 1 of 3 products match one of 4 indexed pictures",
    ]
    told = json.loads(catalogue(shop, "products", "--json").stdout)
    assert told["unmatched"][0] == {"uri": "lamp/B.png", "near": "lamp/b.png"}
    assert (told["file"], told["products"], told["matched"], told["problem"]) == ("products.csv", 3, 1, None)
    file.write_text("name\nLamp\n")
    result = catalogue(shop, "products")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no heading uri" in result.stderr
    assert not shop.tap.sent
