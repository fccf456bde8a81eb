"""What an evaluation says, complete: the terminal's table, results.json and the page are drawn from this alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from ddsim import showing
from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.thumbnails import Thumbnails
from ddsim.showing import DataFrame, Sketch, Table, Value, clipped, counted, data_frame, percent, plain, save_page

#: The measures in the order in which they are shown: name -> what it says, in one line.
MEASURES = {
    "P@1": "the nearest item is of the query's category",
    "P@5": "share of the first 5 that are of the query's category",
    "P@10": "share of the first 10 that are of the query's category",
    "MAP@R": "how early the items of the query's category come, over the first R, R being how many there are",
    "product@1": "the nearest item shows the same product",
    "product@10": "an item that shows the same product is among the first 10",
    "accuracy": "the category by classification service and neighbours' vote together is right",
    "accuracy.service": "the category by the classification service alone is right",
    "accuracy.neighbours": "the category by the vote of the neighbours alone is right",
    "accuracy.trained": "the category by a classifier trained on the items (`ddsim train`) is right",
    "routing_gain": "what P@10 gains where only the most probable category is searched; below zero, what it loses",
}


def spread_by(primary: str) -> str:
    """The measure by which configurations disagree on a query: what the first page shows, where that can differ."""
    return primary if primary == "MAP@R" else "P@10"


@dataclass(frozen=True, slots=True, repr=False)
class Measure(Value):
    """A measure over all queries, and over those of each category."""

    overall: Interval
    by_category: dict[str, Interval]


@dataclass(frozen=True, slots=True, repr=False)
class Row(Value):
    """One configuration's outcome, or a floor's.

    Attributes:
        name: of the configuration; unique in an evaluation.
        kind: ``configuration``, or ``floor`` for what a search must beat: chance, and a thumbnail's pixels.
        about: what tells it from the others, in words: layer, metric and so on -> value.
        failed: why there are no measures; None where there are.
        measures: by name, see :data:`MEASURES`; those that do not apply are absent.
        dimension: the vectors' length as they are searched; None for chance.
        index_bytes: what the index takes, in bytes.
        latency_p50, latency_p95: seconds of one query, from a picture in memory to its neighbours; None where it was
            not measured.
        extracted, cached: how many vectors were computed by the server for this run, and how many were known.
        seconds: what the row took altogether.
        warnings: what was left out and why, a sentence each: pictures that could not be read, and the like.
        by_server: whether it failed because the server could not be reached, or did not do as it should.
    """

    name: str
    kind: str
    about: dict[str, str]
    failed: str | None
    measures: dict[str, Measure]
    dimension: int | None
    index_bytes: int | None
    latency_p50: float | None
    latency_p95: float | None
    extracted: int
    cached: int
    seconds: float
    warnings: tuple[str, ...] = ()
    by_server: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Value):
    """Two rows on the same queries.

    Attributes:
        measure: which.
        a, b: names of rows; ``difference`` is b minus a, paired by query.
        category: over whose queries; None for all.
        difference: with its interval.
    """

    measure: str
    a: str
    b: str
    category: str | None
    difference: Interval

    @property
    def verdict(self) -> str:
        """One sentence."""
        if math.isnan(self.difference.low):
            return f"too few queries to tell {self.a} from {self.b}"
        if not self.difference.sign:
            return f"no difference between {self.a} and {self.b}"
        better, worse = (self.b, self.a) if self.difference.sign > 0 else (self.a, self.b)
        amount, margin = 100 * abs(self.difference.value), 100 * self.difference.margin
        return f"{better} beats {worse} by {amount:.1f} ± {margin:.1f}"


@dataclass(frozen=True, slots=True, repr=False)
class Shown(Value):
    """A neighbour in a grid: its uri and category, its distance, and whether it is of the query's category."""

    uri: str
    category: str
    distance: float
    relevant: bool


@dataclass(frozen=True, slots=True, repr=False)
class Disagreement(Value):
    """A query on which the configurations differ much.

    Attributes:
        query: name of the picture, relative to the folder of queries or, leave-one-out, to the catalogue.
        category: its own.
        spread: the largest difference between two configurations, of P@10 or, where that is the primary measure, MAP@R.
        neighbours: name of the row -> its nearest items, at most 10.
    """

    query: str
    category: str
    spread: float
    neighbours: dict[str, tuple[Shown, ...]]


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(showing.Shown):
    """Everything an evaluation found.

    Attributes:
        when: ISO 8601, UTC.
        catalogue, queries: the folders; ``queries`` None for leave-one-out.
        items, asked: how many items and how many queries took part.
        categories: name -> how many queries are of it.
        products: the pattern by which file names give products; None where it fits no name.
        primary: the measure by which rows are ranked and compared.
        rows: configurations best first, failed ones after them, floors last.
        comparisons: every pair of rows that have measures, overall and by category, by the primary measure.
        disagreements: largest spread first.
        conclusion: which configuration wins, in a sentence or two.
        thumbnails: gives the small pictures of the report; None leaves them out.
    """

    when: str
    catalogue: str
    queries: str | None
    items: int
    asked: int
    categories: dict[str, int]
    products: str | None
    primary: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    disagreements: tuple[Disagreement, ...]
    conclusion: str
    thumbnails: Thumbnails | None = field(default=None, compare=False)

    def to_html(self) -> str:
        """The report that `ddsim evaluate` writes, one whole page: no file beside it, no network.

        Small pictures are read where they lie; one that is not there any more is left out.
        """
        from ddsim.evaluation.page import render  # which is drawn from what is defined here

        return render(self, self.thumbnails or (lambda _kind, _uri: None))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the report into a file, to be opened in a browser.

        Args:
            path: of the file; one that is there is replaced.

        Returns:
            the same path.

        Raises:
            ConfigError: it cannot be written.
        """
        return save_page(self.to_html(), path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in results.json; what is not a number is None."""
        told = [one.name for one in fields(self) if one.name != "thumbnails"]
        facts: dict[str, Any] = {name: plain(getattr(self, name)) for name in told}
        for comparison, said in zip(facts["comparisons"], self.comparisons, strict=True):
            comparison["verdict"] = said.verdict
        return facts

    def to_dataframe(self) -> DataFrame:
        """A row for each configuration and floor: name, kind, failed, costs, and the mean of each measure.

        Raises:
            CapabilityError: pandas is not installed.
        """
        costs = ("dimension", "index_bytes", "latency_p50", "latency_p95", "seconds")
        rows = [
            {"name": row.name, "kind": row.kind, "failed": row.failed}
            | {name: measure.overall.value for name, measure in row.measures.items()}
            | {name: getattr(row, name) for name in costs}
            for row in self.rows
        ]
        return data_frame(rows, ("name", "kind", "failed", *self._measures(), *costs))

    def _measures(self) -> list[str]:
        """Names of the measures that some row has."""
        return [name for name in MEASURES if any(name in row.measures for row in self.rows)]

    def _brief(self) -> str:
        rows = [row for row in self.rows if row.kind == "configuration"]
        asked = f"{counted(self.asked, 'query', 'queries')} on {counted(self.items, 'item')}"
        found = f"{counted(len(rows), 'configuration')}, {asked}: {clipped(self.conclusion, 180)}"
        return f"{found} save(FILE) writes the report"

    def _sketch(self) -> Sketch:
        measures = self._measures()
        rows = [[row.name, *(_mean(row, name) for name in measures)] for row in self.rows if row.failed is None]
        failed = [(row.name, row.failed) for row in self.rows if row.failed is not None]
        tables = [Table(("", *measures), rows), Table(("failed", "why"), failed)]
        title = f"{counted(self.asked, 'query', 'queries')} on {counted(self.items, 'item')}, ranked by {self.primary}"
        return Sketch(title, notes=[self.conclusion], tables=[table for table in tables if table.rows])


def _mean(row: Row, name: str) -> str:
    """A measure in percent, with its margin where there is one."""
    measure = row.measures.get(name)
    if measure is None or not measure.overall.n:
        return ""
    mean = percent(measure.overall.value)
    return (
        mean
        if math.isnan(measure.overall.low)
        else f"{mean}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{100 * measure.overall.margin:.1f}"
    )
