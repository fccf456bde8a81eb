"""ddsim.search.sheet: the contact sheet, looked at by its pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops
from shop import plain

from ddsim import ImageError, Label, Neighbour, RoutedCategory, SearchResult, Timings
from ddsim.search.sheet import contact_sheet

# Far from each other and from the sheet's own colours.
COLOURS = ["#ff0000", "#00c000", "#0000ff", "#ffd000", "#c000c0", "#00c8c8", "#604000", "#8080ff", "#ff8080", "#004040"]
QUERY = "#ff00aa"


def result(
    neighbours: Sequence[Neighbour] = (),
    *,
    labels: tuple[Label, ...] = (),
    categories: dict[str, float] | None = None,
    searched: tuple[str, ...] = (),
    query: str = "photo.jpg",
    nothing_similar: str | None = None,
) -> SearchResult:
    """A result with little in it."""
    routed = tuple(RoutedCategory(name, share, True, "said so") for name, share in (categories or {}).items())
    return SearchResult(query, labels, routed, searched, tuple(neighbours), nothing_similar, Timings(0, 0, 0, 0))


def shelf(catalogue: Path, count: int) -> list[Neighbour]:
    """That many pictures, each of one colour, and the neighbours that they are."""
    (catalogue / "lamp").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        plain(COLOURS[number % len(COLOURS)]).save(catalogue / "lamp" / f"{number}.png")
    return [Neighbour(f"lamp/{number}.png", number / 10, 1 - number / 50) for number in range(count)]


def box(sheet: Image.Image, colour: str) -> tuple[int, int, int, int]:
    """The rectangle around everything that has this colour; (0, 0, 0, 0) where nothing has."""
    away = ImageChops.difference(sheet, plain(colour, sheet.size))
    near = np.asarray(away).max(axis=2) <= 6
    return Image.fromarray(near).getbbox() or (0, 0, 0, 0)


def changed(one: Image.Image, other: Image.Image) -> NDArray[np.bool_]:
    """Where two sheets differ."""
    assert one.size == other.size
    return np.asarray(ImageChops.difference(one, other)).max(axis=2) > 0


def test_size_and_mode(tmp_path: Path) -> None:
    """A sheet is an RGB picture about 1400 pixels wide, and the same on every run."""
    neighbours = shelf(tmp_path, 10)
    sheet = contact_sheet(result(neighbours), plain(QUERY), tmp_path)
    assert sheet.mode == "RGB"
    assert 1300 <= sheet.width <= 1500
    assert 500 <= sheet.height <= 800
    again = contact_sheet(result(neighbours), plain(QUERY), tmp_path)
    assert sheet.tobytes() == again.tobytes()


def test_pictures_are_where_they_belong(tmp_path: Path) -> None:
    """The query stands on the left, larger than the rest; the neighbours in reading order, five a row, in line."""
    sheet = contact_sheet(result(shelf(tmp_path, 10)), plain(QUERY), tmp_path)
    query = box(sheet, QUERY)
    boxes = [box(sheet, colour) for colour in COLOURS]
    assert all(left > query[2] for left, *_ in boxes)
    first, second = boxes[:5], boxes[5:]
    for row in (first, second):
        assert [left for left, *_ in row] == sorted(left for left, *_ in row)
        assert len({(top, bottom) for _, top, _, bottom in row}) == 1
        assert all(one[2] < other[0] for one, other in pairwise(row))
    assert [one[0] for one in first] == [one[0] for one in second]
    assert first[0][3] < second[0][1]
    sizes = {(right - left, bottom - top) for left, top, right, bottom in boxes}
    assert len(sizes) == 1
    assert query[2] - query[0] > max(sizes)[0]


@pytest.mark.parametrize("count", [0, 1, 3, 5, 6, 25])
def test_any_number_of_neighbours(tmp_path: Path, count: int) -> None:
    """The sheet grows by whole rows, and everything lies on it with a margin."""
    sheet = contact_sheet(result(shelf(tmp_path, count)), plain(QUERY), tmp_path)
    for colour in [QUERY, *COLOURS[:count][:1], *COLOURS[:count][-1:]]:
        left, top, right, bottom = box(sheet, colour)
        assert left > 20
        assert top > 20
        assert right < sheet.width - 20
        assert bottom < sheet.height - 20
    assert box(sheet, COLOURS[-1]) == (0, 0, 0, 0) or count >= len(COLOURS)
    edge = np.asarray(sheet)
    assert len({tuple(pixel) for pixel in edge[-20:].reshape(-1, 3)}) == 1
    assert len({tuple(pixel) for pixel in edge[:, -20:].reshape(-1, 3)}) == 1


def test_a_longer_list_makes_a_higher_sheet(tmp_path: Path) -> None:
    """Twenty-five neighbours need more rows than ten, each of the same height."""
    heights = [contact_sheet(result(shelf(tmp_path, n)), plain(QUERY), tmp_path).height for n in (15, 20, 25)]
    assert heights[1] - heights[0] == heights[2] - heights[1] > 180


def test_nothing_found_is_said(tmp_path: Path) -> None:
    """Without neighbours the place where they would stand has words in it."""
    sheet = contact_sheet(result(), plain(QUERY), tmp_path)
    right_side = np.asarray(sheet.convert("L"))[:, sheet.width // 3 :]
    assert (right_side < 100).sum() > 100


@pytest.mark.parametrize("size", [(300, 100), (100, 300), (4000, 3), (3, 4000), (1, 1), (24, 24)])
def test_proportions_are_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    """Wide, high, tiny and threadlike pictures fill their card as far as their proportions let them."""
    neighbour = shelf(tmp_path, 1)
    plain(COLOURS[0], size).save(tmp_path / "lamp" / "0.png")
    sheet = contact_sheet(result(neighbour), plain(QUERY, size), tmp_path)
    for colour in (COLOURS[0], QUERY):
        left, top, right, bottom = box(sheet, colour)
        wide, high = right - left, bottom - top
        assert max(wide, high) > 170
        if min(size) > 3:
            assert wide / high == pytest.approx(size[0] / size[1], rel=0.05)


def test_photos_are_drawn_upright(tmp_path: Path) -> None:
    """A photo that says by EXIF that it lies on its side is drawn upright."""
    photo = plain("#ff0000", (60, 100))
    photo.paste("#0000ff", (0, 0, 60, 50))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    sheet = contact_sheet(result(), file.getvalue(), tmp_path)
    blue, red = box(sheet, "#0000ff"), box(sheet, "#ff0000")
    assert blue[3] <= red[1] + 4
    assert blue[0] == red[0]


def test_the_heading_says_what_was_searched(tmp_path: Path) -> None:
    """Categories that were searched, and that nothing is similar enough, stand above the neighbours, and only there."""
    neighbours = shelf(tmp_path, 3)
    base = contact_sheet(result(neighbours), plain(QUERY), tmp_path)
    (_, top, _, _), others = box(base, COLOURS[0]), [{"searched": ("lamp",)}, {"searched": ("lamp", "bed")}]
    sheets = [contact_sheet(result(neighbours, **other), plain(QUERY), tmp_path) for other in others]
    sheets.append(contact_sheet(result(neighbours, nothing_similar="it is far"), plain(QUERY), tmp_path))
    for sheet in sheets:
        rows = np.argwhere(changed(base, sheet))[:, 0]
        assert rows.size
        assert rows.max() < top
    assert len({sheet.tobytes() for sheet in [base, *sheets]}) == 4


def test_a_missing_picture_is_an_empty_card(tmp_path: Path) -> None:
    """Where a neighbour's file is gone or damaged, its place stays, and the others stay in theirs."""
    neighbours = shelf(tmp_path, 3)
    whole = contact_sheet(result(neighbours), plain(QUERY), tmp_path)
    for damage in (lambda path: path.write_bytes(b"no picture"), Path.unlink):
        damage(tmp_path / "lamp" / "1.png")
        sheet = contact_sheet(result(neighbours), plain(QUERY), tmp_path)
        assert box(sheet, COLOURS[1]) == (0, 0, 0, 0)
        assert [box(sheet, COLOURS[place]) for place in (0, 2)] == [box(whole, COLOURS[place]) for place in (0, 2)]
        left, top, _, _ = box(whole, COLOURS[1])
        assert sheet.getpixel((left + 20, top + 20)) == (255, 255, 255)


@pytest.mark.parametrize(
    "uri", ["../secret.png", "lamp/../../secret.png", "{root}/secret.png", "lamp/../../catalogue-2/x.png"]
)
def test_a_name_cannot_lead_out_of_the_catalogue(tmp_path: Path, uri: str) -> None:
    """The names come from the server: one that points elsewhere shows nothing of what lies there."""
    catalogue = tmp_path / "catalogue"
    (catalogue / "lamp").mkdir(parents=True)
    (tmp_path / "catalogue-2").mkdir()
    for path in (tmp_path / "secret.png", tmp_path / "catalogue-2" / "x.png"):
        plain(COLOURS[0]).save(path)
    named = Neighbour(uri.format(root=tmp_path), 0.0, 1.0)
    sheet = contact_sheet(result([named]), plain(QUERY), catalogue)
    assert box(sheet, COLOURS[0]) == (0, 0, 0, 0)
    assert box(sheet, QUERY) != (0, 0, 0, 0)


def test_a_catalogue_made_of_links(tmp_path: Path) -> None:
    """Linked pictures, linked categories and a linked catalogue are shown: whoever made the links meant them."""
    store, catalogue = tmp_path / "store", tmp_path / "catalogue"
    store.mkdir()
    (catalogue / "lamp").mkdir(parents=True)
    for number in range(2):
        plain(COLOURS[number]).save(store / f"{number}.png")
    (catalogue / "lamp" / "x.png").symlink_to(store / "0.png")
    (catalogue / "bed").symlink_to(store)
    (tmp_path / "link").symlink_to(catalogue)
    neighbours = [Neighbour("lamp/x.png", 0.0, 1.0), Neighbour("bed/1.png", 0.1, 0.9)]
    sheet = contact_sheet(result(neighbours), plain(QUERY), tmp_path / "link")
    assert box(sheet, COLOURS[0]) != (0, 0, 0, 0)
    assert box(sheet, COLOURS[1]) != (0, 0, 0, 0)


def test_a_relative_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue may be given relative to where one is, even as the current folder."""
    neighbours = shelf(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    assert box(contact_sheet(result(neighbours), plain(QUERY), Path()), COLOURS[0]) != (0, 0, 0, 0)


ODD_NAMES = [
    "[red]x[/red].jpg",
    "<b>&amp;.jpg",
    "sofa café ünïcode 椅子 🛋.jpg",
    "two\nlines\r\tand a tab.jpg",
    "right-to-left \u202egpj.exe",
    "nul\0.jpg",
    "not unicode \udcff.jpg",
    "",
    "/",
    "....",
    "x" * 5000,
    "椅" * 3000,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_harmless(tmp_path: Path, name: str) -> None:
    """Whatever pictures, labels, categories and the query are called, the sheet is drawn and keeps its size."""
    neighbours = [Neighbour(f"lamp/{name}", 0.0, 1.0), Neighbour(name, 0.1, 0.9), Neighbour(f"{name}/x", 0.1, 0.9)]
    odd = result(neighbours, labels=(Label(name, 0.5),), searched=(name,), query=name)
    sheet = contact_sheet(odd, plain(QUERY), tmp_path)
    assert sheet.size == contact_sheet(result(categories={"x": 0.5}), plain(QUERY), tmp_path).size


def test_long_names_are_cut(tmp_path: Path) -> None:
    """A long name ends before the neighbour beside it begins, and does not touch the score."""
    neighbours = shelf(tmp_path, 2)
    first, second = neighbours
    long = Neighbour("lamp/" + "long-name-" * 30, first.distance, first.score)
    short = Neighbour("lamp/l", first.distance, first.score)
    pair = [contact_sheet(result([one, second]), plain(QUERY), tmp_path) for one in (long, short)]
    left, _, right, bottom = box(contact_sheet(result(neighbours), plain(QUERY), tmp_path), COLOURS[0])
    differing = np.argwhere(changed(*pair))
    below = differing[differing[:, 0] >= bottom]
    assert below[:, 1].min() >= left
    assert below[:, 1].max() < right
    # The score stands at the right end of the same line.
    assert below[:, 1].max() < right - 30


def test_rank_distance_and_score_are_shown(tmp_path: Path) -> None:
    """Another rank, distance, score or category changes the words below the picture."""
    shelf(tmp_path, 2)
    base = contact_sheet(result([Neighbour("lamp/0.png", 0.5, 0.5)]), plain(QUERY), tmp_path)
    _, _, _, bottom = box(base, COLOURS[0])
    for other in (Neighbour("lamp/0.png", 0.25, 0.5), Neighbour("lamp/0.png", 0.5, 0.25)):
        rows = np.argwhere(changed(base, contact_sheet(result([other]), plain(QUERY), tmp_path)))[:, 0]
        assert bottom <= rows.min()
        assert rows.max() < bottom + 60


def test_ranks_count_from_one(tmp_path: Path) -> None:
    """The ninth neighbour's rank has one digit and the tenth's two."""
    sheet = contact_sheet(result(shelf(tmp_path, 10)), plain(QUERY), tmp_path)
    widths = []
    for colour in COLOURS[8:]:
        left, _, right, bottom = box(sheet, colour)
        ink = box(sheet.crop((left, bottom, right, sheet.height)), "#c8643c")
        widths.append(ink[2] - ink[0])
    assert 0 < 1.5 * widths[0] < widths[1]


def test_almost_the_same_is_not_the_same(tmp_path: Path) -> None:
    """A score that would round to 100% is told from the same picture."""
    sheets = [contact_sheet(result([Neighbour("a/b", 0.0, score)]), plain(QUERY), tmp_path) for score in (1.0, 0.99999)]
    assert changed(*sheets).any()


def test_probabilities_are_drawn_as_bars(tmp_path: Path) -> None:
    """Below the query stand the most probable categories, the longer the bar the more probable."""
    shares = {"lamp": 0.8, "bed": 0.4, "chair": 0.1, "table": 0.05, "sofa": 0.02}
    sheet = contact_sheet(result(categories=shares), plain(QUERY), tmp_path)
    left, _, right, bottom = box(sheet, QUERY)
    column = np.asarray(sheet.crop((left, bottom, right, sheet.height))).astype(int)
    accent = (np.abs(column - (0xC8, 0x64, 0x3C)).max(axis=2) < 3).sum(axis=1)
    lengths = [int(length) for length, before in zip(accent, [0, *accent], strict=False) if length > 3 * before + 3]
    assert len(lengths) == 3
    assert lengths[0] / (right - left) == pytest.approx(0.8, abs=0.05)
    assert lengths[0] > lengths[1] > lengths[2]


def test_labels_stand_in_for_categories(tmp_path: Path) -> None:
    """Where no category is known the labels are shown, where one is they are not."""
    labels = (Label("n01 lamp", 0.7), Label("n02 bed", 0.2))
    as_labels = contact_sheet(result(labels=labels), plain(QUERY), tmp_path)
    as_categories = contact_sheet(result(categories={"n01 lamp": 0.7, "n02 bed": 0.2}), plain(QUERY), tmp_path)
    both = contact_sheet(
        result(labels=(Label("x", 1.0),), categories={"n01 lamp": 0.7, "n02 bed": 0.2}), plain(QUERY), tmp_path
    )
    assert as_labels.tobytes() == as_categories.tobytes() == both.tobytes()


@pytest.mark.parametrize("share", [0.0, 1e-9, 1.0, 1.0000001, 2.0])
def test_odd_probabilities(tmp_path: Path, share: float) -> None:
    """A bar is never longer than its track, and none at all is no error."""
    sheet = contact_sheet(result(categories={"x": share}), plain(QUERY), tmp_path)
    _, _, right, _ = box(sheet, QUERY)
    assert box(sheet, "#c8643c")[2] <= right + 1


def test_an_unreadable_query(tmp_path: Path) -> None:
    """Without the query there is no sheet: the error names it."""
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        contact_sheet(result(), tmp_path / "gone.jpg", tmp_path)
