"""ddsim.indexing.audit: an index that is not what its manifest says is found out, and the likely cause is named."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from homes import HOMES, StrictTap
from PIL import Image
from shop import Shop, picture
from stock import index, names

from ddsim import Audit, Collection
from ddsim.catalogue.manifest import ItemState, Row
from ddsim.deepdetect.results import Vectors
from ddsim.indexing.audit import audit_index
from ddsim.pictures.encoding import Encoded, Picture
from ddsim.vectors import Found, Hits, backend_for


@dataclass
class Fake:
    """A home whose answers a test makes up; what it is asked is the pictures themselves.

    Attributes:
        rows: what the manifest has.
        spoil: what becomes of an answer, by the place of the picture; at first everything is as it should be.
        surplus: rows beside those of the manifest.
    """

    collection: Collection
    rows: list[Row]
    spoil: Callable[[int, Hits], Hits] = lambda _, hits: hits
    surplus: int = 0
    asked: int = 0
    widths: list[int] = field(default_factory=list)

    def stored(self) -> int:
        """How many rows there are."""
        return len(self.rows) + self.surplus

    def search(self, pictures: Sequence[Picture], k: int, category: str | None = None) -> list[Hits]:
        """Every picture finds itself first and then others, unless spoilt."""
        self.widths.append(len(pictures))
        places = {self._data(row): place for place, row in enumerate(self.rows)}
        answers = []
        for one in pictures:
            assert isinstance(one, Encoded)
            place = places[one.data]
            vector = np.random.default_rng(place).normal(0, 10, 16).astype(np.float32)
            order = [place, *(other for other in range(len(self.rows)) if other != place)][:k]
            found = [self.found(other, float(rank)) for rank, other in enumerate(order)]
            answers.append(self.spoil(place, Hits(vector, tuple(found))))
            self.asked += 1
        return answers

    def found(self, place: int, distance: float) -> Found:
        """An item at a distance, of vectors whose mean square is about 100."""
        row = self.rows[place]
        return Found(row.vid or 0, row.uri, row.category, distance, math.exp(-distance / 100))

    def _data(self, row: Row) -> bytes:
        encoded = self.collection.picture_of(row.uri)
        return encoded.data if encoded else b""

    def audit(self, **options: Any) -> Audit:
        """The audit of this home."""
        return audit_index(self.collection.manifest, self, self.collection.picture_of, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Twenty pictures in three categories, two of them alike, indexed at home."""
    settings, profile = HOMES["local"]
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": settings}
    shop = Shop(tmp_path_factory.mktemp("stocked"), base, tap=StrictTap(profile=profile))
    shop.add(*names("lamp", 14), *names("bed", 4))
    shop.add_picture("chair/a.png", picture(500))
    shop.add_picture("chair/b.png", picture(500))
    index(shop)
    with shop.collection() as collection:
        yield collection


@pytest.fixture
def fake(stocked: Collection) -> Fake:
    """A home that is as it should be."""
    rows = stocked.manifest.rows(ItemState.INDEXED, limit=1000)
    made = Fake(stocked, rows)
    twins = [place for place, row in enumerate(rows) if row.category == "chair"]

    # Equal pictures cannot be told apart: either may come first.
    def with_twins(place: int, hits: Hits) -> Hits:
        if place not in twins:
            return hits
        return Hits(np.ones(16, np.float32), tuple(made.found(twin, 0.0) for twin in twins))

    made.spoil = with_twins
    return made


def test_green(fake: Fake) -> None:
    """Where every item finds itself first at distance 0, or its equal, there is no problem."""
    found = fake.audit()
    assert (found.checked, found.problems, found.passed) == (20, (), True)
    assert max(fake.widths) <= 16


def test_the_last_bits_do_not_matter(fake: Fake) -> None:
    """A vector that went through in another batch may differ in the last digits, measured by its own size."""
    fake.spoil = lambda place, hits: replace_first(hits, fake.found(place, 5e-5))
    assert fake.audit().passed
    fake.spoil = lambda place, hits: replace_first(hits, fake.found(place, 5e-3))
    assert not fake.audit().passed


def replace_first(hits: Hits, first: Found) -> Hits:
    """The same with another one at the head."""
    return Hits(hits.vector, (first, *hits.found[1:]))


def test_more_copies_than_come_back(fake: Fake) -> None:
    """Where all that is found is the same picture, the item may be one more of them."""
    usual = fake.spoil

    def among_copies(place: int, hits: Hits) -> Hits:
        if fake.rows[place].category != "lamp":
            return usual(place, hits)
        others = [other for other in range(len(fake.rows)) if other != place]
        return Hits(hits.vector, tuple(fake.found(other, 0.0) for other in others[: len(hits.found)]))

    fake.spoil = among_copies
    assert fake.audit().problems == ()


def test_tombstones_are_no_problem(fake: Fake) -> None:
    """An index may hold more rows than there are items."""
    fake.surplus = 100
    assert fake.audit().passed


def _not_a_number(place: int, value: float) -> Vectors:
    return np.full(16, value if place == 3 else 1.0 + place, np.float32)


#: Name of a case -> what becomes of the answer for the picture at a place, and how the problem begins.
RED: dict[str, tuple[Callable[[Fake, int, Hits], Hits], str]] = {
    "empty": (lambda _, __, hits: Hits(hits.vector, ()), "20 of 20 items find nothing at all: the index is empty"),
    "other preprocessing": (
        lambda _, __, hits: Hits(hits.vector, tuple(replace(one, distance=9.0, closeness=0.91) for one in hits.found)),
        "20 of 20 items are not found at distance 0: the index was made with another layer, network or preprocessing",
    ),
    "swapped names": (
        lambda fake, place, hits: Hits(hits.vector, (fake.found((place + 5) % 20, 0.0),)),
        "20 of 20 items find another picture in their place: the index gives wrong names",
    ),
    "equal vectors": (
        lambda _, __, hits: Hits(np.ones(16, np.float32), hits.found),
        "different pictures have the same vector: extract_layer names a layer that does not depend on the picture",
    ),
    "different lengths": (
        lambda _, place, hits: Hits(np.ones(16 * (1 + place % 2), np.float32), hits.found),
        "vectors differ in length (16, 32 values): the server gave the vectors of a whole batch for one picture",
    ),
    "not a number": (
        lambda _, place, hits: Hits(_not_a_number(place, np.nan), hits.found),
        "vectors hold values that are not finite: check mean, std and scale",
    ),
    "infinite": (
        lambda _, place, hits: Hits(_not_a_number(place, np.inf), hits.found),
        "vectors hold values that are not finite",
    ),
}


@pytest.mark.parametrize("case", RED)
def test_red(fake: Fake, case: str) -> None:
    """Each fault is named first, by its likely cause."""
    spoil, words = RED[case]
    fake.spoil = lambda place, hits: spoil(fake, place, hits)
    found = fake.audit()
    assert not found.passed
    assert found.problems[0].startswith(words)


def test_some_items_only(fake: Fake) -> None:
    """A few wrong ones among many good ones are counted and named, up to five."""
    healthy = fake.spoil

    def some(place: int, hits: Hits) -> Hits:
        return Hits(hits.vector, ()) if place % 3 == 0 else healthy(place, hits)

    fake.spoil = some
    (problem,) = fake.audit().problems
    assert problem.startswith("7 of 20 items find nothing at all")
    assert "ddsim index --rebuild" in problem
    assert problem.count(".png") == 5
    assert problem.endswith(", ...)")


def test_rows_that_are_missing(fake: Fake) -> None:
    """An index with fewer rows than the manifest has items has lost some, whoever else finds itself."""
    fake.surplus = -2
    (problem,) = fake.audit().problems
    assert "the manifest says that 20 items are indexed, the index holds 18 rows" in problem


def test_a_sample(fake: Fake) -> None:
    """No more items are searched than the sample is large, of every category some; the seed chooses them."""
    asked: list[set[int]] = []
    for seed in (0, 0, 1):
        places: set[int] = set()
        healthy = fake.spoil

        def note(
            place: int, hits: Hits, places: set[int] = places, healthy: Callable[[int, Hits], Hits] = healthy
        ) -> Hits:
            places.add(place)
            return healthy(place, hits)

        fake.spoil = note
        assert fake.audit(sample=6, seed=seed).checked == 6
        fake.spoil = healthy
        asked.append(places)
    assert {fake.rows[place].category for place in asked[0]} == {"lamp", "bed", "chair"}
    assert asked[0] == asked[1] != asked[2]


def test_a_picture_that_is_gone_is_passed_over(fake: Fake) -> None:
    """A file that was removed or damaged since is the next run's business."""
    path = fake.collection.catalogue / fake.rows[5].uri
    content = path.read_bytes()
    path.write_bytes(b"words")
    try:
        found = fake.audit()
    finally:
        path.write_bytes(content)
    assert (found.checked, found.problems) == (19, ())


# With real indexes


@pytest.fixture(params=["server", "local"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A shop with six lamps, indexed in either home."""
    settings, profile = HOMES[request.param]
    base = {"classification": None, "similarity": {"extract_layer": "fc1"}, "index": settings}
    shop = Shop(tmp_path, base, tap=StrictTap(profile=profile))
    shop.add(*names("lamp", 6))
    index(shop)
    return shop


def test_an_index_that_was_removed(either: Shop) -> None:
    """Files removed behind ddsim's back: the audit is red, says what to do, and that helps."""
    for pattern in ("*.faiss", "*.seg"):
        for file in (either.root / ".ddsim").rglob(pattern):
            file.unlink()
    either.tap.restart()
    with either.collection() as collection:
        (problem,) = collection.audit().problems
    assert "the index is empty" in problem
    assert "ddsim index" in problem
    report = index(either, audit=True)
    assert report.sent + report.reused == 6
    assert report.audit is not None
    assert report.audit.passed


def test_other_preprocessing_behind_its_back(either: Shop) -> None:
    """A server that treats pictures in another way than when they were indexed is found out."""
    with either.collection() as collection:
        settings = either.settings
        with closing(backend_for(either.client(), settings, collection.manifest)) as backend:
            backend.open(writing=False)

            def lighter(uri: str) -> Encoded | None:
                encoded = collection.picture_of(uri)
                assert encoded is not None
                return replace(encoded, data=_lighter(collection.catalogue / uri))

            found = audit_index(collection.manifest, backend, lighter)
    assert "another layer, network or preprocessing" in found.problems[0]


def _lighter(path: Path) -> bytes:
    with Image.open(path) as image, io.BytesIO() as out:
        image.point(lambda value: value // 2).save(out, "PNG")
        return out.getvalue()


def test_swapped_files(either: Shop) -> None:
    """Two pictures whose files changed places since, with size and time as before, find each other."""
    one, other = either.catalogue / "lamp/00.png", either.catalogue / "lamp/01.png"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with either.collection() as collection:
        found = collection.audit()
    assert found.problems[0].startswith("2 of 6 items find another picture in their place")
