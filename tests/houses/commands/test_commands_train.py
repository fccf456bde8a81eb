"""`ddsim train`: what is printed, written and copied, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shop import Shop
from terminal import command, error_line


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Ten red beds and ten green lamps, and the current folder in the shop."""
    shop = Shop(tmp_path, {"classification": None, "similarity": {"extract_layer": "fc1"}})
    for category, colour in (("bed", (200, 40, 40)), ("lamp", (40, 200, 40))):
        (shop.catalogue / category).mkdir()
        for number in range(10):
            noise = np.random.default_rng((number, *colour)).integers(-30, 31, (32, 32, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(shop.catalogue / category / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return shop


def test_train(shop: Shop) -> None:
    """What it is worth beside the vote, where the network is, and how searches come to use it."""
    assert command(shop, "index").exit_code == 0
    result = command(shop, "train")
    assert result.exit_code == 0
    assert result.stdout.startswith("trained on 20 pictures of 2 categories (16 values each) in ")
    rows = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert "trained classifier" in rows
    assert "vote of the neighbours" in rows
    assert "`classification: trained` in " in result.stdout
    folder = Path(next(line for line in result.stdout.splitlines() if line.startswith("network: "))[9:])
    assert {path.name for path in folder.iterdir()} == {"deploy.prototxt", "trained.caffemodel", "corresp.txt"}
    assert (folder / "corresp.txt").read_text("utf-8") == "0 bed\n1 lamp\n"


def test_train_as_json(shop: Shop) -> None:
    """One object with the same facts."""
    command(shop, "index")
    found = json.loads(command(shop, "train", "--json", "--network", shop.root / "net").stdout)
    assert (found["items"], found["categories"]) == (20, {"bed": 10, "lamp": 10})
    assert found["worth"]["trained"]["accuracy"] == 1
    assert [Path(file).parent for file in found["network"]] == [shop.root / "net"] * 3
    assert (found["served"], found["sheet"]) == (None, None)


def test_suspects_and_sheet(shop: Shop) -> None:
    """A bed among the lamps is listed, and drawn as a confusion."""
    (shop.catalogue / "bed/0.png").rename(shop.catalogue / "lamp/odd.png")
    command(shop, "index")
    result = command(shop, "train", "--suspects", "--sheet", "confused.png")
    assert any(line.startswith("lamp/odd.png: bed ") for line in result.stdout.splitlines())
    assert "1 picture may lie in the wrong folder" in result.stdout
    with Image.open("confused.png") as sheet:
        assert sheet.width > 600
    assert "1 picture may lie in the wrong folder; --suspects lists them" in command(shop, "train").stdout


def test_nothing_is_indexed(shop: Shop) -> None:
    """Wrong use, with what to run first."""
    result = command(shop, "train")
    assert "run `ddsim index --config " in error_line(result, 2)


@pytest.mark.parametrize("given", [["--definition", "a"], ["--weights", "b"]])
def test_definition_and_weights_go_together(shop: Shop, given: list[str]) -> None:
    """One without the other is wrong use."""
    result = command(shop, "train", *given)
    assert "go together" in error_line(result, 2)


def test_a_sheet_that_cannot_be_written(shop: Shop) -> None:
    """Wrong use, naming the option, before anything is trained."""
    result = command(shop, "train", "--sheet", "nowhere/confused.png")
    assert "--sheet nowhere/confused.png: cannot be written" in error_line(result, 2)
