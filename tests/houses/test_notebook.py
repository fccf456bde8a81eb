"""scripts/notebook.ipynb runs from its first cell to its last, and shows what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
# In a process of its own: a kernel has sockets, and an event loop that warns of what is not ours.
RUN = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[3])
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What each cell of code shows, by what is written in it."""
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    out = tmp_path_factory.mktemp("notebook") / "run.ipynb"
    command = [sys.executable, "-c", RUN, str(SCRIPTS / "notebook.ipynb"), str(SCRIPTS), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    run = json.loads(out.read_text("utf-8"))
    return {"".join(cell["source"]): cell["outputs"] for cell in run["cells"] if cell["cell_type"] == "code"}


def html_of(cells: dict[str, list[dict[str, Any]]], code: str) -> str:
    """What a cell shows as HTML."""
    return "".join("".join(output["data"].get("text/html", "")) for output in cells[code] if "data" in output)


def test_nothing_is_complained_of(cells: dict[str, list[dict[str, Any]]]) -> None:
    """No cell writes to standard error: neither warnings nor somebody's missing widgets."""
    assert [output for outputs in cells.values() for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("search.index(progress=ddsim.ProgressBar())", "40 items indexed"),
        ("search.items()", "chair-001.jpg"),
        ("search.duplicates(0.98)", "table/copy.jpg, table/table-002.jpg"),
        ("search.explore()", "<iframe sandbox="),
    ],
)
def test_results_show_themselves(cells: dict[str, list[dict[str, Any]]], code: str, shown: str) -> None:
    """A notebook shows HTML of what a call gave back."""
    assert shown in html_of(cells, code)


def test_the_bar_is_shown_once(cells: dict[str, list[dict[str, Any]]]) -> None:
    """It is renewed in its place, and ends with all that there was to do."""
    shown = html_of(cells, "search.index(progress=ddsim.ProgressBar())")
    assert shown.count("<progress") == 1
    assert "40 of 40" in shown


def test_the_lamp_is_found_again(cells: dict[str, list[dict[str, Any]]]) -> None:
    """The photo of lamp 7 finds lamp 7 first, with pictures of photo and neighbours."""
    (code,) = (code for code in cells if code.startswith("photo = draw"))
    shown = html_of(cells, code)
    assert shown.count("data:image/jpeg;base64,") == 6
    (listed,) = cells[next(code for code in cells if code.startswith("[(neighbour.rank"))]
    assert "".join(listed["data"]["text/plain"]).startswith("[(1, 'lamp/lamp-007'")
