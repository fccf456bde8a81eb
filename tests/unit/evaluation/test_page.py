"""ddsim.evaluation.page: the report, read back from its HTML."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
from html.parser import HTMLParser
from itertools import combinations

import pytest

from ddsim.evaluation import view
from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.page import render
from ddsim.evaluation.results import Comparison, Disagreement, Evaluation, Measure, Row, Shown

NAN = math.nan
CATEGORIES = {"chair": 40, "lamp": 4}
JPEG = b"\xff\xd8\xff\xe0 a picture"
NASTY = [
    '<script>alert("1")</script>',
    "\"><img src=x onerror='alert(2)'>",
    "</style></title><b>&amp;",
    "名前がとても長い設定" * 12,
    "x" * 200,
    "{{ 7 * 7 }}{% raw %}",
    "half \udc80 of a character",
]
VOID = {"meta", "line", "path", "rect", "image", "use", "br"}


class Page(HTMLParser):
    """The page as the browser reads it: tags with attributes, texts, and whether every tag is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag opens."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that is closed at once, as in SVG."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """A tag closes: the last one that was opened, or something is wrong."""
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        """Text."""
        if not self.open or self.open[-1] == "style":
            return
        self.texts.append(" ".join(data.split()))
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] = f"{self.cells[-1][-1]} {data.strip()}".strip()

    @property
    def text(self) -> str:
        """All that can be read, in one line."""
        return " ".join(text for text in self.texts if text)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of that name."""
        return [attrs for name, attrs in self.tags if name == tag]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of that class."""
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


def interval(value: float = 0.8, margin: float = 0.05, n: int = 44) -> Interval:
    """Around a value."""
    return Interval(value, value - margin, value + margin, n, 0)


def row(name: str, value: float = 0.8, *, kind: str = "configuration", failed: str | None = None) -> Row:
    """With two measures, the lamps too few for an interval."""
    measure = Measure(interval(value), {"chair": interval(value, n=40), "lamp": Interval(value, NAN, NAN, 4, 0)})
    measures = {} if failed else {"P@1": measure, "P@10": measure}
    return Row(name, kind, {"layer": name}, failed, measures, 256, 1_500_000, 0.0123, 1.5, 40, 4, 3.0)


def evaluation(*rows: Row, **changed: object) -> Evaluation:
    """Every two rows compared, the first one better."""
    names = [one.name for one in rows if one.failed is None]
    said = Interval(-0.1, -0.13, -0.07, 44, 0)
    few = Interval(-0.1, NAN, NAN, 4, 0)
    comparisons = [
        Comparison("P@10", a, b, category, few if category == "lamp" else said)
        for a, b in combinations(names, 2)
        for category in (None, *CATEGORIES)
    ]
    found = Evaluation(
        when="2024-05-14T09:12:44+00:00",
        catalogue="demo/catalogue",
        queries=None,
        items=120,
        asked=44,
        categories=CATEGORIES,
        products=None,
        primary="P@10",
        rows=rows,
        comparisons=tuple(comparisons),
        disagreements=(),
        conclusion="conv4 beats conv2.",
    )
    return dataclasses.replace(found, **changed)  # type: ignore[arg-type]


def disagreement(*names: str, category: str = "chair", items: int = 3) -> Disagreement:
    """The first name has all right, the next one right fewer, and so on."""
    neighbours = {
        name: tuple(
            Shown(f"{category}/{rank}.jpg", category if rank >= place else "lamp", 0.1, rank >= place)
            for rank in range(items)
        )
        for place, name in enumerate(names)
    }
    return Disagreement(f"{category}/q.jpg", category, 0.5, neighbours)


def nothing(kind: str, uri: str) -> None:
    """No picture for anything."""


def always(kind: str, uri: str) -> bytes:
    """The same picture for everything."""
    return JPEG


def drawn(found: Evaluation) -> Page:
    """The page without pictures."""
    return Page(render(found, nothing))


def test_the_page_needs_nothing_from_outside_and_allows_nothing_else() -> None:
    """No script, no address but data and places in the page, and a policy that says so to the browser."""
    found = evaluation(row("conv4"), row("conv2"), disagreements=(disagreement("conv4", "conv2"),))
    html = render(found, always)
    read = Page(html)
    policy = next(attrs["content"] for attrs in read.named("meta") if "http-equiv" in attrs)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in read.tags}
    assert not [name for _, attrs in read.tags for name in attrs if name.startswith("on")]
    addresses = [attrs[name] or "" for _, attrs in read.tags for name in ("href", "src", "xlink:href") if name in attrs]
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert "url(" not in html
    assert "@import" not in html


def test_every_place_that_is_pointed_to_is_there_once() -> None:
    """Links, labels and pictures lead somewhere; no id is given twice."""
    found = evaluation(row("conv4"), row("conv2"), disagreements=(disagreement("conv4", "conv2"),))
    read = Page(render(found, always))
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    targets = [attrs["href"] for tag, attrs in read.tags if tag in {"a", "use"}]
    labels = [name for attrs in read.named("svg") for name in (attrs.get("aria-labelledby") or "").split()]
    assert len(ids) == len(set(ids))
    assert {str(target)[1:] for target in targets} | set(labels) <= set(ids)
    assert len(labels) == 2 * 3  # a title and a description for all queries, chairs and lamps


@pytest.mark.parametrize("text", NASTY)
def test_no_string_of_the_user_becomes_markup(text: str) -> None:
    """Whatever names, reasons, categories, folders and sentences hold, the tags stay the same and the page is UTF-8."""

    def tags(word: str) -> list[str]:
        first = dataclasses.replace(row(word + "1"), warnings=(word,), about={word: word})
        failed = row(word + "3", failed=word)
        found = evaluation(
            first,
            row(word + "2"),
            failed,
            row(word + "4", kind="floor"),
            catalogue=word,
            queries=word,
            products=word,
            conclusion=word,
            when=word,
            categories={word: 3},
            disagreements=(disagreement(word + "1", word + "2", category=word),),
        )
        html = render(found, nothing)
        html.encode("utf-8")
        read = Page(html)
        assert not read.unbalanced
        assert not read.open
        assert " ".join(word.replace("\udc80", "?").split()) in read.text
        return [f"{tag} {sorted(attrs)}" for tag, attrs in read.tags]

    assert tags(text) == tags("plain")


def test_rows_come_in_order_with_their_values_and_floors_apart() -> None:
    """Best first, then the failed one with its reason, then a line that says that floors follow."""
    found = evaluation(
        row("conv4", 0.9), row("conv2"), row("fc9", failed="no layer fc9"), row("chance", 0.2, kind="floor")
    )
    table = drawn(found).cells[:6]
    assert [cells[0] for cells in table] == [
        "Configuration",
        "1 conv4 layer conv4",
        "2 conv2 layer conv2",
        "3 fc9 layer fc9",
        "Floors: what a search must beat",
        "a chance layer chance",
    ]
    assert table[0][1:] == ["P@1", "P@10 ranked by this"]
    assert table[1][1:] == ["90.0 ± 5.0", "90.0 ± 5.0"]
    assert table[3][1:] == ["Failed. no layer fc9"]


def test_costs_are_shown_in_units_that_people_read() -> None:
    """Dimension, bytes, seconds and counts; a dash where nothing was measured."""
    bare = dataclasses.replace(
        row("chance", kind="floor"), dimension=None, index_bytes=None, latency_p50=None, latency_p95=NAN, seconds=300.0
    )
    rows = drawn(evaluation(row("conv4"), bare)).cells
    assert ["1 conv4", "256", "1.5 MB", "12 ms", "1.5 s", "40", "4", "3.0 s"] in rows
    assert ["a chance", "–", "–", "–", "–", "40", "4", "5 min"] in rows  # noqa: RUF001


@pytest.mark.parametrize(("primary", "spread"), [("P@10", "P@10"), ("product@1", "P@10"), ("MAP@R", "MAP@R")])
def test_what_disagreements_are_counted_in(primary: str, spread: str) -> None:
    """The first page, unless that is the same whatever is found."""
    found = evaluation(row("conv4"), row("conv2"), disagreements=(disagreement("conv4", "conv2"),), primary=primary)
    assert f"best and worst are 50 points of {spread} apart" in drawn(found).text


def test_absent_values_and_missing_intervals_are_said() -> None:
    """A measure that a row lacks is a dash; a value without an interval has its number of queries instead."""
    poor = dataclasses.replace(row("poor"), measures={"P@10": Measure(Interval(NAN, NAN, NAN, 0, 44), {})})
    read = drawn(evaluation(row("conv4"), poor))
    assert ["2 poor layer poor", "–", "–"] in read.cells  # noqa: RUF001
    assert ["1 conv4", "80.0 ± 5.0", "80.0 ± 5.0", "80.0 n = 4"] in read.cells
    titles = {attrs.get("title") for attrs in read.classed("none")}
    assert titles == {"was not measured here", "no query has a value"}
    assert "nan" not in read.text.lower()
    assert all("nan" not in str(value) for attrs in read.named("rect") + read.named("path") for value in attrs.values())


def test_bars_have_the_length_of_their_values_and_whiskers_where_there_is_an_interval() -> None:
    """A bar of 50 % ends in the middle of the axis; lamps, four of them, have no whiskers."""
    read = drawn(evaluation(row("half", 0.5), row("full", 1.0)))
    bars = [float(attrs["width"] or "") for attrs in read.classed("bar")]
    assert bars == [121, 242] * 3
    assert len(read.classed("whisker")) == 2 * 2
    assert (
        max(float(end) for attrs in read.classed("whisker") for end in re.findall(r"[MH](\d+\.?\d*)", attrs["d"] or ""))
        == 270
    )


def test_a_configuration_has_one_colour_everywhere() -> None:
    """Legend, charts, tables, matrix and neighbours: the badge of a number is of one class."""
    names = [f"c{number}" for number in range(8)]
    read = drawn(evaluation(*map(row, names), disagreements=(disagreement(*names),)))
    colours: dict[str | None, set[str | None]] = {}
    for attrs in read.classed("badge"):
        colours.setdefault(attrs["title"], set()).add(attrs["class"])
    assert sorted(map(str, colours)) == names
    assert all(len(seen) == 1 for seen in colours.values())
    assert len({str(seen) for seen in colours.values()}) == view._COLOURS  # two of the eight share theirs


def test_comparisons_are_read_from_both_sides() -> None:
    """What the row wins the column loses; too few queries are a question mark."""
    read = drawn(evaluation(row("conv4"), row("conv2")))
    assert ["1 conv4", "", "▲ 10.0 ± 3.0"] in read.cells
    assert ["2 conv2", "▼ 10.0 ± 3.0", ""] in read.cells
    assert ["2 conv2", "▲ 10.0 ± 3.0", "▲ 10.0 ± 3.0", "? n = 4"] in read.cells  # the first against it, by category
    assert "conv4 beats conv2 by 10.0 ± 3.0" in read.text
    assert "1 of 1 pair decided" in read.text
    assert "0 of 1 pair decided" in read.text


def test_what_is_rounded_to_nothing_has_no_sign() -> None:
    """A loss of -0.0001 and an interval whose ends changed places by an error of rounding."""
    chance = Measure(Interval(-0.0001, 0.2, 0.2 - 1e-16, 44, 0), {})
    read = drawn(evaluation(dataclasses.replace(row("chance", kind="floor"), measures={"P@10": chance})))
    assert ["a chance layer chance", "0.0 ± 0.0"] in read.cells


def test_no_difference_is_said_to_be_none() -> None:
    """An interval over zero: the sign of equality, with what was measured."""
    comparison = Comparison("P@10", "a", "b", None, Interval(0.01, -0.02, 0.04, 44, 0))
    read = drawn(evaluation(row("a"), row("b"), comparisons=(comparison,)))
    assert ["1 a", "", "= -1.0 ± 3.0"] in read.cells
    assert "no difference between a and b" in read.text


def test_neighbours_are_marked_by_more_than_colour() -> None:
    """A tick or a cross, the category in words, and the same in the picture's label."""
    found = evaluation(row("conv4"), row("conv2"), disagreements=(disagreement("conv4", "conv2"),))
    read = drawn(found)
    assert "conv4 3 of 3 right ✓ chair ✓ chair ✓ chair" in read.text.replace("no picture ", "")
    assert "conv2 2 of 3 right ✗ lamp ✓ chair ✓ chair" in read.text.replace("no picture ", "")
    labels = [attrs["aria-label"] for attrs in read.classed("photo")]
    assert labels[0] == "query: chair/q.jpg"
    assert "1. chair/0.jpg: wrong, distance 0.1" in labels


def test_a_picture_is_read_and_embedded_once() -> None:
    """However often it is shown; one that there is none of is said to be missing."""
    asked: list[tuple[str, str]] = []

    def picture(kind: str, uri: str) -> bytes | None:
        asked.append((kind, uri))
        return None if uri == "chair/0.jpg" else JPEG

    found = evaluation(row("conv4"), row("conv2"), disagreements=(disagreement("conv4", "conv2"),) * 2)
    read = Page(render(found, picture))
    assert sorted(asked) == [("item", f"chair/{number}.jpg") for number in range(3)] + [("query", "chair/q.jpg")]
    assert len(read.named("image")) == 3
    assert read.named("image")[0]["href"] == "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    assert len(read.named("use")) == 2 * (1 + 2 * 2)
    assert len(read.classed("missing")) == 2 * 2


def test_with_many_configurations_best_and_worst_stay_open() -> None:
    """Of ten lines under a query the two in the middle are folded away; none is lost."""
    names = [f"c{number}" for number in range(10)]
    shown = disagreement(*names, items=10)
    html = render(evaluation(*map(row, names), disagreements=(shown,)), nothing)
    neighbours = html[html.index('id="seen"') : html.index('id="words"')]
    opened, folded = neighbours.split("<details>")
    keys = [re.findall(r'<p><span class="badge c\d" title="(c\d)"', part) for part in (opened, folded)]
    assert keys == [[*names[:4], *names[6:]], names[4:6]]
    assert "The 2 between the best and the worst" in folded


def test_one_configuration_is_a_page_too() -> None:
    """Nothing to compare, nothing to disagree about; both are said."""
    text = drawn(evaluation(row("conv4"))).text
    assert "There is nothing to compare: fewer than two rows have measures." in text
    assert "There is no query on which two configurations differ." in text


def test_all_failed_is_a_page_too() -> None:
    """The reasons, and no empty charts or tables of costs."""
    read = drawn(evaluation(row("a", failed="the server is gone"), categories={}, asked=0))
    assert "Failed. the server is gone" in read.text
    assert "No row has P@10, so there is nothing to draw." in read.text
    assert "What they cost" not in read.text
    assert not read.classed("chart")


def test_thirty_configurations_give_a_page_of_reasonable_size() -> None:
    """Bars lose their names, not their numbers; the comparisons by category give way where they would be too many."""
    names = [f"c{number}" for number in range(30)]
    few = render(evaluation(*map(row, names)), nothing)
    many = render(evaluation(*map(row, names), categories={f"k{number}": 4 for number in range(30)}), nothing)
    assert "Every pair in every category</summary>" in few
    assert "results.json has them all" in many
    assert len(few) < 2_000_000
    assert len(many) < 2_000_000
    assert len(Page(few).classed("key")) == 30 * 3


def test_warnings_are_said_once_with_the_rows_that_they_are_of() -> None:
    """Two rows left out the same picture: one line, two badges."""
    warned = [dataclasses.replace(row(name), warnings=("lamp/3.jpg is no picture",) * 2) for name in ("a", "b")]
    text = drawn(evaluation(*warned)).text
    assert text.count("lamp/3.jpg is no picture") == 1
    assert "1 2 lamp/3.jpg is no picture" in text


@pytest.mark.parametrize(
    ("queries", "said"),
    [(None, "each item against all others (leave-one-out), 44 queries"), ("photos", "photos, 44 queries")],
)
def test_the_facts_say_what_was_asked(queries: str | None, said: str) -> None:
    """Folder of queries, or leave-one-out; counts; the day."""
    text = drawn(evaluation(row("a"), row("b", failed="no"), queries=queries)).text
    for fact in (
        said,
        "demo/catalogue, 120 items",
        "chair 40, lamp 4",
        "2, of which 1 failed",
        "2024-05-14 09:12:44 UTC",
    ):
        assert fact in text


@pytest.mark.parametrize(
    ("name", "width", "short"),
    [("conv4", 5, "conv4"), ("abcdefgh", 5, "ab…gh"), ("名前名前名前", 7, "名…前"), ("名前", 4, "名前")],
)
def test_names_are_cut_in_their_middle(name: str, width: int, short: str) -> None:
    """They differ at their ends more often; Chinese characters count double."""
    assert short == view.shortened(name, width)


# ---------------------------------------------------------------------------------------------------------- the colours


def themes() -> list[dict[str, str]]:
    """The colours of the page by name, for light and for dark."""
    html = render(evaluation(row("a")), nothing)
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{([^}]*--c0[^}]*)\}", html)
    )
    return [light, {**light, **dark}]


def luminance(colour: str) -> float:
    """As WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Between 1 and 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_text_and_bars_stand_out_from_what_is_behind_them(theme: dict[str, str]) -> None:
    """WCAG AA: 4.5 for text, 3 for bars; light and dark."""
    text = [(ink, paper) for ink in ("ink", "soft", "accent") for paper in ("paper", "card")]
    text += [
        ("ink", "track"),
        ("soft", "track"),
        ("good", "good-paper"),
        ("bad", "bad-paper"),
        ("good", "card"),
        ("bad", "card"),
    ]
    text += [(f"on-c{number}", f"c{number}") for number in range(view._COLOURS)] + [("on-floor", "floor")]
    faint = {pair: contrast(theme[pair[0]], theme[pair[1]]) for pair in text}
    pale = {number: contrast(theme[f"c{number}"], theme["card"]) for number in range(view._COLOURS)}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}
    assert {number: ratio for number, ratio in pale.items() if ratio < 3} == {}


def test_a_change_of_theme_leaves_no_colour_behind() -> None:
    """Every colour of the light theme has its dark twin, which differs unless it need not."""
    light, dark = themes()
    same = {name for name in light if light[name] == dark[name]}
    assert same <= {f"on-c{number}" for number in range(view._COLOURS)}  # black or white, on colours that differ
