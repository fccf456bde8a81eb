"""Catalogues that are elsewhere, from indexing to the page: a web server's folder, and a table of addresses."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from elsewhere import Answered, Web, on_a_socket
from homes import four_at_a_time
from PIL import Image
from shop import PATIENT, Shop, picture
from starlette.testclient import TestClient
from stock import index, names
from typer.testing import CliRunner

from ddsim import CatalogueUnreachable, CatalogueVanished, Client, IndexReport, Settings, connect
from ddsim.catalogue import ItemState
from ddsim.commands.app import app
from ddsim.evaluation.experiments import read_experiments
from ddsim.evaluation.options import Options
from ddsim.evaluation.run import evaluate_experiments
from ddsim.search import contact_sheet
from ddsim.search.states import states
from ddsim.vectors import Patience
from ddsim.web.app import create_app

URIS = [*names("bed", 4), *names("lamp", 4)]


def png(seed: int) -> bytes:
    """A picture unlike those of other seeds."""
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def web(loopback: None) -> Iterator[Web]:
    """A web server with eight pictures."""
    made = Web({f"/shop/{uri}": png(seed) for seed, uri in enumerate(URIS)})
    with ExitStack() as stack:
        stack.enter_context(on_a_socket(made))
        yield made


@pytest.fixture(params=["listing", "table"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, web: Web) -> Shop:
    """A shop whose catalogue is the server's folder, or a table of its pictures."""
    made = four_at_a_time(tmp_path, "local")
    if request.param == "listing":
        made.configure(catalogue=f"{web.url}/shop")
    else:
        write_table(made, web, URIS)
        made.configure(catalogue={"folder": "products.csv", "allow_private": True})
    return made


def write_table(shop: Shop, web: Web, uris: list[str]) -> None:
    """A row for each picture."""
    rows = [f"{web.url}/shop/{uri},{uri.split('/')[0]},{uri}\n" for uri in uris]
    (shop.root / "products.csv").write_text("url,category,uri\n" + "".join(rows), "utf-8")


def take_away(shop: Shop, web: Web, uri: str) -> None:
    """A picture is no longer there."""
    del web.files[f"/shop/{uri}"]
    if (shop.root / "products.csv").exists():
        write_table(shop, web, [f.removeprefix("/shop/") for f in web.files])


def run(shop: Shop, **options: Any) -> IndexReport:
    """An indexing run."""
    return index(shop, **options)


def gets(web: Web) -> int:
    """How many pictures were fetched since this was last asked."""
    count = web.count("GET")
    web.asked.clear()
    return count


def test_indexing(shop: Shop, web: Web) -> None:
    """Each picture is fetched once and indexed; a second run asks for etags alone."""
    report = run(shop, audit=True)
    assert (report.indexed, report.sent, report.failures) == (8, 8, ())
    assert report.audit is not None
    assert report.audit.passed
    assert shop.indexed() == URIS
    gets(web)
    again = run(shop)
    assert (again.sent, again.changes["unchanged"]) == (0, 8)
    assert gets(web) == 0


def test_only_what_changed_is_fetched(shop: Shop, web: Web) -> None:
    """A changed, a new and a vanished picture; one with another etag and the same content is not sent."""
    run(shop)
    gets(web)
    web.files["/shop/bed/00.png"] = png(100)
    web.special["/shop/bed/01.png"] = Answered(web.files["/shop/bed/01.png"], headers={"ETag": '"another"'})
    take_away(shop, web, "lamp/03.png")
    report = run(shop)
    assert report.sent == 1
    assert {key: count for key, count in report.changes.items() if count} == {
        "changed": 1,
        "touched": 1,
        "unchanged": 5,
        "vanished": 1,
    }
    assert shop.indexed() == URIS[:-1]
    assert gets(web) == 3  # both were looked at, and the changed one read once more to be sent


def test_pictures_that_cannot_be_read(shop: Shop, web: Web) -> None:
    """Empty, huge and no pictures at all are put aside with the reason; the others go on."""
    shop.configure(upload={"max_bytes": 5000}, **_catalogue(shop))
    web.files["/shop/bed/00.png"] = b""
    web.files["/shop/bed/01.png"] = png(1) + b"x" * 5000
    web.files["/shop/bed/02.png"] = b"<html>sorry</html>"
    report = run(shop)
    assert report.indexed == 5
    reasons = {one.uri: one.reason for one in report.failures}
    assert reasons.keys() == {"bed/00.png", "bed/01.png", "bed/02.png"}
    assert "empty file" in reasons["bed/00.png"]
    assert "more than the limit of 5000 bytes" in reasons["bed/01.png"]


def _catalogue(shop: Shop) -> dict[str, Any]:
    """What its configuration says of the catalogue."""
    reference = shop.settings.reference
    return {"catalogue": {"folder": str(reference.folder), "allow_private": reference.allow_private}}


def test_a_picture_that_changes_during_the_run(shop: Shop, web: Web) -> None:
    """It is indexed as it was read, and the next run finds out."""
    usual, swapped = web.answer, []

    def answer(method: str, target: str) -> Answered:
        if method == "GET" and target.endswith("bed/00.png") and not swapped:
            swapped.append(True)
            web.files["/shop/bed/00.png"] = png(50)
        return usual(method, target)

    web.answer = answer  # type: ignore[method-assign]
    assert run(shop).indexed == 8
    assert run(shop).changes["touched"] == 1  # the content is that of the etag by now
    assert run(shop).changes["unchanged"] == 8


def test_a_server_that_fails_loses_nothing(shop: Shop, web: Web) -> None:
    """What cannot be looked at today stays as it was indexed."""
    run(shop)
    for uri in URIS:
        web.special[f"/shop/{uri}"] = Answered(status=500)
    report = run(shop)
    assert (report.indexed, report.sent) == (8, 0)
    assert len(report.failures) == 8
    assert shop.indexed() == URIS


def test_a_new_picture_that_cannot_be_had_comes_with_the_next_run(shop: Shop, web: Web) -> None:
    """A host in trouble says nothing of a picture: it is put aside for one run, and then tried again."""
    web.faults["GET", "/shop/bed/00.png"] = Answered(status=500)
    report = run(shop)
    assert [(one.uri, "the next run tries again" in one.reason) for one in report.failures] == [("bed/00.png", True)]
    assert shop.indexed() == URIS[1:]
    web.faults.clear()
    assert (run(shop).failures, shop.indexed()) == ((), URIS)


def test_indexed_pictures_outlast_a_host_in_trouble(shop: Shop, web: Web) -> None:
    """All have another etag, and none can be had, or a page of maintenance comes in its place: all stay indexed."""
    run(shop)
    for answered in (Answered(status=500), Answered(b"<html>back soon</html>", headers={"Content-Type": "text/html"})):
        for uri in URIS:
            web.special[f"/shop/{uri}"] = Answered(web.files[f"/shop/{uri}"], headers={"ETag": f'"{answered.status}"'})
            web.faults["GET", f"/shop/{uri}"] = answered
        report = run(shop)
        assert (report.indexed, report.sent, len(report.failures)) == (8, 0, 8)
        assert shop.indexed() == URIS
    web.faults.clear()
    assert run(shop).changes["touched"] == 8


@pytest.mark.parametrize("home", ["local", "server"])
def test_another_category_in_a_table(tmp_path: Path, web: Web, home: str) -> None:
    """The picture is found in that one from the next run on; nothing is sent, even while its host is in trouble."""
    shop = four_at_a_time(tmp_path, home)
    write_table(shop, web, URIS)
    shop.configure(catalogue={"folder": "products.csv", "allow_private": True})
    run(shop)
    table = shop.root / "products.csv"
    table.write_text(table.read_text("utf-8").replace("bed/03.png,bed,", "bed/03.png,sofa,"), "utf-8")
    web.faults["GET", "/shop/bed/03.png"] = Answered(status=503)
    report = run(shop)
    assert (report.sent, report.failures, report.changes["touched"]) == (0, (), 1)
    with shop.search() as search:
        assert search.collection.manifest.categories() == {"bed": 3, "lamp": 4, "sofa": 1}
        found = search.query(picture(URIS.index("bed/03.png")), 1, category="sofa")
    assert [one.uri for one in found.neighbours] == ["bed/03.png"]


def test_a_listing_that_is_gone_or_empty(shop: Shop, web: Web) -> None:
    """The run stops before anything is changed."""
    run(shop)
    web.files.clear()
    if (shop.root / "products.csv").exists():
        write_table(shop, web, URIS[:1])
        with pytest.raises(CatalogueVanished):
            run(shop)
    else:
        with pytest.raises(CatalogueUnreachable, match=r"cannot be listed: .* 404"):
            run(shop)
    assert shop.indexed() == URIS


def test_searching_and_the_sheet(shop: Shop, web: Web) -> None:
    """A photo finds its picture; the sheet shows pictures that are fetched for it."""
    run(shop)
    gets(web)
    with shop.search() as search:
        result = search.query(picture(5), k=3, route=False)
        assert result.neighbours[0].uri == URIS[5]
        assert result.neighbours[0].category == "lamp"
        assert result.neighbours[0].path is None
        sheet = contact_sheet(result, picture(5), search.collection.source)
        assert gets(web) == 3
        web.files.clear()
        assert sheet.tobytes() != contact_sheet(result, picture(5), search.collection.source).tobytes()


def test_the_page_shows_them(shop: Shop, web: Web) -> None:
    """Thumbnails are fetched once and kept; only indexed items are ever fetched; trouble is not called gone."""
    run(shop)
    gets(web)
    with TestClient(create_app(shop.settings, client=shop.client()), base_url="http://127.0.0.1") as page:
        thumbnail = page.get("/thumbnails/160/lamp/01.png")
        assert thumbnail.status_code == 200
        assert Image.open(io.BytesIO(thumbnail.content)).size == (32, 32)
        assert page.get("/thumbnails/160/lamp/01.png").content == thumbnail.content
        assert page.get("/pictures/lamp/01.png").status_code == 200
        assert gets(web) == 2
        web.files["/shop/secret.png"] = web.files["/shop/lamp/99.png"] = png(99)
        for name in ("secret.png", "lamp/99.png", "lamp/../secret.png", f"{web.url}/shop/lamp/01.png", "//127.0.0.1/x"):
            assert page.get(f"/pictures/{name}").status_code == 404
            assert page.get(f"/thumbnails/160/{name}").status_code == 404
        assert gets(web) == 0
        found = page.post("/api/search", data={"like": "lamp/01.png", "k": "3"}).json()
        assert len(found["neighbours"]) == 3
        web.special["/shop/lamp/02.png"] = Answered(b"x" * 10, status=500)
        assert page.get("/thumbnails/160/lamp/02.png").status_code == 503
        web.special["/shop/lamp/02.png"] = Answered(status=410)
        assert page.get("/thumbnails/160/lamp/02.png").status_code == 404


def test_evaluation(shop: Shop, web: Web) -> None:
    """The same seam: configurations are compared on pictures that are elsewhere."""
    run(shop)
    found = read_experiments([shop.config])

    def opening(settings: Settings) -> Client:
        return connect(settings, transport=shop.tap, retries=PATIENT)

    result = evaluate_experiments(
        found,
        shop.settings.catalogue,
        cache=shop.root / "cache",
        options=Options(timing_queries=0),
        opening=opening,
        patience=Patience(sleep=lambda _: None),
    )
    assert result is not None
    assert (result.items, result.asked) == (8, 8)
    assert all(row.failed is None for row in result.rows)


def test_the_state_knows_it(shop: Shop) -> None:
    """The index is found again under its address, and shown as one that is used."""
    run(shop)
    (state,) = states(shop.settings)
    assert state.status == "used"
    assert str(state.catalogue) == str(shop.settings.catalogue)


def test_commands(shop: Shop, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue may also be named where a command is given."""
    monkeypatch.setattr("ddsim.search.search.connect", lambda _: shop.client())
    named = [str(shop.settings.catalogue)]
    told = CliRunner().invoke(app, ["index", *named, "--config", str(shop.config)])
    assert told.exit_code == 0, told.output
    assert "8 pictures are indexed" in told.output
    told = CliRunner().invoke(app, ["catalogue", "count", "--config", str(shop.config), "--catalogue", *named])
    assert "lamp" in told.output
    wrong = CliRunner().invoke(app, ["index", "ftp://host/x", "--config", str(shop.config)])
    assert wrong.exit_code == 2
    assert "ftp: addresses are not read" in wrong.output


def test_a_run_that_is_stopped_goes_on(shop: Shop, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is indexed; the rest comes with the next run."""
    stops: Callable[[], bool] = lambda: True  # noqa: E731
    report = run(shop, stopping=stops)
    assert not report.finished
    assert run(shop).indexed == 8
    with shop.collection() as collection:
        assert collection.manifest.counts()[ItemState.PENDING] == 0
