"""ddsim.deepdetect.services: whose a service is, and whether it is the very one that was created."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shop import Shop, once

from ddsim import ApiError, Reply, ServiceConflict, ServiceInfo, ServiceSpec
from ddsim.deepdetect.services import Mark, ensure, mark_of

ME, OTHER = "shop /state/a", "shop /state/b"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop whose server knows no service yet."""
    return Shop(tmp_path)


@pytest.fixture
def spec(shop: Shop) -> ServiceSpec:
    """The shop's similarity service."""
    return shop.settings.similarity_spec()


def changing(shop: Shop) -> list[str]:
    """The methods that changed something on the server so far."""
    return [sent.method for sent in shop.tap.sent if sent.method in ("PUT", "DELETE")]


def test_owner_and_incarnation_are_remembered(shop: Shop, spec: ServiceSpec) -> None:
    """What is created for somebody says so, and bears a word that no other creation gets."""
    made = ensure(shop.client(), spec, layer="pool1", owner=ME)
    assert mark_of(shop.client().get_service(spec.name)) == Mark(ME, made.incarnation)
    assert made.incarnation
    shop.client().delete_service(spec.name)
    assert ensure(shop.client(), spec, layer="pool1", owner=ME).incarnation != made.incarnation


def test_without_an_owner_there_is_no_mark(shop: Shop, spec: ServiceSpec) -> None:
    """A service for anybody bears none, nor does what ddsim did not create."""
    made = ensure(shop.client(), spec, layer="pool1")
    assert made.incarnation is None
    assert mark_of(shop.client().get_service(spec.name)) == Mark()


@pytest.mark.parametrize("description", ["", "sofas", "ddsim", "ddsim {", "ddsim []", 'ddsim {"owner": 1}'])
def test_any_description_can_be_read(description: str) -> None:
    """Whatever somebody wrote there: it is no mark."""
    assert mark_of(ServiceInfo(name="x", description=description)) == Mark()


def test_the_same_incarnation_is_kept(shop: Shop, spec: ServiceSpec) -> None:
    """It lives, so what it has in memory lives."""
    made = ensure(shop.client(), spec, layer="pool1", owner=ME)
    shop.tap.sent.clear()
    kept = ensure(shop.client(), spec, layer="pool1", owner=ME, incarnation=made.incarnation, replace_own=True)
    assert (kept.created, kept.incarnation) == (False, made.incarnation)
    assert changing(shop) == []


@pytest.mark.parametrize("change", [{}, {"width": 16}, {"repository": "elsewhere"}])
def test_ones_own_is_replaced_where_it_is_another(shop: Shop, spec: ServiceSpec, change: dict[str, Any]) -> None:
    """Another incarnation or other settings: deleted, without a file, and created anew."""
    made = ensure(shop.client(), spec, layer="pool1", owner=ME)
    wanted = spec.model_copy(update=change)
    if "repository" in change:
        wanted = wanted.model_copy(update={"repository": str(shop.root / "elsewhere")})
    shop.tap.sent.clear()
    incarnation = made.incarnation if change else "another"
    # The tiny network takes 32 x 32 alone, so that one fails its first prediction; it was created all the same.
    try:
        again = ensure(shop.client(), wanted, layer="pool1", owner=ME, incarnation=incarnation, replace_own=True)
        assert again.created
        assert again.incarnation not in (made.incarnation, "another")
    except ApiError:
        assert "width" in change
    assert changing(shop)[:2] == ["DELETE", "PUT"]
    assert next(sent.path for sent in shop.tap.sent if sent.method == "DELETE") == f"/services/{spec.name}"


@pytest.mark.parametrize("owner", [OTHER, None])
def test_what_is_not_ones_own_is_never_replaced(shop: Shop, spec: ServiceSpec, owner: str | None) -> None:
    """Another's or nobody's, with the same settings or others: a conflict that names what differs."""
    ensure(shop.client(), spec, layer="pool1", owner=owner)
    shop.tap.sent.clear()
    with pytest.raises(ServiceConflict) as caught:
        ensure(shop.client(), spec, layer="pool1", owner=ME, incarnation="x", replace_own=True)
    assert caught.value.differences == {"owner": (ME, owner)}
    with pytest.raises(ServiceConflict, match="width"):
        ensure(shop.client(), spec.model_copy(update={"width": 16}), layer="pool1", owner=ME, replace_own=True)
    assert changing(shop) == []


def test_whoever_asks_for_no_incarnation_shares(shop: Shop, spec: ServiceSpec) -> None:
    """A service that is only computed with may be anybody's, if it is as wanted."""
    ensure(shop.client(), spec, layer="pool1", owner=OTHER)
    assert not ensure(shop.client(), spec, layer="pool1", owner=ME, replace_own=True).created
    assert not ensure(shop.client(), spec, layer="pool1").created


def test_replacing_is_asked_for(shop: Shop, spec: ServiceSpec) -> None:
    """Without it even one's own is left alone."""
    made = ensure(shop.client(), spec, layer="pool1", owner=ME)
    with pytest.raises(ServiceConflict) as caught:
        ensure(shop.client(), spec, layer="pool1", owner=ME, incarnation="another")
    assert caught.value.differences == {"incarnation": ("another", made.incarnation)}


def test_it_may_be_gone_before_it_is_deleted(shop: Shop, spec: ServiceSpec) -> None:
    """The server was restarted just then: there is nothing to delete, and it is created."""
    ensure(shop.client(), spec, layer="pool1", owner=ME)

    def restarted(carry_out: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        return carry_out()

    shop.tap.faults.append(once(lambda sent: sent.method == "DELETE", restarted))
    assert ensure(shop.client(), spec, layer="pool1", owner=ME, incarnation="", replace_own=True).created


def test_someone_else_may_be_faster(shop: Shop, spec: ServiceSpec) -> None:
    """Between the deletion and the creation another one creates it: that is a conflict, not ours."""
    ensure(shop.client(), spec, layer="pool1", owner=ME)

    def theirs(carry_out: Callable[[], Reply]) -> Reply:
        answer = carry_out()
        ensure(shop.client(), spec, layer="pool1", owner=OTHER)
        return answer

    shop.tap.faults.append(once(lambda sent: sent.method == "DELETE", theirs))
    with pytest.raises(ServiceConflict, match="owner"):
        ensure(shop.client(), spec, layer="pool1", owner=ME, incarnation="", replace_own=True)
    assert mark_of(shop.client().get_service(spec.name)).owner == OTHER
