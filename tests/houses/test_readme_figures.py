"""The README's figures are those of the commands beside them, but for timings and what takes long to measure."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
LEAD = r"(?:beats|and) ([\w.-]+) by ([\d.]+) ± ([\d.]+)"
# In points: other releases of OpenCV and ONNX Runtime may find two or three of the 120 queries otherwise.
TOLERANCE = 2.6


def shown(pattern: str) -> re.Match[str]:
    """What the README shows in a place, whose line breaks count as spaces."""
    found = re.search(pattern, TEXT)
    assert found, f"the README has no {pattern!r} any more"
    return found


def run(folder: Path, line: str) -> str:
    """Run a command of the README in a folder, as one types it there, and return what it prints."""
    program, *words = shlex.split(line)
    if program == "python":
        command = [sys.executable, str(ROOT / words[0]), *words[1:]]
    else:
        command = [sys.executable, "-m", "ddsim", *words]
    space = {name: value for name, value in os.environ.items() if not name.startswith("DDSIM_")}
    done = subprocess.run(command, cwd=folder, env=space, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configurations, and the small catalogue as the README has it drawn."""
    pytest.importorskip("onnxruntime", reason="the demo network runs in ONNX Runtime: pip install '.[embedded]'")
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "configs", folder / "configs")
    drawing = shown(r"(python scripts/make_demo_catalogue\.py [^#]*?) +# (\d+) references and (\d+) queries")
    assert f": {drawing[2]} references, {drawing[3]} queries" in run(folder, drawing[1])
    return folder


@pytest.fixture(scope="module")
def defaults() -> dict[str, Any]:
    """The demo's configuration with all defaults."""
    return dict(yaml.safe_load(run(ROOT, "ddsim config show configs/demo.yaml")))


@pytest.mark.long
def test_leads_of_the_evaluation(checkout: Path) -> None:
    """The layers that the README's comparison of the demo's layers tells apart, in that order, by about as much."""
    sentence = shown(r'and concludes "([\w.-]+) wins by ([\w@]+): it ([^"]+)"')
    printed = run(checkout, shown(r"ddsim evaluate configs/experiments/demo-layers\.yaml .*?(?= ```)")[0])
    told = re.search(r"^([\w.-]+) wins by ([\w@]+): it (.+?)\.(?: |$)", printed, re.MULTILINE)
    assert told, printed
    assert told.groups()[:2] == sentence.groups()[:2]
    here, there = re.findall(LEAD, told[3]), re.findall(LEAD, sentence[3])
    assert [name for name, *_ in here] == [name for name, *_ in there]
    assert len(here) == 2
    for (_, lead, margin), (_, lead_shown, margin_shown) in zip(here, there, strict=True):
        assert float(lead) == pytest.approx(float(lead_shown), abs=TOLERANCE)
        assert float(margin) == pytest.approx(float(margin_shown), abs=TOLERANCE)
    files = shown(r"in `(evaluation/)` `(results\.json)`, `(report\.html)` .*? and `(best\.yaml)`").groups()
    assert all((checkout / files[0] / name).is_file() for name in files[1:])


@pytest.mark.long
def test_the_sheet_of_the_demo(checkout: Path) -> None:
    """The demo's photo is what the README says of its sheet; so many pictures are similar, its own first."""
    sheet = shown(r"A photo of a (\w+) on the left, found to be a (\w+), and the (\w+) most similar pictures")
    assert sheet[1] == sheet[2]
    run(checkout, "ddsim index demo/small/catalogue --config demo")
    query = "demo/small/queries/lamp/lamp-007-view2.jpg"
    printed = run(checkout, f"ddsim search {query} --config demo --catalogue demo/small/catalogue --json")
    result: dict[str, Any] = json.loads(printed)
    assert result["categories"][0]["name"] == sheet[1]
    uris = [neighbour["uri"] for neighbour in result["neighbours"]]
    assert uris[0] == "lamp/lamp-007.jpg"
    assert all(uri.startswith("lamp/") for uri in uris)
    assert len(uris) == {"ten": 10}[sheet[3]]


@pytest.mark.parametrize(
    ("pattern", "part", "key", "unit"),
    [
        (r"at least every `index\.checkpoint` pictures \(([\d,]+)\)", "index", "checkpoint", 1),
        (r"nobody has used for `index\.unused_days` \((\d+)\)", "index", "unused_days", 1),
        (r"`readers` \((\d+)\) pictures are read at a time", "catalogue", "readers", 1),
        (r"from the vote of the (\d+) nearest pictures", "routing", "voters", 1),
        (r"that together hold (\d+) % of the probability", "routing", "share", 100),
        (r"are searched, at most (three), and", "routing", "most", 1),
    ],
)
def test_defaults(pattern: str, part: str, key: str, unit: int, defaults: dict[str, Any]) -> None:
    """Where the README gives a setting's default it is the one that `ddsim config show` fills in."""
    said = shown(pattern)[1]
    number = 3 if said == "three" else int(said.replace(",", ""))
    assert number == defaults[part][key] * unit
