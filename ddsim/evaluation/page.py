"""An evaluation as one HTML page that needs nothing else: no script, no file beside it, no network.

Everything is worked out to strings here, in :mod:`ddsim.evaluation.view` and in the modules that use it; the template
only lays it out, and escapes all that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ddsim.evaluation import against, charts, view
from ddsim.evaluation.results import MEASURES, Disagreement, Evaluation, Row, Shown, spread_by
from ddsim.showing import counted, data_uri, filled

#: Gives a thumbnail as JPEG: kind (``query`` or ``item``), uri -> bytes, or None where there is no picture.
Picture: TypeAlias = Callable[[str, str], "bytes | None"]

_LINES = 8  # so many configurations are laid open under a disagreement, the others folded away


@dataclass(frozen=True)
class _Tile:
    picture: str
    relevant: bool
    category: str
    title: str


@dataclass(frozen=True)
class _Strip:
    who: view.Who
    count: str
    tiles: list[_Tile]


@dataclass(frozen=True)
class _Query:
    name: str
    category: str
    spread: str
    picture: str
    strips: list[_Strip]
    folded: list[_Strip]


@dataclass
class _Pictures:
    """The thumbnails, each of which stands in the page once however often it is shown."""

    read: Picture
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)

    def __call__(self, kind: str, uri: str) -> str:
        """The id of a picture in the page; empty where there is none."""
        if (kind, uri) not in self.known:
            jpeg = self.read(kind, uri)
            self.known[kind, uri] = f"p{len(self.data)}" if jpeg else ""
            if jpeg:
                self.data[self.known[kind, uri]] = data_uri(jpeg)
        return self.known[kind, uri]


def render(evaluation: Evaluation, picture: Picture) -> str:
    """Draw the report.

    Args:
        evaluation: what was found. Rows keep their order; floors and failed rows may stand anywhere in it.
        picture: called once for each query and item of the disagreements; about 100 pixels a side are shown.

    Returns:
        the HTML document. It can be encoded as UTF-8 whatever the names hold: what UTF-8 has no bytes for (halves of
        surrogate pairs, as in names of files that are no text) becomes a question mark.
    """
    who = view.everyone(evaluation.rows)
    measured = [row for row in evaluation.rows if row.failed is None]
    measures = view.measures_of(measured)
    pictures = _Pictures(picture)
    queries = [_query(shown, who, pictures) for shown in evaluation.disagreements]
    return filled(
        "ddsim.evaluation",
        "report.html.jinja",
        conclusion=evaluation.conclusion,
        primary=evaluation.primary,
        products=evaluation.products,
        facts=_facts(evaluation),
        quality=view.quality(evaluation.rows, who, evaluation.primary),
        cost=view.cost(evaluation.rows, who),
        warnings=_warnings(evaluation.rows, who),
        legend=[who[row.name] for row in measured],
        charts=charts.charts(evaluation, measured, who),
        details=[view.by_category(evaluation, measured, who, name) for name in measures],
        verdicts=[said.verdict for said in evaluation.comparisons if said.category is None],
        matrix=against.matrix(evaluation, measured, who, None),
        first=against.first_against(evaluation, measured, who),
        matrices=against.matrices(evaluation, measured, who),
        queries=queries,
        spread_by=spread_by(evaluation.primary),
        pictures=pictures.data,
        explained={name: MEASURES[name] for name in measures},
        axis=[(charts.across(share / 100), str(share)) for share in (0, 50, 100)],
    )


def _facts(found: Evaluation) -> list[tuple[str, str]]:
    failed = sum(row.failed is not None for row in found.rows)
    tried = sum(row.kind == "configuration" for row in found.rows)
    asked = "each item against all others (leave-one-out)" if found.queries is None else found.queries
    categories = ", ".join(f"{name} {count:,}" for name, count in found.categories.items())
    return [
        ("Catalogue", f"{found.catalogue}, {counted(found.items, 'item', 'items')}"),
        ("Queries", f"{asked}, {counted(found.asked, 'query', 'queries')}"),
        ("Queries by category", categories or "none"),
        ("Products", "known by the pictures' names" if found.products else "not known by the pictures' names"),
        ("Configurations", f"{tried}, of which {failed} failed" if failed else str(tried)),
        ("Ranked by", f"{found.primary}: {MEASURES.get(found.primary, 'see results.json')}"),
        ("When", found.when.replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC")),
    ]


def _warnings(rows: Sequence[Row], who: dict[str, view.Who]) -> list[tuple[str, list[view.Who]]]:
    """Each sentence once, with the rows that it is said of."""
    said: dict[str, list[view.Who]] = {}
    for row in rows:
        for sentence in dict.fromkeys(row.warnings):
            said.setdefault(sentence, []).append(who[row.name])
    return list(said.items())


def _query(given: Disagreement, who: dict[str, view.Who], pictures: _Pictures) -> _Query:
    """A query with the lines of those that did best and worst on it, in the order of rows; the others are folded."""
    strips = {name: _strip(who[name], given.neighbours[name], pictures) for name in who if name in given.neighbours}
    right = {name: sum(shown.relevant for shown in given.neighbours[name]) for name in strips}
    ranked = sorted(strips, key=lambda name: -right[name])
    folded = ranked[_LINES // 2 : -_LINES // 2] if len(ranked) > _LINES else []
    return _Query(
        given.query,
        given.category,
        f"{100 * given.spread:.0f}",
        pictures("query", given.query),
        [strip for name, strip in strips.items() if name not in folded],
        [strip for name, strip in strips.items() if name in folded],
    )


def _strip(who: view.Who, shown: Sequence[Shown], pictures: _Pictures) -> _Strip:
    tiles = [
        _Tile(
            pictures("item", item.uri),
            item.relevant,
            item.category,
            f"{rank}. {item.uri}: {'right' if item.relevant else 'wrong'}, distance {item.distance:.4g}",
        )
        for rank, item in enumerate(shown, start=1)
    ]
    return _Strip(who, f"{sum(tile.relevant for tile in tiles)} of {len(tiles)} right", tiles)
