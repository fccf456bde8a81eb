"""ddsim.deepdetect.services: a service is made so, kept, or refused with what differs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from shop import DIMENSIONS, Sent, Shop, once, refusal

from ddsim import (
    ApiError,
    BadParameter,
    Client,
    ConnectionLost,
    InvalidRequest,
    Reply,
    ServerFault,
    ServiceConflict,
    ServiceInfo,
    ServiceNotFound,
    ServiceSpec,
    Timeout,
)
from ddsim.deepdetect.services import differences, ensure
from ddsim.embedded import EmbeddedTransport


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop whose server knows no service yet."""
    return Shop(tmp_path)


@pytest.fixture
def spec(shop: Shop) -> ServiceSpec:
    """The shop's similarity service."""
    return shop.settings.similarity_spec()


def create(shop: Shop, spec: ServiceSpec, **changes: Any) -> None:
    """Someone else creates a service, past the tap, with a body of their own."""
    body = {**spec.body(), **changes}
    reply = EmbeddedTransport(shop.tap.engine).exchange("PUT", f"/services/{spec.name}", body, Timeout(1, 1))
    assert reply.status == 201


def is_put(sent: Sent) -> bool:
    """Whether a request creates a service."""
    return sent.method == "PUT"


@pytest.mark.parametrize("layer", DIMENSIONS)
def test_creates_what_is_not_there(shop: Shop, spec: ServiceSpec, layer: str) -> None:
    """A missing service is created, and one prediction tells how long its vectors are."""
    made = ensure(shop.client(), spec, layer=layer)
    assert (made.name, made.created, made.dimension) == (spec.name, True, DIMENSIONS[layer])
    assert shop.client().get_service(spec.name).type == "unsupervised"


def test_keeps_what_is_there(shop: Shop, spec: ServiceSpec) -> None:
    """A service as wanted is kept, by any client: nothing is created, nothing deleted."""
    ensure(shop.client(), spec, layer="pool1")
    shop.tap.sent.clear()
    kept = ensure(shop.client(), spec, layer="pool1")
    assert (kept.created, kept.dimension) == (False, 392)
    assert not shop.tap.matching("PUT")
    assert not shop.tap.matching("DELETE")


def test_a_classification_service_has_no_dimension(shop: Shop) -> None:
    """Without a layer the service is asked to classify."""
    wanted = shop.settings.classification_spec()
    assert wanted is not None
    assert ensure(shop.client(), wanted).dimension is None


CHANGES: dict[str, dict[str, Any]] = {
    "type": {"type": "supervised"},
    "repository": {"repository": "/somewhere/else"},
    "width": {"width": 33},
    "height": {"height": 31},
    "rgb": {"rgb": True},
    "nclasses": {"nclasses": 6},
    "template": {"template": "resnet_50"},
    "mean": {"mean": (104.0, 117.0, 123.0)},
    "no mean": {"mean": ()},
    "std": {"std": (1.0, 1.0, 1.0)},
    "scale": {"scale": 0.5},
    "definition": {"definition": "/other/deploy.prototxt"},
    "weights": {"weights": "/other/net.caffemodel"},
    "no weights": {"weights": None},
    "corresp": {"corresp": "/other/corresp.txt"},
    "templates": {"templates": "/other/templates"},
    "mllib": {"mllib": "torch"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_other_setting_is_a_conflict(shop: Shop, spec: ServiceSpec, change: str) -> None:
    """One differing setting is refused, named with both sides, and nothing on the server changes."""
    ensure(shop.client(), spec, layer="pool1")
    shop.tap.sent.clear()
    wanted = spec.model_copy(update=CHANGES[change])
    with pytest.raises(ServiceConflict) as caught:
        ensure(shop.client(), wanted, layer="pool1")
    key = change.removeprefix("no ")
    assert caught.value.service == spec.name
    assert caught.value.differences.keys() == {key}
    want, found = caught.value.differences[key]
    assert f"{key}: wanted {want!r}, found {found!r}" in str(caught.value)
    assert want != found
    assert {sent.method for sent in shop.tap.sent} == {"GET"}


def test_a_conflict_shows_the_values_of_both_sides(shop: Shop, spec: ServiceSpec) -> None:
    """What is shown as wanted and found are the values themselves."""
    ensure(shop.client(), spec, layer="pool1")
    wanted = spec.model_copy(update={"width": 64, "weights": "/new.caffemodel", "mean": ()})
    with pytest.raises(ServiceConflict) as caught:
        ensure(shop.client(), wanted, layer="pool1")
    assert caught.value.differences == {
        "width": (64, 32),
        "weights": ("/new.caffemodel", spec.weights),
        "mean": ([], [104.0, 117.0, 123.5]),
    }


def test_a_mean_survives_32_bit_floats(shop: Shop, spec: ServiceSpec) -> None:
    """A server keeps single precision: that is no difference, and a hundredth is one."""
    precise = spec.model_copy(update={"mean": (103.06, 115.9, 123.15)})
    ensure(shop.client(), precise, layer="pool1")
    assert not ensure(shop.client(), precise, layer="pool1").created
    with pytest.raises(ServiceConflict, match="mean"):
        ensure(shop.client(), spec.model_copy(update={"mean": (103.07, 115.9, 123.15)}), layer="pool1")


def test_a_slash_at_the_end_of_the_repository_is_no_difference(shop: Shop, spec: ServiceSpec) -> None:
    """The same folder written with a slash behind it is the same folder."""
    ensure(shop.client(), spec, layer="pool1")
    slashed = spec.model_copy(update={"repository": spec.repository + "/"})
    assert not ensure(shop.client(), slashed, layer="pool1").created


def test_settings_that_a_server_words_otherwise() -> None:
    """A single number where others list one, null where others leave out: compared by what they mean."""
    spec = ServiceSpec(name="x", mllib="torch", repository="/r", nclasses=3, scale=0.5, std=(0.25, 0.25, 0.25))
    shown = {"input": {"width": 224, "height": 224, "scale": 0.5, "std": [0.25] * 3, "mean": None, "rgb": None}}
    found = ServiceInfo(
        name="x", mllib="torch", type="supervised", repository="/r/", parameters={**shown, "mllib": {"nclasses": 3}}
    )
    assert differences(spec, found) == {}


@pytest.mark.parametrize("description", ["", "ours", "ddsim ", "ddsim {not json", "ddsim [1]", "ddsimilar {}"])
def test_a_stranger_s_service(shop: Shop, spec: ServiceSpec, description: str) -> None:
    """Of a service that ddsim did not create, the model files are unknown and not compared; all else is."""
    create(shop, spec, description=description)
    other_files = spec.model_copy(update={"weights": "/w.caffemodel", "definition": "/d.prototxt", "corresp": None})
    assert not ensure(shop.client(), other_files, layer="pool1").created
    with pytest.raises(ServiceConflict, match="width: wanted 48, found 32"):
        ensure(shop.client(), spec.model_copy(update={"width": 48}), layer="pool1")


def test_the_model_files_stand_in_the_description(shop: Shop, spec: ServiceSpec) -> None:
    """Whoever looks at the server can see which files a service of ours was made from."""
    ensure(shop.client(), spec, layer="pool1")
    description = shop.client().get_service(spec.name).description
    assert description.startswith("ddsim ")
    shown = orjson.loads(description.removeprefix("ddsim "))
    assert shown.pop("made")
    assert shown == {"definition": spec.definition, "weights": spec.weights, "corresp": spec.corresp}


RACES: dict[str, Reply] = {
    "refused as existing": refusal(409, 1014, "Service already exists"),
    "the name of its log is taken": refusal(500, 1007, "logger with name 'shop-similar' already exists"),
    "refused without a code": refusal(403),
}


@pytest.mark.parametrize("race", RACES)
def test_a_lost_race_with_the_same_settings(shop: Shop, spec: ServiceSpec, race: str) -> None:
    """Somebody who created the same service in between did our work."""
    shop.tap.faults.append(once(is_put, lambda carry_out: (carry_out(), RACES[race])[1]))
    made = ensure(shop.client(), spec, layer="pool1")
    assert (made.created, made.dimension) == (False, 392)


@pytest.mark.parametrize("race", RACES)
def test_a_lost_race_with_other_settings(shop: Shop, spec: ServiceSpec, race: str) -> None:
    """Somebody who created another service of that name in between is a conflict, and theirs is left alone."""

    def overtaken(_: Callable[[], Reply]) -> Reply:
        create(shop, spec.model_copy(update={"height": 40}))
        return RACES[race]

    shop.tap.faults.append(once(is_put, overtaken))
    with pytest.raises(ServiceConflict, match="height: wanted 32, found 40"):
        ensure(shop.client(), spec, layer="pool1")
    assert shop.client().get_service(spec.name).height == 40


def test_created_and_unusable_is_removed_again(shop: Shop, spec: ServiceSpec) -> None:
    """A service without weights is created with 201; the probe finds out, and the name is free for the right one."""
    (shop.root / "empty").mkdir()
    broken = spec.model_copy(update={"weights": None, "repository": str(shop.root / "empty")})
    with pytest.raises(ServerFault, match="no model in"):
        ensure(shop.client(), broken, layer="pool1")
    with pytest.raises(ServiceNotFound):
        shop.client().get_service(spec.name)
    assert ensure(shop.client(), spec, layer="pool1").created


def test_an_unusable_service_of_others_stays(shop: Shop, spec: ServiceSpec) -> None:
    """What ddsim did not create in this call it does not remove, though it cannot predict."""
    (shop.root / "empty").mkdir()
    broken = spec.model_copy(update={"weights": None, "repository": str(shop.root / "empty")})
    create(shop, broken)
    with pytest.raises(ServerFault):
        ensure(shop.client(), broken, layer="pool1")
    assert shop.client().get_service(spec.name).name == spec.name
    assert not shop.tap.matching("DELETE")


def test_a_layer_that_the_network_lacks(shop: Shop, spec: ServiceSpec) -> None:
    """The server's words come out, nothing stays behind, and the next call on that name is not poisoned."""
    client = shop.client()
    with pytest.raises(BadParameter, match="unknown extract layer pool5/7x7_s1") as caught:
        ensure(client, spec, layer="pool5/7x7_s1")
    assert "deploy.prototxt" in str(caught.value)
    assert ensure(client, spec, layer="pool1").created


def test_a_failing_removal_does_not_hide_the_cause(
    shop: Shop, spec: ServiceSpec, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the broken service cannot be removed either, the first error comes out and the second is logged."""

    def dies(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if sent.method == "DELETE":
            raise ConnectionLost("gone", method="DELETE", path=sent.path)
        return None

    shop.tap.faults.append(dies)
    with caplog.at_level(logging.WARNING, "ddsim"), pytest.raises(BadParameter):
        ensure(shop.client(), spec, layer="nosuch")
    assert f"{spec.name} failed its first prediction and could not be removed: gone" in caplog.text


def test_a_service_that_cannot_be_created(shop: Shop, spec: ServiceSpec) -> None:
    """What the server says against a creation comes out as it is; no probe, no removal."""
    with pytest.raises(ApiError, match="not writable or does not exist"):
        ensure(shop.client(), spec.model_copy(update={"create_repository": False}), layer="pool1")
    assert not shop.tap.matching("POST")
    assert not shop.tap.matching("DELETE")


def test_features_from_a_classification_service(shop: Shop) -> None:
    """A layer of a service that classifies is refused, and no service is left behind."""
    wanted = shop.settings.classification_spec()
    assert wanted is not None
    with pytest.raises(InvalidRequest, match="classifies"):
        ensure(shop.client(), wanted, layer="pool1")
    with pytest.raises(ServiceNotFound):
        shop.client().get_service(wanted.name)


def test_a_server_that_refuses_to_say(shop: Shop, spec: ServiceSpec) -> None:
    """An error on asking for the service is not taken for its absence."""
    shop.tap.faults.append(
        once(lambda sent: sent.method == "GET", lambda _: refusal(500, 1007, "ERROR_INVALID_INTEGER"))
    )
    client: Client = shop.client()
    with pytest.raises(ServerFault):
        ensure(client, spec, layer="pool1")
    assert not shop.tap.matching("PUT")


@pytest.mark.parametrize("forgotten", ["GET", "POST"])
def test_a_server_that_restarts_meanwhile(shop: Shop, spec: ServiceSpec, forgotten: str) -> None:
    """Where the server forgets the service before it is looked at, or tried, it is created once more."""

    def restart(carry_out: Callable[[], Reply]) -> Reply:
        shop.tap.restart()
        return carry_out()

    shop.tap.faults.append(once(lambda sent: sent.method == forgotten and bool(shop.tap.matching("PUT")), restart))
    assert ensure(shop.client(), spec, layer="pool1").created
    assert len(shop.tap.matching("PUT")) == 2
