"""What long runs say where no terminal shows a bar."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from shop import Shop
from terminal import command

from ddsim.commands.progress import Lines


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


def heard(steps: list[tuple[float, int]], total: int, *, often: bool = False) -> list[str]:
    """What is said of a run that is so far at these times, in seconds."""
    clock, said = Clock(), list[str]()
    lines = Lines(said.append, often=often, clock=clock)
    for seconds, done in steps:
        clock.now = 100.0 + seconds
        lines.tell("indexing", done, total, failed=done // 100)
    return said


def test_a_long_run_without_a_terminal_says_a_line_every_half_minute() -> None:
    """However little of the work is done: where it is, how fast, how long still, and what failed."""
    said = heard([(second, second) for second in range(121)], 100_000)
    assert said == [
        "indexing: 30 of 100000 (0%), 1.0/s, about 27.8 h left",
        "indexing: 60 of 100000 (0%), 1.0/s, about 27.8 h left",
        "indexing: 90 of 100000 (0%), 1.0/s, about 27.8 h left",
        "indexing: 120 of 100000 (0%), 1.0/s, about 27.7 h left, 1 failed",
    ]


def test_a_quick_run_says_a_line_with_each_twentieth() -> None:
    """But none within five seconds of the last: a run of some seconds says nothing at all."""
    said = heard([(second, second) for second in range(101)], 100)
    assert [line.split(",")[0] for line in said[:2]] == ["indexing: 5 of 100 (5%)", "indexing: 10 of 100 (10%)"]
    assert 15 <= len(said) <= 20
    assert heard([(second / 25, second) for second in range(101)], 100) == []


def test_verbose_says_more() -> None:
    """With -v a line comes every five seconds, or with each hundredth."""
    assert len(heard([(second, second) for second in range(121)], 100_000, often=True)) == 24
    assert len(heard([(second, second) for second in range(101)], 100, often=True)) > 80


def test_each_stage_is_told_by_its_name() -> None:
    """What comes after the sending counts for itself."""
    clock, said = Clock(), list[str]()
    lines = Lines(said.append, clock=clock)
    for seconds, stage in ((40, "indexing"), (50, "learning"), (100, "checking")):
        clock.now = 100.0 + seconds
        lines.tell(stage, 5, 10)
    assert [line.partition(":")[0] for line in said] == ["indexing", "learning", "checking"]


def test_index_says_its_lines_on_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not get into what programs read; a terminal is not needed."""
    shop = Shop(tmp_path, {"classification": None, "index": {"batch_size": 1, "backend": "local"}})
    shop.add("lamp/a.png", "lamp/b.png")
    times = iter(range(0, 10_000, 40))
    monkeypatch.setattr("ddsim.commands.index.Lines", partial(Lines, clock=lambda: float(next(times))))
    result = command(shop, "index", "--json")
    assert result.exit_code == 0
    assert result.stdout.startswith("{")
    assert "indexing: 1 of 2 (50%)" in result.stderr
