"""Short words for names and numbers, plain values, and the bar that waits with people."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ddsim
from ddsim import CapabilityError
from ddsim.showing import clipped, counted, data_frame, percent, plain, printable, several


def test_names_are_printed_on_one_line() -> None:
    """Line breaks and what moves a cursor become escapes; letters of any script stay."""
    assert printable("a\nb\x1b[2J Stühle 椅子") == r"a\nb\x1b[2J Stühle 椅子"


@pytest.mark.parametrize(("text", "shown"), [("short", "short"), ("x" * 60, "x" * 60), ("a" * 50 + "b" * 50, "...")])
def test_long_names_lose_their_middle(text: str, shown: str) -> None:
    """What fits stays as it is."""
    assert shown in clipped(text)
    assert len(clipped(text)) <= 60


def test_numbers_and_their_nouns() -> None:
    """One of them is not several, and thousands can be read."""
    assert counted(1, "picture") == "1 picture"
    assert counted(12000, "category", "categories") == "12,000 categories"


@pytest.mark.parametrize(("share", "shown"), [(1.0, "100%"), (0.99999, "99.9%"), (0.5, "50.0%"), (0.0, "0.0%")])
def test_shares(share: float, shown: str) -> None:
    """A hundred percent are for the whole alone."""
    assert percent(share) == shown


def test_the_first_few_names() -> None:
    """A long list is told by its beginning and its length."""
    assert several(["a", "b"], 2) == "a, b"
    assert several((str(number) for number in range(9)), 9) == "0, 1, 2, and 6 more"


class Kind(Enum):
    """One of something."""

    ONE = "one"


@dataclass
class Thing:
    """Something with fields."""

    path: Path
    values: tuple[float, ...]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Kind.ONE, "one"),
        ({Kind.ONE: Path("a/b")}, {"one": "a/b"}),
        (float("inf"), None),
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]]), [[1, 2]]),
        (Thing(Path("x"), (1.0, float("nan"))), {"path": "x", "values": [1.0, None]}),
        ({"b"}, ["b"]),
    ],
)
def test_plain_values(value: Any, shown: Any) -> None:
    """Whatever results hold becomes what JSON has."""
    assert plain(value) == shown


def test_data_frames_need_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error says how to get it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CapabilityError, match=r"pandas, which is not installed: .*\[pandas\]"):
        data_frame([{"a": 1}], ["a"])


def test_data_frames_have_their_columns() -> None:
    """Also where there is no row."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    assert list(data_frame([], ["a", "b"]).columns) == ["a", "b"]
    assert ddsim.Failures([ddsim.Failure("a/b", "odd")]).to_dataframe()["reason"].tolist() == ["odd"]


def test_data_frames_take_names_that_are_no_unicode() -> None:
    """A file's name of any bytes is in it with escapes."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = ddsim.Failures([ddsim.Failure("a/\udcff", "odd")]).to_dataframe()
    assert frame["uri"].tolist() == ["a/\\udcff"]


class Terminal(io.StringIO):
    """Standard error where somebody looks."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that is written over, and left where it ends."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    bar = ddsim.ProgressBar()
    for done in (1, 2):
        bar(ddsim.Progress(done, 2, 0))
    first, second = terminal.getvalue().split("\r\x1b[2K")[1:]
    assert (first, second) == ("indexing: 1 of 2", "indexing: 2 of 2\n")


def test_a_bar_that_nobody_sees(capsys: pytest.CaptureFixture[str]) -> None:
    """In a log there is nothing of it."""
    ddsim.ProgressBar()(ddsim.Progress(1, 2, 0))
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook's cell shows, one version after the other."""
    shown: list[str] = []
    handle = SimpleNamespace(update=lambda html: shown.append(html))

    def display(html: str, *, display_id: bool) -> object:
        assert display_id
        shown.append(html)
        return handle

    notebook, displaying = ModuleType("IPython"), ModuleType("IPython.display")
    notebook.get_ipython = lambda: SimpleNamespace(kernel=1)  # type: ignore[attr-defined]
    notebook.display = displaying  # type: ignore[attr-defined]
    displaying.HTML, displaying.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", displaying)
    return shown


def test_a_bar_in_a_notebook(cell: list[str]) -> None:
    """One output that is renewed, with what is told escaped; no total is a bar without an end."""
    bar = ddsim.ProgressBar()
    bar(ddsim.Progress(1, 4, 0))
    bar(SimpleNamespace(stage="<b>", done=2, total=None))  # type: ignore[arg-type]
    assert cell == ['<progress value="1" max="4"></progress> indexing: 1 of 4', "<progress></progress> &lt;b&gt;: 2"]
