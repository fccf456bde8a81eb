"""Rows against each other: order, verdicts, who wins and who does not, and where they disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluated import photo

from ddsim.evaluation.bootstrap import bootstrap, differences
from ddsim.evaluation.comparing import Groups, disagreements, ranked
from ddsim.evaluation.concluding import concluded
from ddsim.evaluation.experiments import Experiment
from ddsim.evaluation.intervals import Draws
from ddsim.evaluation.primary import Primary, primary_measure
from ddsim.evaluation.results import Row
from ddsim.evaluation.rows import failed
from ddsim.evaluation.scoring import Scores
from ddsim.evaluation.task import Task

ITEMS = [photo(f"{category}/{number}", f"{category}/{number // 2}") for category in "ab" for number in range(20)]
TASK = Task(ITEMS, ITEMS)
P10 = Primary("P@10")
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


def measured(values: dict[str, np.ndarray]):
    """The measures of rows with this P@10."""
    return Groups(TASK, 0).measures({name: {"P@10": own} for name, own in values.items()})


def conclusion(means: dict[str, float], **options) -> str:
    """What is concluded of them."""
    complete, comparisons, _ = made(means, **options)
    return concluded(complete, comparisons, P10)


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
    said = concluded(complete, comparisons, P10)
    assert "and 6 more cannot be told apart by P@10. Of these c7 has the shortest vectors, 8 values." in said


def test_some_of_the_equal_ones_beat_others() -> None:
    """The best is told from neither of two of which one beats the other: that is said, the other not advised."""
    noise, query = np.random.default_rng(1).normal(0, 0.2, (2, len(ITEMS))), np.arange(len(ITEMS)) % 2
    values = {"x": 0.6 + noise[0], "y": 0.58 + noise[1], "z": 0.55 + noise[1] + 0.005 * query}
    rows = ranked([replace(row(name), measures=found) for name, found in measured(values).items()], "P@10")
    rows = [replace(one, dimension={"x": 99, "y": 16, "z": 8}[one.name]) for one in rows]
    said = concluded(rows, Groups(TASK, 0).comparisons("P@10", values), P10)
    assert said.startswith("x, y and z cannot be told apart by P@10, except that y beats z by 2.")
    assert ". Of those that none of them beats y has the shortest vectors, 16 values." in said


def test_many_are_behind() -> None:
    """Three are named, and how many more there are."""
    said = conclusion({f"c{number}": 0.9 - 0.1 * number for number in range(7)}, noise=0.01)
    assert "c0 wins" in said
    assert "and 3 more by at least as much." in said
    assert said.endswith("Of 21 pairs of configurations, leads count here that hold for all of them at once.")


def test_a_lead_that_does_not_hold_for_all_pairs_at_once() -> None:
    """The best of many is known only afterwards: what one pair alone would decide is no win then."""
    complete, comparisons, _ = made({"a": 0.6, "b": 0.5}, noise=0.05)
    lead = next(one for one in comparisons if one.category is None and {one.a, one.b} == {"a", "b"}).difference
    limit = abs(lead.value) / lead.margin
    assert "a wins" in concluded(complete, comparisons, P10, 0.99 * limit)
    assert "a and b cannot be told apart" in concluded(complete, comparisons, P10, 1.01 * limit)


def test_equal_configurations_seldom_win() -> None:
    """Of twenty equally good ones the best beats nobody, whichever it is; alone most of its pairs would say so."""
    rng, alone, together = np.random.default_rng(4), 0, 0
    for seed in range(20):
        draws = Draws([str(number) for number in range(60)], seed=seed, rounds=500)
        values = rng.random((20, 60))
        best, joint = int(values.mean(axis=1).argmax()), draws.joint(values)
        leads = [found for a, b, found in draws.differences(values) if best in (a, b)]
        alone += any(found.sign for found in leads)
        together += any(found.sign and abs(found.value) > joint * found.margin for found in leads)
    assert (alone > 10, together <= 3) == (True, True)


def test_one_alone() -> None:
    """It has a value, and nothing to be compared with."""
    said = conclusion({"only": 0.5})
    assert said.startswith("only reaches ")
    assert said.endswith(" % P@10, with nothing to compare it with.")


def test_a_winner_that_does_not_beat_a_floor() -> None:
    """That is said, since it is of no use."""
    said = conclusion({"a": 0.3, "b": 0.2}, floors={"grey thumbnail": 0.6})
    assert "a is not better than grey thumbnail" in said
    assert "a is not better" not in conclusion({"a": 0.6, "b": 0.2}, floors={"grey thumbnail": 0.3})


def test_a_winner_that_cannot_be_told_from_a_floor() -> None:
    """It need not be worse; that it is no worse is not enough either."""
    said = said_of({"a": np.tile([0.2, 0.4], 20), "pure chance": np.tile([0.4, 0.2], 20)}, TASK)
    assert said.endswith("a cannot be told from pure chance, which it has to beat to be of any use.")


def test_nothing_could_be_measured() -> None:
    """No winner."""
    assert concluded([row("a", reason="gone")], [], P10) == "No configuration could be measured."


def said_of(values: dict[str, np.ndarray], task: Task) -> str:
    """What is concluded of rows with this P@10."""
    groups = Groups(task, 0)
    measures = groups.measures({name: {"P@10": own} for name, own in values.items()})
    kinds = {"pure chance": "floor"}
    rows = [replace(row(name, kinds.get(name, "configuration")), measures=measures[name]) for name in values]
    return concluded(ranked(rows, "P@10"), groups.comparisons("P@10", values), P10)


def few(means: dict[str, float], queries: int = 5) -> str:
    """What is concluded of so few queries, all of which have the same value."""
    values = {name: np.full(queries, mean) for name, mean in (means | {"pure chance": 0.1}).items()}
    return said_of(values, Task(ITEMS, ITEMS[::2][:queries]))


def test_too_few_queries_to_tell() -> None:
    """Five queries prove nothing, however large the difference: neither against another one nor against a floor."""
    assert few({"a": 1.0, "b": 0.0}) == (
        "a and b cannot be told apart by P@10: 5 queries are too few. Nor can they be told from pure chance. "
        "It takes 6 at least, each of another product or picture."
    )
    assert few({"a": 1.0}) == (
        "a reaches 100.0 % P@10, with nothing to compare it with. 5 queries are too few to tell it from pure chance. "
        "It takes 6 at least, each of another product or picture."
    )
    assert "a wins" in few({"a": 1.0, "b": 0.0}, queries=6)


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
    assert primary_measure(Task(ITEMS, queries)) == Primary(primary)


@pytest.mark.parametrize(
    ("each", "categories", "primary", "why"),
    [
        (5, 2, "MAP@R", "there are 10 pictures to find or fewer, and every order of them has the same P@10."),
        (10, 3, "MAP@R", "most queries have fewer than 10 pictures of their category to find, so that P@10 cannot"),
        (11, 2, "P@10", ""),
    ],
)
def test_a_measure_that_can_tell(each: int, categories: int, primary: str, why: str) -> None:
    """Where P@10 is the same whatever is found, or cannot reach 100 %, another one ranks, and it is said why."""
    items = [photo(f"{category}/{number}") for category in "abc"[:categories] for number in range(each)]
    found = primary_measure(Task(items, items))
    assert (found.name, found.blind) == (primary, "")
    assert why in found.why
    complete, comparisons, _ = made({"x": 0.5})
    complete = [replace(one, measures={primary: one.measures["P@10"]}) for one in complete]
    assert concluded(complete, comparisons, found).endswith(found.why)


@pytest.mark.parametrize("count", [5, 20])
def test_one_category_alone(count: int) -> None:
    """All that can be found is right then, whatever it is: nobody wins, and no floor is too good."""
    items = [photo(f"a/{number}") for number in range(count)]
    complete, comparisons, _ = made({"x": 1.0, "y": 1.0}, floors={"pure chance": 1.0}, noise=0.0)
    said = concluded(complete, comparisons, primary_measure(Task(items, items)))
    assert said.startswith("There is nothing to tell apart: all that a query can find is of its own category")
    assert "chance" not in said


def test_one_category_with_products() -> None:
    """Products can be told apart in it, unless it is one product."""
    items = [photo(f"a/{number}", f"a/{number // 2}") for number in range(20)]
    assert primary_measure(Task(items, items)) == Primary("product@1")
    items = [photo(f"a/{number}", "a/0") for number in range(20)]
    assert "all that a query can find is of its own product" in primary_measure(Task(items, items)).blind


def scores(values: np.ndarray, nearest: int) -> Scores:
    """Scores with this P@10; every query finds the same item at last."""
    count = len(values)
    return Scores({"P@10": values}, np.tile([nearest, -1], (count, 1)), np.tile([0.5, np.nan], (count, 1)))


def test_disagreements() -> None:
    """Largest spread first, one of each product, none without any; with what each row found."""
    good, bad = np.ones(40), np.ones(40)
    bad[[4, 5, 30]] = [0.2, 0.1, 0.5]
    found = disagreements(TASK, ["x", "y"], {"x": scores(good, 0), "y": scores(bad, 25)}, 12, "P@10")
    assert [one.query for one in found] == ["a/5", "b/10"]
    assert found[0].spread == pytest.approx(0.9)
    (shown,) = found[0].neighbours["y"]
    assert (shown.uri, shown.category, shown.distance, shown.relevant) == ("b/5", "b", 0.5, False)
    assert found[0].neighbours["x"][0].relevant
    assert len(disagreements(TASK, ["x", "y"], {"x": scores(good, 0), "y": scores(bad, 25)}, 1, "P@10")) == 1


def test_disagreements_of_many_rows() -> None:
    """A few are shown: the best ones, and always those that did best and worst on that query."""
    table = {f"c{number}": scores(np.ones(40), 0) for number in range(20)}
    table["c18"].values["P@10"][7] = 0.1
    (found,) = disagreements(TASK, list(table), table, 12, "P@10")
    assert list(found.neighbours) == ["c0", "c1", "c2", "c3", "c4", "c18"]


def test_one_row_disagrees_with_nobody() -> None:
    """Nor does none."""
    assert disagreements(TASK, ["x"], {"x": scores(np.ones(40), 0)}, 12, "P@10") == ()
