"""The same picture under several names: found once, with the other names beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shop import Shop, picture
from stock import index
from terminal import command

TWINS = [f"lamp/twin-{number}.png" for number in range(10)]


@pytest.fixture(params=["local", "server"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """Ten times the same lamp, once more among the beds, and four pictures unlike it."""
    shop = Shop(tmp_path, {"classification": None, "index": {"backend": request.param}})
    for uri in (*TWINS, "bed/twin.png"):
        shop.add_picture(uri, picture(70))
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png")
    index(shop)
    return shop


def test_ten_times_the_same_picture_is_one_result(shop: Shop) -> None:
    """The list goes on with what is unlike it, as long as asked for; the other names stand beside the first."""
    with shop.search() as search:
        result = search.query(picture(70), 5, route=False)
        first, *others = result.neighbours
        assert sorted([first.uri, *first.also]) == ["bed/twin.png", *TWINS]
        assert {one.uri for one in others} == {"lamp/a.png", "lamp/b.png", "bed/c.png", "bed/d.png"}
        assert [one.rank for one in result.neighbours] == [1, 2, 3, 4, 5]
        assert not any(one.also for one in others)
        lamps = search.query(picture(70), 5, category="lamp").neighbours
        assert sorted([lamps[0].uri, *lamps[0].also]) == TWINS
        assert len(lamps) == 3


def test_twins_can_be_listed_one_by_one(shop: Shop) -> None:
    """`--twins`, in Python `twins=True`: every name has a rank of its own."""
    with shop.search() as search:
        result = search.query(picture(70), 12, route=False, twins=True)
    assert {one.uri for one in result.neighbours[:11]} == {"bed/twin.png", *TWINS}
    assert not any(one.also for one in result.neighbours)


def test_twins_have_one_voice_in_what_a_photo_shows(shop: Shop) -> None:
    """Ten names of one picture do not outvote the category of another one."""
    with shop.search() as search:
        shares = {one.name: one.probability for one in search.query(picture(70)).categories}
    assert shares["bed"] == pytest.approx(shares["lamp"], rel=0.2)


def test_the_command_tells_the_other_names(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a column of its own, and in JSON; with --twins there is none."""
    monkeypatch.setattr("ddsim.search.search.connect", lambda _settings: shop.client())
    photo = shop.catalogue / TWINS[0]
    result = command(shop, "search", photo, "--all", "-k", 5)
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if " and 9 more" in line]
    assert "also " in line
    found = json.loads(command(shop, "search", photo, "--all", "-k", 5, "--json").stdout)["neighbours"]
    assert [len(one["also"]) for one in found] == [10, 0, 0, 0, 0]
    text = command(shop, "search", photo, "--all", "-k", 11, "--twins").stdout
    assert text.count("twin") == 11
    assert "also" not in text
