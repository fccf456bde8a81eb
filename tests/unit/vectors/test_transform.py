"""ddsim.vectors.transform: normalising, principal components and whitening, against other ways to compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from ddsim.config import IndexSettings
from ddsim.deepdetect.results import Vectors
from ddsim.errors import ConfigError
from ddsim.routing.calibration import pairwise
from ddsim.vectors import transform
from ddsim.vectors.transform import Recipe, Transform


def rows_of(count: int, dimension: int, seed: int = 0) -> Vectors:
    """Vectors as networks give them: not negative, with values of very different size."""
    rng = np.random.default_rng(seed)
    return (rng.gamma(1.0, size=(count, dimension)) * rng.gamma(2.0, size=dimension)).astype(np.float32)


def unit(rows: Any) -> Any:
    """Each row at length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_nothing_to_do() -> None:
    """The recipe of an ordinary configuration changes nothing and learns nothing."""
    rows = rows_of(5, 4)
    made = Transform.fit(Recipe(), rows)
    assert Recipe().trivial
    assert (made.apply(rows) == rows).all()
    assert (made.dimension, made.described) == (4, "as it is")


def test_normalisation_by_hand() -> None:
    """Length 1; square roots with their signs and then length 1; zeros stay zeros."""
    rows = np.array([[3, 4], [-9, 16], [0, 0]], np.float32)
    assert Transform.fit(Recipe("l2"), rows).apply(rows) == pytest.approx(
        np.array([[0.6, 0.8], [-9 / 337**0.5, 16 / 337**0.5], [0, 0]])
    )
    power = Transform.fit(Recipe("power"), rows).apply(rows)
    assert power == pytest.approx(np.array([[(3 / 7) ** 0.5, (4 / 7) ** 0.5], [-0.6, 0.8], [0, 0]]))
    assert power.dtype == np.float32


# More rows than values and fewer: two ways to compute the same.
@pytest.mark.parametrize(("count", "dimension"), [(60, 12), (12, 60), (20, 20)])
@pytest.mark.parametrize("components", [1, 5, 11])
def test_components_are_those_of_scikit_learn(count: int, dimension: int, components: int) -> None:
    """The same projection but for signs, of the rows that were learned from and of others."""
    rows, others = rows_of(count, dimension), rows_of(7, dimension, seed=1)
    found = Transform.fit(Recipe(pca=components), rows)
    other = PCA(components, svd_solver="full").fit(rows.astype(np.float64))
    for some in (rows, others):
        expected = other.transform(some.astype(np.float64))
        assert np.abs(found.apply(some)) == pytest.approx(np.abs(expected), rel=1e-4, abs=1e-4)
    assert found.components @ found.components.T == pytest.approx(np.eye(components), abs=1e-9)


@pytest.mark.parametrize(("count", "dimension"), [(60, 12), (12, 60)])
@pytest.mark.parametrize("normalisation", ["none", "l2", "power"])
def test_whitening_is_that_of_scikit_learn(count: int, dimension: int, normalisation: Any) -> None:
    """Every component with the same weight, then length 1, as Jégou and Chum have it."""
    rows = rows_of(count, dimension)
    made = Transform.fit(Recipe(normalisation), rows).apply(rows).astype(np.float64)
    expected = unit(PCA(6, whiten=True, svd_solver="full").fit_transform(made))
    found = Transform.fit(Recipe(normalisation, 6, whiten=True), rows).apply(rows)
    assert np.abs(found) == pytest.approx(np.abs(expected), rel=1e-3, abs=1e-3)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(count), abs=1e-5)


def test_all_components_keep_distances() -> None:
    """Components alone turn the vectors and take nothing away but what does not differ."""
    rows = rows_of(30, 8)
    found = Transform.fit(Recipe(pca=8), rows).apply(rows)
    assert np.nan_to_num(pairwise(found, "l2")) == pytest.approx(
        np.nan_to_num(pairwise(rows, "l2")), rel=1e-4, abs=1e-5
    )


def test_what_was_normalised_is_so_again() -> None:
    """After components were taken of normalised vectors these have length 1 once more."""
    rows = rows_of(30, 8)
    found = Transform.fit(Recipe("l2", 3), rows).apply(rows)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(30), abs=1e-5)


@pytest.mark.parametrize("whiten", [False, True])
def test_rows_that_hardly_differ(whiten: bool) -> None:
    """More components than there are differences, or none at all: finite values, no division by nothing."""
    rows = np.repeat(rows_of(3, 10), 4, axis=0)
    for some, least in ((rows, 1e-3), (np.repeat(rows[:1], 12, axis=0), 0.0)):
        found = Transform.fit(Recipe(pca=9, whiten=whiten), some).apply(some)
        assert np.isfinite(found).all()
        # What is equal stays so, what differs too.
        assert found[0] == pytest.approx(found[3])
        assert np.abs(found[0] - found[-1]).max() >= least


@pytest.mark.parametrize("recipe", [Recipe("l2", 3), Recipe("power", 3, whiten=True), Recipe(pca=3, whiten=True)])
@pytest.mark.parametrize("count", [1, 12])
def test_pictures_that_are_all_alike(recipe: Recipe, count: int) -> None:
    """Of one picture, or of copies, nothing can be learned: they are compared whole, alike among themselves alone."""
    rows = np.repeat(rows_of(1, 6), count, axis=0)
    found = Transform.fit(recipe, rows)
    assert found.dimension == 6
    for made in (found, Transform.from_arrays(found.to_arrays())):
        one, other = made.apply(np.stack([rows[0], rows_of(2, 6)[1]]))
        assert (one @ one, other @ other) == pytest.approx((1, 1))
        assert one @ other < 0.99


def test_components_without_weight_stay_small() -> None:
    """Whitening does not blow noise up without bounds."""
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(200, 4)) * [1.0, 0.5, 1e-7, 1e-7]).astype(np.float32)
    found = Transform.fit(Recipe(pca=4, whiten=True), rows).apply(rows)
    assert np.abs(found[:, 2:]).max() < 0.01 < np.abs(found[:, 1]).max()


def test_values_that_are_none_teach_nothing() -> None:
    """A network gone wrong: such rows are left out of learning, and stay what they are."""
    rows = rows_of(30, 6)
    broken = rows.copy()
    broken[[4, 9], [0, 3]] = np.nan, np.inf
    good = np.delete(np.arange(30), [4, 9])
    found = Transform.fit(Recipe("l2", 3), broken)
    assert found.apply(broken)[good] == pytest.approx(Transform.fit(Recipe("l2", 3), rows[good]).apply(rows[good]))
    assert not np.isfinite(found.apply(broken)[[4, 9]]).any()


def test_more_components_than_values() -> None:
    """Refused, with both numbers; also before there is any vector."""
    with pytest.raises(ConfigError, match="7 components are wanted of vectors of 6 values"):
        Transform.fit(Recipe(pca=7), rows_of(30, 6))
    with pytest.raises(ConfigError, match="7 components are wanted of vectors of 6 values"):
        Recipe(pca=7).check(6)
    Recipe(pca=6).check(6)
    Recipe().check(0)


@pytest.mark.parametrize("whiten", [False, True])
def test_more_components_than_vectors(whiten: bool) -> None:
    """There are as many components as vectors then, and distances between these are what they were."""
    rows = rows_of(4, 6)
    found = Transform.fit(Recipe(pca=5, whiten=whiten), rows)
    assert found.dimension == 4
    assert found.described.startswith("pca 4 ")
    applied = found.apply(rows)
    assert applied.shape == (4, 4)
    assert np.isfinite(applied).all()
    if not whiten:
        found_far, far = (np.nan_to_num(pairwise(one, "l2")) * one.shape[1] for one in (applied, rows))
        assert found_far == pytest.approx(far, rel=1e-4)
    again = Transform.from_arrays(found.to_arrays())
    assert (again.apply(rows) == applied).all()


def test_vectors_that_are_no_numbers() -> None:
    """Nothing can be learned where a network gives nothing but those."""
    with pytest.raises(ConfigError, match=r"nothing can be learned from 3 pictures"):
        Transform.fit(Recipe(pca=2), np.full((3, 6), np.nan, np.float32))


def test_a_sample_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many rows some are learned from, at even distances, and no more components than those come of it."""
    rows = rows_of(31, 6)
    whole = Transform.fit(Recipe(pca=3), rows[::5]).components
    monkeypatch.setattr(transform, "_LEARN_FROM", 7)
    found = Transform.fit(Recipe(pca=3), rows)
    assert np.abs(found.components) == pytest.approx(np.abs(whole))
    assert found.rows == 31
    monkeypatch.setattr(transform, "_LONG", 5)
    assert Transform.fit(Recipe(pca=6), rows).dimension == 5


def test_one_at_a_time_or_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query is transformed by itself, what is indexed in parts; the same comes of it."""
    rows = rows_of(30, 12)
    found = Transform.fit(Recipe("power", 5, whiten=True), rows)
    whole = found.apply(rows)
    assert np.concatenate([found.apply(row[np.newaxis]) for row in rows]) == pytest.approx(whole, abs=1e-6)
    monkeypatch.setattr(transform, "_ROWS_AT_ONCE", 7)
    assert found.apply(rows) == pytest.approx(whole, abs=1e-6)
    assert found.apply(rows[:0]).shape == (0, 5)


@given(factor=st.floats(1e-3, 1e3), normalisation=st.sampled_from(["l2", "power"]), whiten=st.booleans())
def test_length_does_not_matter(factor: float, normalisation: Any, whiten: bool) -> None:
    """Normalised in either way, a vector and a multiple of it are the same, so vectors kept at length 1 will do."""
    rows = rows_of(20, 6)
    found = Transform.fit(Recipe(normalisation, 4, whiten), rows)
    assert found.apply(rows * np.float32(factor)) == pytest.approx(found.apply(rows), abs=1e-4)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe("power"), Recipe(pca=3), Recipe("l2", 3, whiten=True)])
def test_arrays_and_back(recipe: Recipe) -> None:
    """What was learned survives being written down."""
    rows = rows_of(20, 6)
    found = Transform.fit(recipe, rows)
    again = Transform.from_arrays(found.to_arrays())
    assert (again.recipe, again.inputs, again.rows, again.described) == (recipe, 6, 20, found.described)
    assert (again.apply(rows) == found.apply(rows)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": np.array("no json")},
        {"recipe": np.array('{"pca": 2}')},
        {"recipe": np.array('{"pca": -1}')},
        {"recipe": np.array('{"colour": 4}')},
        {"recipe": np.array("[]")},
        {"sizes": np.array([6])},
        {"sizes": np.array([7, 20])},
        {"mean": np.zeros(5)},
        {"components": np.zeros((6, 3))},
    ],
)
def test_other_arrays_are_refused(change: dict[str, Any]) -> None:
    """Arrays that are not what was written, or lack a part, are a ValueError and nothing else."""
    arrays = Transform.fit(Recipe(pca=3), rows_of(20, 6)).to_arrays()
    with pytest.raises(ValueError):  # noqa: PT011  json says it in its own words
        Transform.from_arrays(arrays | change)
    with pytest.raises(ValueError, match="no transform"):
        Transform.from_arrays({key: value for key, value in arrays.items() if key not in change})


def test_described() -> None:
    """In a few words, which differ when something else was learned."""
    first, second = (Transform.fit(Recipe("power", 3, whiten=True), rows_of(20, 6, seed)) for seed in (0, 1))
    assert first.described.startswith("power pca 3 whitened of 20 rows, ")
    assert first.described != second.described
    assert Transform.fit(Recipe("l2"), rows_of(3, 2)).described == "l2"


@pytest.mark.parametrize(
    ("given", "recipe"),
    [
        ({}, Recipe()),
        ({"normalisation": "power", "pca": 8, "whiten": True}, Recipe("power", 8, whiten=True)),
        ({"metric": "cosine"}, Recipe()),
        ({"metric": "cosine", "normalisation": "l2"}, Recipe()),
        ({"metric": "cosine", "normalisation": "power"}, Recipe("power")),
        ({"metric": "cosine", "pca": 8}, Recipe("l2", 8)),
    ],
)
def test_recipes_of_settings(given: dict[str, Any], recipe: Recipe) -> None:
    """For angles vectors count at length 1, which needs no word where nothing is learned from them."""
    assert Recipe.of(IndexSettings(backend="local", **given)) == recipe


def test_recipes_that_make_no_sense() -> None:
    """Whitening weighs components, and there is no component number 0."""
    with pytest.raises(ConfigError, match="needs pca"):
        Recipe(whiten=True)
    with pytest.raises(ConfigError, match="at least 1"):
        Recipe(pca=0)
