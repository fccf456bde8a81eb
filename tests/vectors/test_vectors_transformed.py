"""Vectors kept by ddsim and compared as a recipe makes them: what is found, what is kept, when it is learned anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from homes import Home, Killed
from shop import picture

from ddsim import ConfigError, load
from ddsim.catalogue.manifest import ItemState, Manifest
from ddsim.deepdetect.results import Vectors
from ddsim.routing.calibration import pairwise
from ddsim.vectors import LocalBackend, keeping, learning, space
from ddsim.vectors.store import Store
from ddsim.vectors.transform import Recipe, Transform
from ddsim.vectors.vectorfile import write, write_arrays

RECIPES: dict[str, dict[str, Any]] = {
    "l2": {"normalisation": "l2"},
    "power": {"normalisation": "power"},
    "pca": {"pca": 5},
    "all": {"normalisation": "power", "pca": 5, "whiten": True},
    "cosine pca": {"metric": "cosine", "pca": 5},
    "cosine power": {"metric": "cosine", "normalisation": "power"},
}
ALL = RECIPES["all"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Twelve pictures in two categories, nothing indexed, before a server without an index."""
    made = Home(tmp_path, "local")
    made.shop.add(*(f"lamp/{number}.png" for number in range(8)), *(f"bed/{number}.png" for number in range(4)))
    yield made
    made.close()


def configure(home: Home, recipe: dict[str, Any]) -> None:
    """Have another recipe in the configuration."""
    home.shop.configure(index={"backend": "local", "batch_size": 4, **recipe})


def learned_file(home: Home) -> Path:
    """Where what was learned is kept."""
    (folder,) = (home.root / "state" / "manifest").glob("vectors-*")
    return folder / "transform.npz"


def learned(home: Home) -> Transform:
    """What is kept there."""
    with np.load(learned_file(home)) as content:
        return Transform.from_arrays(dict(content))


def kept(home: Home) -> Vectors:
    """The vectors on disk."""
    store = Store(learned_file(home).parent)
    store.look()
    return np.concatenate([segment.rows for segment in store.segments])


def nearest(home: Home, uri: str, k: int = 100, category: str | None = None) -> list[tuple[str, float]]:
    """What a search finds."""
    hits = home.search(home.shop.catalogue / uri, k, category)
    return [(found.uri, found.distance) for found in hits.found]


def expected(home: Home, uri: str) -> list[tuple[str, float]]:
    """What numpy finds, with the recipe learned from what was there."""
    index = home.shop.settings.index
    rows = home.vectors(*(home.shop.catalogue / one for one in home.uris)).astype(np.float32)
    rows = Transform.fit(Recipe.of(index), rows).apply(rows)
    place = home.uris.index(uri)
    distances = np.nan_to_num(pairwise(rows, index.metric)[place])
    return sorted(zip(home.uris, distances.tolist(), strict=True), key=lambda pair: pair[1])


def local(home: Home, manifest: Manifest | None = None, *, rebuilding: bool = False) -> LocalBackend:
    """The backend, not opened."""
    backend = home.backend(manifest, rebuilding=rebuilding)
    assert isinstance(backend, LocalBackend)
    return backend


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_near_is_near_in_the_space_of_the_recipe(home: Home, name: str) -> None:
    """Order and distances are those that numpy finds among transformed vectors; a picture finds itself."""
    configure(home, RECIPES[name])
    home.index()
    for uri in ("lamp/3.png", "bed/0.png"):
        found, wanted = nearest(home, uri), expected(home, uri)
        assert [one for one, _ in found] == [one for one, _ in wanted]
        assert [far for _, far in found] == pytest.approx([far for _, far in wanted], rel=1e-3, abs=1e-5)
        assert found[0] == (uri, pytest.approx(0.0, abs=1e-6))
        beds = [one for one in found if one[0].startswith("bed/")]
        assert nearest(home, uri, 3, "bed") == beds[:3]


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_kept_is_the_networks(home: Home, name: str) -> None:
    """The file and what comes back from add() and a search are not transformed; vectors_of gives what is compared."""
    configure(home, RECIPES[name])
    home.index()
    settings = home.shop.settings
    assert kept(home).shape == (12, 16)
    hits = home.search(home.shop.catalogue / "lamp/3.png")
    assert hits.vector == pytest.approx(home.vectors(home.shop.catalogue / "lamp/3.png")[0])
    scores = [found.closeness for found in hits.found]
    assert scores[0] == pytest.approx(1.0, abs=1e-4)
    assert scores == sorted(scores, reverse=True)
    assert 0.0 <= scores[-1] < 0.99
    row = home.manifest().get("lamp/3.png")
    assert row is not None
    assert row.vid is not None
    with closing(local(home)) as backend:
        backend.open(writing=False)
        (vector,) = backend.vectors_of([row.vid])
    recipe = Recipe.of(settings.index)
    assert vector.shape == (recipe.pca or 16,)
    if recipe.ends_in_length_one:
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_another_recipe_sends_nothing_again(home: Home) -> None:
    """From plain to all and on, whatever the metric: a search finds by the new one at once, a run has nothing to do."""
    home.index()
    cosine, angles = RECIPES["cosine pca"], {"metric": "cosine"}
    for recipe in (ALL, cosine, RECIPES["pca"], angles, RECIPES["l2"], {}, cosine, angles, ALL):
        configure(home, recipe)
        home.tap.sent.clear()
        found, wanted = nearest(home, "lamp/3.png"), expected(home, "lamp/3.png")
        assert [one for one, _ in found] == [one for one, _ in wanted]
        home.tap.sent.clear()
        home.index()
        assert all(len(sent.ids) < 2 for sent in home.tap.sent)
    assert home.manifest().counts()[ItemState.INDEXED] == 12


def test_searchers_compare_as_the_run_did(home: Home) -> None:
    """What was learned holds for whoever comes, although by then there are other rows."""
    configure(home, ALL)
    home.index()
    before, far = learned(home), dict(nearest(home, "lamp/3.png"))
    home.shop.add("bed/9.png")
    home.index()
    assert learned(home).described == before.described
    now = dict(nearest(home, "lamp/3.png"))
    assert now.keys() - far.keys() == {"bed/9.png"}
    assert {uri: now[uri] for uri in far} == pytest.approx(far, abs=1e-6)


@pytest.mark.parametrize("change", ["more", "fewer"])
def test_a_tenth_more_or_fewer_is_learned_from(home: Home, change: str) -> None:
    """Then the components are other ones, for all, and the manifest says so."""
    configure(home, ALL)
    home.index()
    before, said = learned(home), home.manifest().get_meta("compared")
    assert (before.rows, said) == (12, before.described)
    if change == "more":
        home.shop.add("bed/8.png", "bed/9.png")
    else:
        for uri in ("bed/0.png", "bed/1.png"):
            (home.shop.catalogue / uri).unlink()
    home.index()
    after = learned(home)
    assert after.rows == len(home.uris)
    assert after.described != said
    assert home.manifest().get_meta("compared") == after.described
    found, wanted = nearest(home, "lamp/3.png"), expected(home, "lamp/3.png")
    assert [one for one, _ in found] == [one for one, _ in wanted]


def test_an_open_searcher_follows(home: Home) -> None:
    """Whoever has the index open takes what a run learned meanwhile."""
    configure(home, ALL)
    home.index()
    with closing(local(home)) as backend:
        backend.open(writing=False)
        home.shop.add("bed/8.png", "bed/9.png")
        home.index()
        (hits,) = backend.search([home.shop.catalogue / "lamp/3.png"], 100)
    assert [(found.uri, found.distance) for found in hits.found] == nearest(home, "lamp/3.png")


def test_a_run_finds_what_it_added(home: Home) -> None:
    """Also while it is open: added, changed and removed rows count in the recipe's space."""
    configure(home, ALL)
    home.index()
    home.shop.add_picture("lamp/3.png", picture(400))
    home.shop.add("bed/9.png")
    (home.shop.catalogue / "bed/0.png").unlink()
    with home.run() as (manifest, backend):
        backend.search([home.shop.catalogue / "lamp/4.png"], 1)
        home.add_some(manifest, backend, 9, build=True)
        (hits,) = backend.search([home.shop.catalogue / "lamp/3.png"], 100)
        assert sorted(found.uri for found in hits.found) == home.uris
        assert (hits.found[0].uri, hits.found[0].distance) == ("lamp/3.png", pytest.approx(0.0, abs=1e-6))


def test_emptied_and_filled_again(tmp_path: Path) -> None:
    """Rows that come after all others went are found."""
    rows = np.random.default_rng(5).normal(size=(12, 6)).astype(np.float32)
    vids = np.arange(1, 13)
    index = space.Space(6, "l2", Recipe(pca=3), tmp_path)
    index.add(vids, rows)
    assert index.nearest(index.compared(rows)[3], 1)[0][0] == 4
    assert index.remove(vids) == 12
    assert index.nearest(rows[3], 1) == []
    index.add(vids[:5] + 20, rows[:5])
    assert index.nearest(index.compared(rows)[3], 9)[0] == (24, pytest.approx(0.0, abs=1e-6))
    assert len(index.nearest(index.compared(rows)[3], 9)) == len(index) == 5


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_is_learned_again(home: Home, content: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    """It holds nothing that the vectors do not tell: a warning, and the same once more."""
    configure(home, ALL)
    home.index()
    before, whole = nearest(home, "lamp/3.png"), learned_file(home).read_bytes()
    if content is None:
        write_arrays(learned_file(home), {"recipe": np.array("{}")})
    else:
        learned_file(home).write_bytes(content)
    after = nearest(home, "lamp/3.png")
    assert "transform.npz cannot be used" in caplog.text
    assert [uri for uri, _ in after] == [uri for uri, _ in before]
    assert [far for _, far in after] == pytest.approx([far for _, far in before], abs=1e-5)
    assert len(learned_file(home).read_bytes()) == len(whole)


def test_a_file_that_cannot_be_read_is_an_error(home: Home) -> None:
    """A folder in its place, say: that is not put right in silence."""
    configure(home, ALL)
    home.index()
    learned_file(home).unlink()
    learned_file(home).mkdir()
    with pytest.raises(ConfigError, match=r"transform\.npz: the vectors cannot be read"):
        nearest(home, "lamp/3.png")


def test_a_searcher_beside_a_run_learns_for_itself(home: Home) -> None:
    """It may not write, and has no need to: the same vectors teach the same."""
    home.index()
    manifest = home.manifest()
    with manifest.writing():
        configure(home, ALL)
        found, wanted = nearest(home, "lamp/3.png"), expected(home, "lamp/3.png")
        assert not learned_file(home).exists()
    assert [uri for uri, _ in found] == [uri for uri, _ in wanted]


def test_death_before_it_is_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors are safe by then, and the next to come learns."""

    def killed(*_: object) -> None:
        raise Killed

    configure(home, ALL)
    monkeypatch.setattr(learning, "write_arrays", killed)
    with pytest.raises(Killed):
        home.index(batch=12)
    monkeypatch.undo()
    assert home.manifest().counts()[ItemState.INDEXED] == 12
    assert [uri for uri, _ in nearest(home, "lamp/3.png")] == [uri for uri, _ in expected(home, "lamp/3.png")]
    assert learned(home).rows == 12


@pytest.mark.parametrize("name", RECIPES)
def test_a_strange_picture_is_told_by_what_the_network_gave(home: Home, name: str) -> None:
    """Components leave out what strange vectors consist of, so how far the nearest is apart is known without them."""
    configure(home, RECIPES[name])
    home.index()
    metric = home.shop.settings.index.metric
    strange = home.root / "strange.png"
    picture(99).save(strange)
    hits = home.search(strange)
    rows = home.vectors(strange, home.shop.catalogue / hits.found[0].uri)
    assert hits.apart == pytest.approx(pairwise(rows, metric)[0, 1], rel=1e-3)
    row = home.manifest().get(hits.found[0].uri)
    assert row is not None
    assert row.vid is not None
    with closing(local(home)) as backend:
        backend.open(writing=False)
        unreduced = backend.features_of([row.vid])
    assert unreduced is not None
    assert unreduced.shape == (1, 16)
    assert pairwise(np.concatenate([unreduced, rows[1:]]), "cosine")[0, 1] == pytest.approx(0.0, abs=1e-6)


def test_vectors_compared_as_they_are_need_no_second_look(home: Home) -> None:
    """Their distance is the only one there is."""
    home.index()
    assert home.search(home.shop.catalogue / "lamp/3.png").apart is None


@pytest.mark.parametrize("recipe", [{"pca": 14}, {"pca": 14, "whiten": True}, {"pca": 14, "metric": "cosine"}], ids=str)
def test_fewer_pictures_than_components(home: Home, recipe: dict[str, Any]) -> None:
    """There are as many components as pictures; with more of these they are learned anew, up to what was asked for."""
    configure(home, recipe)
    home.index()
    assert learned(home).dimension == 12
    assert [uri for uri, _ in nearest(home, "lamp/3.png")] == [uri for uri, _ in expected(home, "lamp/3.png")]
    home.shop.add("bed/7.png", "bed/8.png", "bed/9.png")
    home.index()
    assert learned(home).dimension == 14
    assert nearest(home, "lamp/3.png", 1) == [("lamp/3.png", pytest.approx(0.0, abs=1e-6))]


@pytest.mark.parametrize("count", [1, 2])
def test_hardly_any_pictures(tmp_path: Path, count: int) -> None:
    """One picture alone has nothing that tells it from others; it is found all the same."""
    with closing(Home(tmp_path, "local")) as home:
        home.shop.add(*(f"lamp/{number}.png" for number in range(count)))
        configure(home, {"pca": 14, "metric": "cosine"})
        home.index()
        assert len(nearest(home, "lamp/0.png")) == count
        assert nearest(home, "lamp/0.png")[0][0] == "lamp/0.png"


def make_older(home: Home, *, lengths: bool = True) -> None:
    """Have the vectors lie there as older versions of ddsim kept them."""
    manifest, folder = home.manifest(), home.root / "state" / "manifest"
    kept = keeping.folder_of(manifest)
    assert kept is not None
    store = Store(kept)
    store.look()
    assert store.listed is not None
    joined = [np.concatenate([getattr(one, name) for one in store.segments]) for name in ("vids", "rows", "lengths")]
    write(folder / "vectors.npz", store.listed.metric, joined[0], joined[1], joined[2] if lengths else None)
    if (kept / "transform.npz").exists():
        (kept / "transform.npz").replace(folder / "transform.npz")
    manifest.set_meta(vectors=None)
    shutil.rmtree(kept)


@pytest.mark.parametrize("name", ["plain", "all", "cosine pca"])
@pytest.mark.parametrize("searched", [False, True])
def test_an_index_of_an_older_version_is_taken_over(home: Home, name: str, searched: bool) -> None:
    """By whoever comes first, a searcher or a run; nothing is sent again, distances stay, and the old files go."""
    configure(home, {} if name == "plain" else RECIPES[name])
    home.index()
    before, how = nearest(home, "lamp/3.png"), home.manifest().get_meta("compared")
    make_older(home)
    home.tap.sent.clear()
    if searched:
        assert [uri for uri, _ in nearest(home, "lamp/3.png")] == [uri for uri, _ in before]
    home.index()
    assert not [sent for sent in home.tap.sent if len(sent.ids) > 1]
    assert [uri for uri, _ in nearest(home, "lamp/3.png")] == [uri for uri, _ in before]
    assert [far for _, far in nearest(home, "lamp/3.png")] == pytest.approx([far for _, far in before], abs=1e-6)
    assert home.manifest().get_meta("compared") == how
    assert list((home.root / "state" / "manifest").glob("*.npz")) == []
    home.check()


def test_a_searcher_beside_a_run_reads_an_older_version(home: Home) -> None:
    """It leaves the files as they are, and finds what is in them."""
    home.index()
    before = nearest(home, "lamp/3.png")
    make_older(home)
    with home.manifest().writing():
        assert nearest(home, "lamp/3.png") == before
    assert (home.root / "state" / "manifest" / "vectors.npz").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", b"PK\x05\x06" + bytes(18)])
def test_an_older_file_that_is_damaged(home: Home, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A warning, everything is sent again, and the file goes."""
    home.index()
    make_older(home)
    (home.root / "state" / "manifest" / "vectors.npz").write_bytes(content)
    home.index()
    assert "vectors.npz cannot be used" in caplog.text
    home.check()
    assert list((home.root / "state" / "manifest").glob("*.npz")) == []


def test_angles_of_an_older_version_are_sent_again_for_distances(home: Home) -> None:
    """A file that holds no lengths goes on being of use for angles; for distances its pictures are sent once more."""
    configure(home, {"metric": "cosine"})
    home.index()
    make_older(home, lengths=False)
    home.tap.sent.clear()
    home.index()
    assert not [sent for sent in home.tap.sent if len(sent.ids) > 1]
    make_older(home, lengths=False)
    configure(home, {"metric": "l2"})
    home.index()
    assert [uri for uri, _ in nearest(home, "lamp/3.png")] == [uri for uri, _ in expected(home, "lamp/3.png")]
    assert sum(len(sent.ids) for sent in home.tap.sent) >= 12


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_another_precision_sends_nothing_again(home: Home, metric: str) -> None:
    """What is kept is rounded, or kept as it was rounded, and takes half the room or the whole."""
    configure(home, {"metric": metric})
    home.index()
    for precision, size in (("float16", 2), ("float32", 4)):
        configure(home, {"metric": metric, "precision": precision})
        home.tap.sent.clear()
        home.index()
        assert not [sent for sent in home.tap.sent if len(sent.ids) > 1]
        assert kept(home).dtype.itemsize == size
        found, wanted = nearest(home, "lamp/3.png"), expected(home, "lamp/3.png")
        assert [uri for uri, _ in found] == [uri for uri, _ in wanted]
        assert [far for _, far in found] == pytest.approx([far for _, far in wanted], rel=1e-2, abs=1e-5)
        home.check()


def test_shrunk_below_the_number_of_components(home: Home) -> None:
    """From those that are left as many are learned as they are."""
    configure(home, {"pca": 12})
    home.index()
    for number in range(4):
        (home.shop.catalogue / f"bed/{number}.png").unlink()
    home.index()
    assert (learned(home).rows, learned(home).dimension) == (8, 8)
    assert [uri for uri, _ in nearest(home, "lamp/3.png", 1)] == ["lamp/3.png"]


def test_an_empty_index(home: Home) -> None:
    """Nothing is learned from nothing, and nothing is found."""
    configure(home, ALL)
    assert nearest(home, "lamp/3.png") == []
    assert list((home.root / "state" / "manifest").rglob("transform.npz")) == []
    with closing(local(home)) as backend:
        backend.open(writing=False)
        assert len(backend.vectors_of([])) == 0


def test_more_components_than_values(home: Home) -> None:
    """Said before a single picture is sent."""
    configure(home, {"pca": 17})
    with pytest.raises(ConfigError, match="17 components are wanted of vectors of 16 values"):
        home.index()


def test_a_rebuild_forgets(home: Home) -> None:
    """What comes may be of another network: nothing of what was learned is used for it."""
    configure(home, ALL)
    home.index()
    manifest = home.manifest()
    with manifest.writing(), closing(local(home, manifest, rebuilding=True)) as backend:
        backend.rebuild()
        assert not learned_file(home).exists()
        assert manifest.get_meta("compared") == "not yet"
    home.index()
    assert learned(home).rows == 12
    home.check()


@pytest.mark.parametrize("backend", ["server", "auto"])
@pytest.mark.parametrize("recipe", [{"normalisation": "l2"}, {"pca": 4}, {"pca": 4, "whiten": True}])
def test_recipes_are_for_local_vectors_only(home: Home, backend: str, recipe: dict[str, Any]) -> None:
    """The server's index compares vectors as they are, and the error names each key that wants otherwise."""
    home.shop.configure(index={"backend": backend, **recipe})
    with pytest.raises(ConfigError) as caught:
        load(home.shop.config)
    for key in recipe:
        assert f"index.{key}: the server compares vectors as they are: write backend: local too" in str(caught.value)


def test_whitening_needs_components(home: Home) -> None:
    """It weighs them."""
    configure(home, {"whiten": True})
    with pytest.raises(ConfigError, match=r"index\.whiten: it weighs principal components: say with pca how many"):
        load(home.shop.config)
