"""ddsim.evaluate: configurations compared in one call of the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shop import Shop, picture

import ddsim
from ddsim import ConfigError, InvalidRequest
from ddsim.evaluation.results import Disagreement
from ddsim.evaluation.results import Shown as Near


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two categories of pictures, each alike in itself."""
    shop = Shop(tmp_path_factory.mktemp("evaluated"))
    for category, seed in (("lamp", 1), ("bed", 2)):
        for number in range(4):
            image = picture(seed)
            image.paste(picture(10 * seed + number, (8, 8)), (0, 0))
            shop.add_picture(f"{category}/{category}-{number}.png", image)
    shop.configure(classification=None)
    return shop


def test_files_and_settings_are_compared(shop: Shop, tmp_path: Path) -> None:
    """A file, its name as text, and settings: each is a configuration; no index is touched, and progress is told."""
    told: list[str] = []
    found = ddsim.evaluate(
        [shop.config, str(shop.config), shop.settings], shop.catalogue, progress=lambda step: told.append(step.stage)
    )
    assert sorted(row.name for row in found.rows if row.kind == "configuration") == ["shop", "shop-2", "shop-3"]
    assert {"extracting", "searching", "comparing"} <= set(told)
    assert "queries on 8 items" in repr(found)
    assert "P@1" in found._repr_html_()
    with shop.search() as search:
        assert len(search.items()) == 0


def test_one_configuration_needs_no_list(shop: Shop) -> None:
    """The catalogue is its own where none is named, and the numbers are the same every time."""
    once, again = (ddsim.evaluate(shop.settings, limit=2) for _ in range(2))
    assert once.asked == 4
    assert once.to_dict()["rows"][0]["measures"] == again.to_dict()["rows"][0]["measures"]


def test_an_evaluation_as_a_data_frame(shop: Shop) -> None:
    """A row for each configuration and floor, a column for each measure."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = ddsim.evaluate(shop.settings).to_dataframe()
    assert {"name", "kind", "P@1", "MAP@R", "dimension", "seconds"} <= set(frame.columns)
    assert set(frame["kind"]) == {"configuration", "floor"}
    assert frame["P@1"].between(0, 1).all()


def test_the_report_of_an_evaluation(shop: Shop, tmp_path: Path) -> None:
    """The page that the command writes, with its small pictures; what is gone meanwhile is left out, not an error."""
    other = shop.settings.model_copy(
        update={"similarity": shop.settings.similarity.model_copy(update={"extract_layer": "fc1"})}
    )
    found = ddsim.evaluate([shop.settings, other])
    shown = Disagreement(
        "lamp/lamp-0.png", "lamp", 0.5, {found.rows[0].name: (Near("bed/gone.png", "bed", 1.0, False),)}
    )
    found = replace(found, disagreements=(shown,))
    page = found.to_html()
    assert page.lower().startswith("<!doctype html>")
    assert page.count("data:image/jpeg;base64,") == 1
    assert found.save(tmp_path / "report.html") == tmp_path / "report.html"
    assert (tmp_path / "report.html").read_text("utf-8") == page
    assert "data:image/jpeg" not in replace(found, thumbnails=None).to_html()
    assert found == replace(found, thumbnails=None)
    assert "thumbnails" not in found.to_dict()
    with pytest.raises(ConfigError, match="nowhere"):
        found.save(tmp_path / "nowhere" / "report.html")


def test_no_configuration_is_none(shop: Shop) -> None:
    """None is no list of them."""
    with pytest.raises(InvalidRequest, match="a file, a name or settings, not None"):
        ddsim.evaluate(None, shop.catalogue)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("configs", "options", "kind", "said"),
    [
        ([], {}, InvalidRequest, "name at least one file"),
        ([5], {}, InvalidRequest, "a file, a name or settings, not 5"),
        (["photos", None], {}, InvalidRequest, "a file, a name or settings, not None"),
        ("no-such-file.yaml", {}, ConfigError, "no-such-file.yaml"),
        (5, {}, InvalidRequest, "a file, a name or settings, not 5"),
        (None, {"limit": 0}, InvalidRequest, "limit must be 1 or more"),
        (None, {"limit": 2.5}, InvalidRequest, "evaluate: limit=2.5 must be a whole number"),
        (None, {"limit": True}, InvalidRequest, "evaluate: limit=True must be a whole number"),
        (None, {"seed": "x"}, InvalidRequest, "evaluate: seed='x' must be a whole number"),
        (None, {"products": None}, InvalidRequest, "product pattern None: expected a regular expression"),
        (None, {"catalogue": ""}, InvalidRequest, "catalogue='': a folder is named by an empty text"),
        (None, {"catalogue": 5}, InvalidRequest, "catalogue=5: a folder is named by a path"),
        (None, {"queries": " "}, InvalidRequest, "queries=' ': a folder is named by an empty text"),
        (None, {"cache": ""}, InvalidRequest, "cache='': a folder is named by an empty text"),
        (None, {"products": "("}, InvalidRequest, "no regular expression"),
        (None, {"catalogue": "nowhere"}, ConfigError, "no such folder"),
    ],
)
def test_what_cannot_be_evaluated(
    shop: Shop, configs: Any, options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    """The error says what is wrong, before anything takes time."""
    with pytest.raises(kind, match=said):
        ddsim.evaluate(shop.settings if configs is None else configs, **options)
