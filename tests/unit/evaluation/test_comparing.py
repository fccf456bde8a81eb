"""Rows against each other: order, verdicts, who wins and who does not, and where they disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluated import photo

from ddsim.evaluation.bootstrap import bootstrap, differences
from ddsim.evaluation.comparing import Groups, concluded, disagreements, primary_measure, ranked
from ddsim.evaluation.experiments import Experiment
from ddsim.evaluation.results import Row
from ddsim.evaluation.rows import failed
from ddsim.evaluation.scoring import Scores
from ddsim.evaluation.task import Task

ITEMS = [photo(f"{category}/{number}", f"{category}/{number // 2}") for category in "ab" for number in range(20)]
TASK = Task(ITEMS, ITEMS)
RNG = np.random.default_rng(0)


def row(name: str, kind: str = "configuration", reason: str | None = None) -> Row:
    """A row without measures."""
    return replace(failed(Experiment(name, {}, None, None), reason or ""), kind=kind, failed=reason)


def made(means: dict[str, float], *, floors: dict[str, float] | None = None, noise: float = 0.05):
    """Rows with P@10 around these means, compared and ranked."""
    floors = {"pure chance": 0.05} if floors is None else floors
    values = {name: np.clip(mean + noise * RNG.normal(size=40), 0, 1) for name, mean in (means | floors).items()}
    groups = Groups(TASK, 0)
    measures = groups.measures({name: {"P@10": own} for name, own in values.items()})
    rows = [row(name, "floor" if name in floors else "configuration") for name in values]
    complete = ranked([replace(one, measures=measures[one.name]) for one in rows], "P@10")
    comparisons = groups.comparisons("P@10", {one.name: values[one.name] for one in complete})
    return complete, comparisons, values


def conclusion(means: dict[str, float], **options) -> str:
    """What is concluded of them."""
    complete, comparisons, _ = made(means, **options)
    return concluded(complete, comparisons, "P@10")


def test_one_wins() -> None:
    """It is named, with what it beats and by how much; chance is left behind in silence."""
    said = conclusion({"worse": 0.5, "best": 0.9, "worst": 0.2})
    assert said.startswith("best wins by P@10: it beats worse by 4")
    assert "± " in said
    assert "± -" not in said
    assert " and worst by 7" in said or " and worst by 6" in said
    assert "chance" not in said


def test_nobody_wins() -> None:
    """Those that cannot be told apart are named together, and what the first of them beats."""
    said = conclusion({"one": 0.8, "two": 0.8, "three": 0.3}, noise=0.2)
    assert "one and two cannot be told apart by P@10." in said or "two and one cannot be told apart by P@10." in said
    assert "beats three by " in said
    assert "wins" not in said


def test_many_cannot_be_told_apart() -> None:
    """Three are named, and the one with the shortest vectors: it is as good and costs least."""
    complete, comparisons, _ = made({f"c{number}": 0.5 for number in range(9)}, noise=0.3)
    complete = [replace(one, dimension=8 if one.name == "c7" else 99) for one in complete]
    said = concluded(complete, comparisons, "P@10")
    assert "and 6 more cannot be told apart by P@10. Of these c7 has the shortest vectors, 8 values." in said


def test_many_are_behind() -> None:
    """Three are named, and how many more there are."""
    said = conclusion({f"c{number}": 0.9 - 0.1 * number for number in range(7)}, noise=0.01)
    assert "c0 wins" in said
    assert said.endswith("and 3 more by at least as much.")


def test_one_alone() -> None:
    """It has a value, and nothing to be compared with."""
    said = conclusion({"only": 0.5})
    assert said.startswith("only reaches ")
    assert said.endswith(" % P@10, with nothing to compare it with.")


def test_a_winner_that_does_not_beat_a_floor() -> None:
    """That is said, since it is of no use."""
    said = conclusion({"a": 0.3, "b": 0.2}, floors={"grey thumbnail": 0.6})
    assert "a is not better than grey thumbnail" in said


def test_nothing_could_be_measured() -> None:
    """No winner."""
    assert concluded([row("a", reason="gone")], [], "P@10") == "No configuration could be measured."


def test_too_few_queries_to_tell() -> None:
    """Five queries prove nothing, however large the difference."""
    task = Task(ITEMS, ITEMS[:5])
    groups = Groups(task, 0)
    values = {"a": np.ones(5), "b": np.zeros(5)}
    measures = groups.measures({name: {"P@10": own} for name, own in values.items()})
    rows = ranked([replace(row(name), measures=measures[name]) for name in values], "P@10")
    assert "cannot be told apart" in concluded(rows, groups.comparisons("P@10", values), "P@10")


def test_comparisons_are_paired_and_by_category() -> None:
    """Every pair, over all queries first; products are drawn as wholes."""
    complete, comparisons, values = made({"x": 0.5, "y": 0.6})
    assert [one.name for one in complete] == ["y", "x", "pure chance"]
    groups = {one.category for one in comparisons}
    assert groups == {None, "a", "b"}
    assert len(comparisons) == 3 * 3
    assert comparisons[0].category is None
    first = comparisons[0]
    expected = bootstrap(differences(values["y"], values["x"]), units=TASK.units)
    np.testing.assert_allclose([first.difference.low, first.difference.high], [expected.low, expected.high])
    assert first.verdict.startswith("y beats x by ")


def test_measures_have_their_categories() -> None:
    """Overall, and of each category's own queries."""
    values = np.concatenate([np.zeros(20), np.ones(20)])
    measure = Groups(TASK, 0).measures({"x": {"P@1": values}})["x"]["P@1"]
    assert measure.overall.value == 0.5
    assert {name: one.value for name, one in measure.by_category.items()} == {"a": 0, "b": 1}
    assert {one.n for one in measure.by_category.values()} == {20}


def test_the_order_of_rows() -> None:
    """Best first, then failed ones, floors last, whatever they are worth."""
    complete, _, _ = made({"x": 0.5, "y": 0.6}, floors={"grey thumbnail": 0.9, "pure chance": 0.1})
    order = ranked([row("broken", reason="gone"), *complete], "P@10")
    assert [one.name for one in order] == ["y", "x", "broken", "grey thumbnail", "pure chance"]


@pytest.mark.parametrize(("told", "primary"), [(10, "P@10"), (11, "P@10"), (30, "product@1")])
def test_the_primary_measure(told: int, primary: str) -> None:
    """Products decide where most queries have theirs among the items, categories otherwise."""
    queries = [photo(f"a/{number}", "a/0" if number < told else None, f"other {number}") for number in range(40)]
    assert primary_measure(Task(ITEMS, queries)) == primary


def scores(values: np.ndarray, nearest: int) -> Scores:
    """Scores with this P@10; every query finds the same item at last."""
    count = len(values)
    return Scores({"P@10": values}, np.tile([nearest, -1], (count, 1)), np.tile([0.5, np.nan], (count, 1)))


def test_disagreements() -> None:
    """Largest spread first, one of each product, none without any; with what each row found."""
    good, bad = np.ones(40), np.ones(40)
    bad[[4, 5, 30]] = [0.2, 0.1, 0.5]
    found = disagreements(TASK, ["x", "y"], {"x": scores(good, 0), "y": scores(bad, 25)}, 12)
    assert [one.query for one in found] == ["a/5", "b/10"]
    assert found[0].spread == pytest.approx(0.9)
    (shown,) = found[0].neighbours["y"]
    assert (shown.uri, shown.category, shown.distance, shown.relevant) == ("b/5", "b", 0.5, False)
    assert found[0].neighbours["x"][0].relevant
    assert len(disagreements(TASK, ["x", "y"], {"x": scores(good, 0), "y": scores(bad, 25)}, 1)) == 1


def test_disagreements_of_many_rows() -> None:
    """A few are shown: the best ones, and always those that did best and worst on that query."""
    table = {f"c{number}": scores(np.ones(40), 0) for number in range(20)}
    table["c18"].values["P@10"][7] = 0.1
    (found,) = disagreements(TASK, list(table), table, 12)
    assert list(found.neighbours) == ["c0", "c1", "c2", "c3", "c4", "c18"]


def test_one_row_disagrees_with_nobody() -> None:
    """Nor does none."""
    assert disagreements(TASK, ["x"], {"x": scores(np.ones(40), 0)}, 12) == ()
