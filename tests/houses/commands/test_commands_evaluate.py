"""`ddsim evaluate`: what is printed where, which files it leaves, and the exit codes."""

from __future__ import annotations

import errno
import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from shop import PATIENT, Shop, picture
from terminal import RUN, error, error_line
from typer.testing import Result

import ddsim.commands.evaluate
import ddsim.commands.evaluate_text
from ddsim import Client, Reply, ServerUnreachable, Settings, connect, load
from ddsim.commands.evaluate import EPILOG, evaluate_command
from ddsim.evaluation.options import Step
from ddsim.evaluation.run import evaluate_experiments

APP = typer.Typer(rich_markup_mode="markdown")
APP.command(epilog=EPILOG)(evaluate_command)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with four lamps and four beds, and the current folder in it; commands talk to its own server."""
    shop = Shop(tmp_path)
    shop.add(*(f"{category}/{number}.png" for category in ("lamp", "bed") for number in range(4)))
    monkeypatch.chdir(tmp_path)

    def opening(settings: Settings) -> Client:
        return connect(settings, transport=shop.tap, retries=PATIENT)

    monkeypatch.setattr(ddsim.commands.evaluate, "evaluate_experiments", partial(evaluate_experiments, opening=opening))
    return shop


def run(*args: object) -> Result:
    """Run the command. Only an exit is expected of it, never an exception."""
    result = RUN.invoke(APP, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def other(shop: Shop, name: str, **changes: Any) -> Path:
    """Another configuration beside the shop's own."""
    before = shop.config.read_text("utf-8")
    shop.configure(**changes)
    path = shop.root / f"{name}.yaml"
    shop.config.rename(path)
    shop.config.write_text(before, "utf-8")
    return path


def test_evaluate(shop: Shop) -> None:
    """A table that fits a terminal, every pair's verdict, the conclusion, and where the files are."""
    names = [other(shop, f"net-{layer}", similarity={"extract_layer": layer}) for layer in ("pool1", "fc1", "data")]
    result = run(*names)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "8 queries (leave-one-out) on 8 items; in %"
    assert lines[1].split() == ["MAP@R", "P@1", "P@10", "cat.", "trained", "gain", "dim", "index", "ms"]
    assert {line.split()[0] for line in lines[2:5]} == {"pool1", "fc1", "data"}
    assert [line[:14] for line in lines[5:7]] in (
        ["grey thumbnail", "pure chance   "],
        ["pure chance   ", "grey thumbnail"],
    )
    assert max(map(len, lines[:8])) <= 80
    assert len([line for line in lines if line.startswith("no difference between ") or " beats net-" in line]) >= 3
    assert lines[-1] == "evaluation/results.json evaluation/report.html evaluation/best.yaml"
    assert result.stderr == ""


def test_many_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal shows the first of them and the floors, and says that there are more."""
    monkeypatch.setattr(ddsim.commands.evaluate_text, "_ROWS", 1)
    monkeypatch.setattr(ddsim.commands.evaluate_text, "_VERDICTS", 1)
    names = [other(shop, f"net-{layer}", similarity={"extract_layer": layer}) for layer in ("pool1", "fc1", "data")]
    text = run(*names).stdout
    assert "and 2 more configurations, in the report" in text
    assert "... and 2 more comparisons, in the report" in text
    assert "pure chance" in text


def test_the_files(shop: Shop) -> None:
    """Results for machines, a page for people, and the winner's configuration, which loads as it is."""
    result = run(shop.config, other(shop, "second", similarity={"extract_layer": "fc1"}), "--out", "deep/results")
    assert result.exit_code == 0
    folder = shop.root / "deep" / "results"
    found = json.loads((folder / "results.json").read_text("utf-8"))
    assert [row["kind"] for row in found["rows"]] == ["configuration"] * 2 + ["floor"] * 2
    assert found["comparisons"][0]["verdict"]
    page = (folder / "report.html").read_text("utf-8")
    assert "<html" in page
    assert "data:image/jpeg;base64," in page or not found["disagreements"]
    best = load(folder / "best.yaml")
    assert best.name == found["rows"][0]["name"]
    assert best.catalogue == shop.catalogue


def test_the_winner_is_for_the_catalogue_it_was_found_on(shop: Shop) -> None:
    """The configuration that is written names that one, and what is passed over there as before."""
    shop.configure(catalogue={"folder": str(shop.catalogue), "exclude": ["*.txt"]})
    shop.catalogue.rename(shop.root / "items")
    assert run(shop.config, "--catalogue", "items").exit_code == 0
    best = load(shop.root / "evaluation" / "best.yaml")
    assert (best.catalogue, best.reference.exclude) == (shop.root / "items", ("*.txt",))


@pytest.mark.parametrize("json_too", [False, True])
def test_a_full_disk(shop: Shop, monkeypatch: pytest.MonkeyPatch, json_too: bool) -> None:
    """The results of earlier stay, those of now are printed, and the error names the file."""
    run(shop.config)
    folder = shop.root / "evaluation"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(self: Path, data: bytes) -> int:
        del data
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run(shop.config, *(["--json"] if json_too else []))
    assert result.exit_code == 2
    assert "evaluation/results.json: cannot be written: No space left" in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    if json_too:
        assert json.loads(result.stdout)["files"] == {}
    else:
        assert "pure chance" in result.stdout
        assert "report.html" not in result.stdout


def test_a_configuration_twice(shop: Shop) -> None:
    """Each row is called as the text calls it."""
    lines = run(shop.config, shop.config).stdout.splitlines()
    assert {line.split()[0] for line in lines[2:4]} == {"shop", "shop-2"}


def test_a_reason_of_several_lines(shop: Shop) -> None:
    """Each of its lines is one."""
    broken = other(shop, "broken", colour=1, taste=2)
    text = run(shop.config, broken).stdout
    assert "\\n" not in text
    reasons = text.partition("failed: broken: ")[2].splitlines()[:2]
    assert ["unknown key" in line for line in reasons] == [True, True]


def test_evaluate_as_json(shop: Shop) -> None:
    """Standard output is one object, the same as the file with the names of the files."""
    result = run(shop.config, "--json")
    value = json.loads(result.stdout)
    files = value.pop("files")
    assert json.loads(Path(files["results"]).read_text("utf-8")) == value
    assert set(files) == {"results", "report", "best"}


def test_queries_of_their_own(shop: Shop) -> None:
    """Another catalogue, queries from a folder, some of each category, products by a pattern."""
    for name in ("lamp/sku1-x", "lamp/sku2-x", "bed/sku3-x"):
        shop.add_picture(f"{name}.png", picture(len(name)))
    shop.catalogue.rename(shop.root / "items")
    path = shop.root / "photos" / "lamp" / "sku1-y.png"
    path.parent.mkdir(parents=True)
    picture(5).save(path)
    arguments = (
        "--catalogue",
        "items",
        "--queries",
        "photos",
        "--limit",
        3,
        "--product-pattern",
        r"(?P<product>sku\d)",
    )
    result = run(shop.config, *arguments, "--json")
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert (value["items"], value["asked"], value["primary"]) == (11, 1, "product@1")
    assert value["products"] == r"(?P<product>sku\d)"


def test_the_cache(shop: Shop) -> None:
    """It lies beside the state unless it is named; --no-cache leaves none."""
    run(shop.config)
    assert (shop.root / ".ddsim" / "_cache").is_dir()
    run(shop.config, "--cache", "kept")
    assert [path.name for path in (shop.root / "kept").glob("*.sqlite")] == ["extracted.sqlite"]
    shop.tap.sent.clear()
    assert json.loads(run(shop.config, "--cache", "kept", "--json").stdout)["rows"][0]["extracted"] == 0
    assert json.loads(run(shop.config, "--no-cache", "--json").stdout)["rows"][0]["extracted"] == 8


def test_options_that_contradict_one_another(shop: Shop) -> None:
    """Exit code 2 with a sentence; nothing is sent."""
    assert "--no-cache" in error_line(run(shop.config, "--cache", "kept", "--no-cache"), 2)
    assert shop.tap.sent == []


def test_what_it_advises_is_typed_as_it_stands(shop: Shop) -> None:
    """Commands in the reasons of failures have the configuration and the catalogue that were given."""

    def refused(*_: object) -> Reply:
        raise ServerUnreachable("lost: run `ddsim index`", method="GET", path="/")

    shop.tap.faults.append(refused)
    result = run(shop.config, "--catalogue", "catalogue")
    assert f"lost: run `ddsim index catalogue --config {shop.config}`" in result.stdout


def test_some_fail(shop: Shop) -> None:
    """Exit code 1; each says why, and the others are compared."""
    result = run(shop.config, other(shop, "broken", similarity={"extract_layer": "nosuch"}))
    assert result.exit_code == 1
    assert "failed: broken: " in result.stdout
    assert "the network has no layer 'nosuch'" in " ".join(result.stdout.split())
    assert "shop" in result.stdout.splitlines()[2]


def test_the_server_is_gone(shop: Shop) -> None:
    """Exit code 3; no winner, and the last one's configuration is not left to pass for one."""
    run(shop.config)
    assert (shop.root / "evaluation" / "best.yaml").is_file()

    def refused(*_: object) -> Reply:
        raise ServerUnreachable("nobody there", method="GET", path="/")

    shop.tap.faults.append(refused)
    result = run(shop.config, "--no-cache")
    assert result.exit_code == 3
    assert "failed: shop: nobody there" in result.stdout
    assert "No configuration could be measured." in result.stdout
    assert not (shop.root / "evaluation" / "best.yaml").exists()


def test_pictures_that_are_left_out(shop: Shop) -> None:
    """They are told once, whatever their names, and the rest is measured."""
    shop.add_bytes("lamp/[red]x\n.jpg", b"")
    result = run(shop.config)
    assert result.exit_code == 0
    assert (
        result.stdout.count("note: 1 picture is left out, for all rows alike: lamp/[red]x\\n.jpg (empty, 0 bytes)") == 1
    )


def test_wrong_use(shop: Shop) -> None:
    """Exit code 2, one line, nothing sent."""
    for arguments, said in [
        (("missing.yaml",), "missing.yaml: no such file"),
        ((shop.config, "--catalogue", "nowhere"), "nowhere: no such folder. Name the reference pictures"),
        ((shop.config, "--queries", "nowhere"), "nowhere: no such folder"),
        ((shop.config, "--product-pattern", "("), "no regular expression"),
        ((shop.config, "--out", "shop.yaml/x"), "cannot be made"),
        ((shop.config, "--cache", "shop.yaml/x"), "shop.yaml"),
    ]:
        assert said in error_line(run(*arguments), 2)
    assert shop.tap.sent == []
    assert run(shop.config, "--limit", 0).exit_code == 2


def test_ctrl_c(shop: Shop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """The first one ends the run after the batch, with what was computed kept; nothing is written."""

    def stopped(*arguments: Any, stopping: Any, progress: Any, **options: Any) -> None:
        progress(Step("reading", 1, None))
        signal.raise_signal(signal.SIGINT)
        assert stopping()

    monkeypatch.setattr(ddsim.commands.evaluate, "evaluate_experiments", stopped)
    said = error(run(shop.config), 130)
    assert "Stopping after this batch" in capfd.readouterr().err
    assert "run the same command again to go on" in said
    assert list((shop.root / "evaluation").iterdir()) == []


def test_help_shows_examples() -> None:
    """The help names the options and ends with examples."""
    text = run("--help").stdout
    for word in ("--catalogue", "--queries", "--product-pattern", "--no-cache", "best.yaml", "Exit codes"):
        assert word in text
