"""How public objects show themselves: a short repr, escaped HTML, harmless terminals, and plain values."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from shop import Shop

import ddsim
from ddsim.catalogue import Kind, Survey
from ddsim.deepdetect.described import parse_info
from ddsim.deepdetect.http import HttpTransport
from ddsim.evaluation import Evaluation, Interval, Options, Row, Step
from ddsim.evaluation.results import Comparison, Disagreement, Measure
from ddsim.evaluation.results import Shown as ShownItem
from ddsim.indexing import Audit, Failure, IndexReport, Progress
from ddsim.pictures import Encoded
from ddsim.routing import OpenSet
from ddsim.routing.isotonic import Calibration
from ddsim.search import Outlook
from ddsim.search.exploring import Place, mapped
from ddsim.training import Confusion, Suspect, Worth

# Whatever a folder, a label file or a server may be called by people who mean no good.
EVIL = "<script>alert('x')</script>\"&\x1b[31m\n\udcff" * 8
MANY = 200
ITEM = ddsim.Item(EVIL, EVIL, Path(EVIL))
LABELS = tuple(ddsim.Label(f"{place} {EVIL}", 1 / (place + 1)) for place in range(MANY))
NEIGHBOURS = tuple(ddsim.Neighbour(EVIL, 0.5, 0.25, rank, Path(EVIL), (EVIL,) * 9) for rank in range(1, MANY))
LINE = Calibration(tuple(map(float, range(MANY))), tuple(1 - place / MANY for place in range(MANY)), MANY)
LEARNED = ddsim.Learned(LINE, 0.5, 0.25, 0.125, MANY, MANY)
FAILURES = tuple(Failure(EVIL, EVIL) for _ in range(MANY))
AUDIT = Audit(MANY, (EVIL,) * MANY)
INTERVAL = Interval(0.5, 0.25, float("nan"), 9, 1)
SERVER = {
    "head": {
        "version": EVIL,
        "compile_flags": EVIL,
        "services": [{"name": EVIL, "parameters": {"x": EVIL}, "labels": (EVIL,) * MANY}] * MANY,
    }
}


def survey() -> Survey:
    """One that met much."""
    found = Survey(shut={f"{place} {EVIL}": EVIL for place in range(MANY)}, empty=[EVIL] * MANY)
    found.note(Kind.ODD, EVIL)
    return found


def report(**changes: Any) -> IndexReport:
    """Of a run at which much went wrong."""
    facts: dict[str, Any] = {
        "indexed": MANY,
        "sent": MANY,
        "reused": 0,
        "changes": {EVIL: MANY},
        "survey": survey(),
        "failures": FAILURES,
        "failures_file": Path(EVIL),
        "twins": 3,
        "home": "local cosine",
        "rows": MANY,
        "tombstones": float("nan"),
        "dimension": 1280,
        "compared_anew": None,
        "audit": AUDIT,
        "learned": LEARNED,
        "finished": False,
        "seconds": 1.5,
        "warnings": (EVIL,) * MANY,
    }
    return IndexReport(**facts | changes)


def result() -> ddsim.SearchResult:
    """With everything in it."""
    routed = tuple(ddsim.RoutedCategory(EVIL, 0.5, True, EVIL) for _ in range(MANY))
    timings = ddsim.Timings(0.1, 0.2, 0.3, 0.6)
    return ddsim.SearchResult(EVIL, LABELS, routed, (EVIL,) * MANY, NEIGHBOURS, EVIL, timings, EVIL, b"no picture")


def trained() -> ddsim.TrainReport:
    """Of a training with many confusions."""
    worth = {who: Worth(9, 0.5, float("nan"), 0.1) for who in ("trained", "neighbours")}
    confusions = tuple(Confusion(EVIL, EVIL, 3, (EVIL,)) for _ in range(MANY))
    suspects = tuple(Suspect(EVIL, EVIL, 0.1, EVIL, 0.9) for _ in range(MANY))
    return ddsim.TrainReport(
        MANY, {EVIL: MANY}, 9, 9, 1.0, 1.0, 3, worth, {EVIL: worth}, confusions, suspects, OpenSet(*[0.5] * 6), 1.0
    )


def evaluation() -> Evaluation:
    """Of many configurations, one of which failed."""
    measure = Measure(INTERVAL, {EVIL: INTERVAL})
    good = Row(EVIL, "configuration", {EVIL: EVIL}, None, {"P@1": measure}, 9, 9, 0.1, 0.2, 1, 2, 3.0, (EVIL,))
    bad = Row(EVIL, "configuration", {}, EVIL, {}, None, None, None, None, 0, 0, 0.0)
    shown = {EVIL: (ShownItem(EVIL, EVIL, 0.5, True),)}
    return Evaluation(
        when="2026-01-01",
        catalogue=EVIL,
        queries=None,
        items=MANY,
        asked=MANY,
        categories={EVIL: MANY},
        products=None,
        primary="P@1",
        rows=(good, bad) * MANY,
        comparisons=(Comparison("P@1", EVIL, EVIL, None, INTERVAL),),
        disagreements=(Disagreement(EVIL, EVIL, 0.5, shown),),
        conclusion=EVIL,
    )


def spec() -> ddsim.ServiceSpec:
    """A service in a folder with a long name."""
    return ddsim.ServiceSpec(name="one", repository="/x" * MANY, nclasses=9, description="<b>" * MANY)


RESULTS: dict[str, Callable[[], Any]] = {
    "Audit": lambda: AUDIT,
    "Capabilities": lambda: parse_info(SERVER).capabilities,
    "CatalogueMap": lambda: mapped([ITEM] * MANY, np.eye(MANY, 4, dtype=np.float32), "pca", pictures=2),
    "Classification": lambda: ddsim.Classification(LABELS),
    "Duplicate": lambda: ddsim.Duplicate((ITEM,) * MANY, 0.99),
    "Duplicates": lambda: ddsim.Duplicates([ddsim.Duplicate((ITEM,) * MANY, 0.99)] * MANY),
    "Evaluation": evaluation,
    "Failure": lambda: FAILURES[0],
    "Failures": lambda: ddsim.Failures(FAILURES),
    "IndexReport": report,
    "Info": lambda: parse_info(SERVER),
    "Item": lambda: ITEM,
    "Items": lambda: ddsim.Items([ITEM] * MANY),
    "Label": lambda: LABELS[0],
    "Learned": lambda: LEARNED,
    "Match": lambda: ddsim.Match(EVIL, 0.5, 0.25),
    "Neighbour": lambda: NEIGHBOURS[0],
    "Outlook": lambda: Outlook({}, survey(), EVIL),
    "Place": lambda: Place(EVIL, EVIL, 0.5, 0.5),
    "Progress": lambda: Progress(1, 2, 0),
    "RoutedCategory": lambda: ddsim.RoutedCategory(EVIL, 0.5, True, EVIL),
    "Row": lambda: evaluation().rows[0],
    "SearchReply": lambda: ddsim.SearchReply(np.zeros(MANY, np.float32), (ddsim.Match(EVIL, 0.5, 0.25),) * MANY),
    "SearchResult": result,
    "ServiceInfo": lambda: parse_info(SERVER).services[0],
    "ServiceSpec": spec,
    "Step": lambda: Step(EVIL, 1, None),
    "Survey": survey,
    "Timings": lambda: result().timings,
    "TrainReport": trained,
    "TrainingStatus": lambda: ddsim.TrainingStatus("one", 1, "error", None, {EVIL: 1.0}, EVIL),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "AsyncClient": ddsim.AsyncClient,
    "Client": ddsim.Client,
    "Encoded": lambda: Encoded(b"x" * MANY, "image/png", (1, 1), (1, 1), EVIL),
    "IndexOptions": ddsim.IndexOptions,
    "ItemVectors": lambda: ddsim.ItemVectors([EVIL] * MANY, np.zeros((MANY, 4), np.float32)),
    "Options": Options,
    "ProgressBar": ddsim.ProgressBar,
    "Reply": lambda: ddsim.Reply(200, EVIL.encode("utf-8", "replace")),
    "Retries": ddsim.Retries,
    "ServerPath": lambda: ddsim.ServerPath("/x" * MANY),
    "ThreadedTransport": lambda: ddsim.ThreadedTransport(HttpTransport("http://localhost:8080")),
    "TimeLimits": ddsim.TimeLimits,
    "Timeout": lambda: ddsim.Timeout(1, 2),
    "Upload": ddsim.Upload,
    "Url": lambda: ddsim.Url("http://x/" + "y" * MANY),
}
# Made from files and servers: looked at below.
OPENED = {"Collection", "ImageSearch", "Settings"}
# Nobody makes one.
PROTOCOLS = {"AsyncTransport", "Transport"}


def is_short(text: str) -> bool:
    """One to three lines of what fits into a terminal, and nothing in it that moves a cursor."""
    lines = text.split("\n")
    return len(lines) <= 3 and len(text) <= 400 and all(line.isprintable() for line in lines)


def test_every_public_class_is_looked_at() -> None:
    """A class that becomes public is shown here too."""
    kinds = {name for name in ddsim.__all__ if isinstance(getattr(ddsim, name), type)}
    errors = {name for name in kinds if issubclass(getattr(ddsim, name), Exception)}
    assert kinds - errors - OPENED - PROTOCOLS <= RESULTS.keys() | OTHERS.keys()


@pytest.mark.parametrize("name", [*RESULTS, *OTHERS])
def test_reprs_are_short(name: str) -> None:
    """Whatever is in it, a repr has one to three lines, names the class and can be printed anywhere."""
    one = {**RESULTS, **OTHERS}[name]()
    assert is_short(repr(one)), repr(one)
    assert name in repr(one)
    assert " object at 0x" not in repr(one)


def test_opened_objects_have_short_reprs(tmp_path: Path) -> None:
    """Settings, a collection and a search say what they are of, open and closed."""
    shop = Shop(tmp_path)
    with shop.search() as search:
        assert is_short(repr(shop.settings))
        assert "embedded" in repr(shop.settings)
        assert "'shop', 0 items" in repr(search)
        assert is_short(repr(search.collection))
    assert repr(search) == "<ImageSearch: 'shop', closed>"
    assert "closed" in repr(search.collection)


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    """A password that somebody wrote into the address stays out of what is shown."""
    shop = Shop(tmp_path)
    server = {"url": "https://me:s3cret@dd.example"}
    shop.configure(server=server, classification=None, similarity={"repository": "/opt/models/shop"})
    assert "s3cret" not in repr(shop.settings)
    with ddsim.Client("https://me:s3cret@dd.example") as client:
        assert "s3cret" not in repr(client)
        assert "dd.example" in repr(client)


class Tags(HTMLParser):
    """Collects what a fragment of HTML is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attrs


SHOWN = [name for name, make in RESULTS.items() if hasattr(make(), "_repr_html_")]


@pytest.mark.parametrize("name", SHOWN)
def test_html_is_escaped(name: str) -> None:
    """A name with markup in it becomes text, and the notebook can store it."""
    html = RESULTS[name]()._repr_html_()
    tags = Tags()
    tags.feed(html)
    assert "script" not in tags.tags
    assert not [key for key, _ in tags.attributes if key.startswith("on")]
    assert set(tags.tags) <= {*("div", "span", "table", "tr", "th", "td", "b", "img", "figure", "figcaption", "br")} | (
        {"iframe"} if name == "CatalogueMap" else set()
    )
    html.encode("utf-8")


def test_most_results_show_themselves() -> None:
    """What people look at in notebooks has HTML."""
    wanted = {"SearchResult", "IndexReport", "Evaluation", "TrainReport", "Items", "Duplicates", "CatalogueMap"}
    assert wanted <= set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_terminals_come_to_no_harm(name: str) -> None:
    """What rich prints holds no escape sequence of somebody's own, and no markup of theirs counts."""
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=False).print(RESULTS[name]())
    assert "\x1b" not in file.getvalue()
    assert file.getvalue().strip()


@pytest.mark.parametrize("name", RESULTS)
def test_plain_values_are_json(name: str) -> None:
    """`to_dict()` gives what JSON has, and nothing that is no number."""
    found = RESULTS[name]().to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_search_result_is_its_neighbours() -> None:
    """It can be iterated, measured and asked for its first."""
    found = result()
    assert list(found) == list(NEIGHBOURS)
    assert len(found) == len(NEIGHBOURS)
    assert found[0] is NEIGHBOURS[0]


def test_all_labels_only_where_they_are_asked_for() -> None:
    """Ten labels are what `--json` prints; all can be had."""
    assert len(result().to_dict()["labels"]) == 10
    assert len(result().to_dict(labels=None)["labels"]) == MANY


def test_what_is_known_of_a_neighbour() -> None:
    """Category and product come from its name."""
    one = ddsim.Neighbour("lamp/lamp-007-view2.jpg", 0.5, 0.25)
    assert (one.category, one.product) == ("lamp", "lamp/lamp-007")
    assert ddsim.Neighbour("lamp/green.jpg", 0.5, 0.25).product is None


def test_an_index_report_says_what_went_wrong() -> None:
    """Failures, a red audit and an early end are in the line; their absence is, too."""
    assert "200 failed, AUDIT FAILED, stopped before its end" in repr(report())
    good = report(failures=(), audit=Audit(3, ()), finished=True)
    assert repr(good).endswith("in 1.5 s, audit passed>")
