"""Indexing and searching with three embedded servers on sockets, whatever becomes of two of them."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shop import PATIENT, Shop, picture, plain
from stock import wait_for_nothing
from typer.testing import CliRunner

from ddsim import Collection, ImageSearch, IndexReport, NetworkChanged, TransportError, connect
from ddsim.catalogue.manifest import ItemState
from ddsim.commands.app import app
from ddsim.embedded import EmbeddedServer, Engine
from ddsim.embedded.replies import Answer

ITEMS = 60
SECONDS = 60.0


class Mortal(Engine):
    """An engine whose server dies at one of its predictions, as a process that is killed: no answer, no socket."""

    def __init__(self, dies_at: int | None = None, profile: str = "v0.25.0") -> None:
        super().__init__(profile=profile)
        self.left = dies_at
        self.server = EmbeddedServer(self)
        self.predictions = 0
        self.dead = False
        self._counting = threading.Lock()
        self._ending: threading.Thread | None = None

    def handle(self, method: str, target: str, body: bytes) -> Answer:
        """Answer, or die."""
        with self._counting:
            if target == "/predict":
                self.predictions += 1
                if self.left is not None and self.predictions > self.left:
                    self.die()
        if self.dead:
            raise ConnectionAbortedError("killed")
        return super().handle(method, target, body)

    def die(self) -> None:
        """End the server; its connections end without an answer."""
        self.dead = True
        if self._ending is None:
            self._ending = threading.Thread(target=self.server.stop)
            self._ending.start()

    def close(self) -> None:
        """End it in any case, and wait until it has."""
        self.die()
        assert self._ending is not None
        self._ending.join(SECONDS)
        assert not self._ending.is_alive()


@pytest.fixture
def starting(loopback: None) -> Iterator[Callable[..., Mortal]]:
    """Starts servers, and ends them."""
    started: list[Mortal] = []

    def start(dies_at: int | None = None, profile: str = "v0.25.0") -> Mortal:
        started.append(Mortal(dies_at, profile))
        started[-1].server.start()
        return started[-1]

    yield start
    for one in started:
        one.close()


def shop_before(root: Path, *engines: Mortal) -> Shop:
    """A shop that uses these servers, with a catalogue of three categories."""
    base = {
        "server": {"urls": [one.server.url for one in engines]},
        "network": {"repository": str(root / "models")},
        "classification": None,
        "similarity": {"extract_layer": "fc1", "repository": str(root / "similar")},
        "index": {"batch_size": 2, "cache": 0},
    }
    return Shop(root, base)


def fill(shop: Shop, count: int = ITEMS) -> list[str]:
    """So many pictures, each unlike the others."""
    uris = [f"{('lamp', 'chair', 'bed')[number % 3]}/{number:02d}.png" for number in range(count)]
    shop.add(*uris)
    return sorted(uris)


def run(shop: Shop) -> IndexReport:
    """An indexing run over all servers."""
    with connect(shop.settings, retries=PATIENT) as client, Collection(shop.settings, client) as collection:
        return collection.index()


def assert_all_there(shop: Shop, uris: list[str]) -> None:
    """Each item is indexed, stored and found exactly once, and finds itself."""
    with connect(shop.settings, retries=PATIENT) as client, Collection(shop.settings, client) as collection:
        assert collection.manifest.counts()[ItemState.INDEXED] == len(uris)
        hits = collection.search([shop.catalogue / uri for uri in uris], len(uris) + 1)
        assert collection.home().stored() == len(uris)
    for uri, one in zip(uris, hits, strict=True):
        assert sorted(found.uri for found in one.found) == uris
        assert one.found[0].uri == uri


@pytest.mark.parametrize("seed", range(4))
def test_two_of_three_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starting: Callable[..., Mortal], seed: int
) -> None:
    """At moments drawn from a seed two servers die; every picture is indexed once, and the report says who is away."""
    chance = random.Random(seed)  # noqa: S311  moments, no secrets
    moments: list[int | None] = [chance.randrange(3, 11), chance.randrange(3, 11), None]
    chance.shuffle(moments)
    engines = [starting(moment) for moment in moments]
    shop = shop_before(tmp_path, *engines)
    uris = fill(shop)
    wait_for_nothing(monkeypatch)
    report = run(shop)
    assert [one.dead for one in engines] == [moment is not None for moment in moments]
    assert (report.indexed, report.sent, report.failures) == (ITEMS, ITEMS, ())
    away = [one.server.url for one in engines if one.dead]
    assert sum(any(url in sentence for url in away) for sentence in report.warnings) == 2
    assert_all_there(shop, uris)


def test_all_three_work(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """The batches are spread over the three of them, and so are queries."""
    engines = [starting() for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    uris = fill(shop)
    report = run(shop)
    assert (report.indexed, report.warnings) == (ITEMS, ())
    assert all(one.predictions >= 6 for one in engines)
    assert_all_there(shop, uris)
    before = [one.predictions for one in engines]
    with ImageSearch(shop.settings) as search:
        for seed in range(9):
            search.query(picture(seed))
    assert all(one.predictions > count for one, count in zip(engines, before, strict=True))


def test_one_of_three_is_dead_at_the_start(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """The run goes on without it, and says so; so does the next one, which sends nothing."""
    engines = [starting() for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    uris = fill(shop, 12)
    engines[1].close()
    told = CliRunner().invoke(app, ["index", "--config", str(shop.config)])
    assert told.exit_code == 0, told.output
    assert "12 pictures are indexed" in told.output
    assert f"the server at {engines[1].server.url} could not be used" in told.output
    assert_all_there(shop, uris)
    assert run(shop).sent == 0


def test_one_of_three_is_upgraded_first(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """One that knows no Caffe any more does not end runs and searches: the others go on, and the run names it."""
    engines = [starting(), starting(profile="torch-v0.29"), starting()]
    shop = shop_before(tmp_path, *engines)
    uris = fill(shop, 6)
    told = CliRunner().invoke(app, ["index", "--config", str(shop.config)])
    assert told.exit_code == 0, told.output
    assert f"the server at {engines[1].server.url} could not be used" in told.output
    assert_all_there(shop, uris)
    found = CliRunner().invoke(app, ["search", "--config", str(shop.config), str(shop.catalogue / uris[0])])
    assert found.exit_code == 0, found.output


def test_all_dead_is_trouble_with_the_server(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """Exit code 3, and each is named."""
    engines = [starting() for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 3)
    for one in engines:
        one.close()
    told = CliRunner().invoke(app, ["index", "--config", str(shop.config), "--wait", "0"])
    assert told.exit_code == 3, told.output
    assert "none of the 3 servers can be used" in told.output
    assert all(one.server.url in told.output for one in engines)


def test_a_run_that_lost_all_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starting: Callable[..., Mortal]
) -> None:
    """All three die in the middle: an error that names them; with new servers the next run sends the rest."""
    engines = [starting(6) for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    uris = fill(shop)
    wait_for_nothing(monkeypatch)
    with pytest.raises(TransportError, match="none of the 3 servers"):
        run(shop)
    again = [starting() for _ in range(2)]
    shop.configure(server={"urls": [one.server.url for one in again]})
    report = run(shop)
    assert (report.indexed, report.failures) == (ITEMS, ())
    assert 0 < report.sent <= ITEMS
    assert_all_there(shop, uris)


def have_another_network(engine: Mortal) -> None:
    """Have a server answer the features of another layer, as many, where those of fc1 are asked for."""

    def otherwise(method: str, target: str, body: bytes) -> Answer:
        sent = json.loads(body) if target == "/predict" else {"parameters": {}}
        if sent["parameters"].get("mllib", {}).get("extract_layer") != "fc1":
            return Engine.handle(engine, method, target, body)
        sent["parameters"]["mllib"]["extract_layer"] = "pool1"
        answer = Engine.handle(engine, method, target, json.dumps(sent).encode())
        payload = json.loads(answer.body)
        for one in payload["body"]["predictions"]:
            one["vals"] = one["vals"][:16]
        return type(answer)(answer.status, json.dumps(payload).encode())

    engine.handle = otherwise


def test_another_network_among_them_is_refused(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """A server whose network gives other vectors is named before anything is stored."""
    engines = [starting() for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 6)
    have_another_network(engines[2])
    with pytest.raises(NetworkChanged, match=f"^{engines[2].server.url} "):
        run(shop)
    with Collection(shop.settings, None) as collection:
        assert collection.manifest.counts()[ItemState.INDEXED] == 0
        assert collection.manifest.get_meta("canary") is None


def test_single_photos_find_while_servers_die(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """A search whose server dies under it is answered by another one."""
    engines = [starting() for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 6)
    run(shop)
    with ImageSearch(shop.settings) as search:
        assert len(search.query(plain("grey"), k=6, route=False).neighbours) == 6
        engines[0].left = engines[1].left = 0
        for _ in range(4):
            assert len(search.query(plain("grey"), k=6, route=False).neighbours) == 6


def test_the_doctor_looks_at_each(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """Checks of each that answers; one that does not is a failure, and all of them trouble with the server."""
    engines = [starting() for _ in range(3)]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 3)
    command = ["doctor", "--config", str(shop.config), "--json"]
    whole = CliRunner().invoke(app, command)
    assert whole.exit_code == 0, whole.output
    assert [one["server"]["url"] for one in json.loads(whole.stdout)["servers"]] == [e.server.url for e in engines]
    engines[1].close()
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 1
    assert [one["failed"] for one in json.loads(told.stdout)["servers"]] == [False, True, False]
    shown = CliRunner().invoke(app, command[:-1])
    assert all(one.server.url in shown.output for one in engines)
    for one in engines:
        one.close()
    assert CliRunner().invoke(app, command).exit_code == 3


def doctor(shop: Shop, *options: str) -> tuple[int, list[dict[str, str]]]:
    """The doctor's exit code, and what its comparison says at each server."""
    told = CliRunner().invoke(app, ["doctor", "--config", str(shop.config), "--json", *options])
    each = json.loads(told.stdout)["servers"]
    found = [[one for one in server["checks"] if one["name"] == "same vectors"] for server in each]
    assert [len(one) for one in found] == [1] * len(each)
    return told.exit_code, [one for (one,) in found]


def test_the_doctor_compares_the_vectors(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """Servers with the same network are told to agree; one with another network is named and makes the doctor fail."""
    engines = [starting() for _ in range(3)]
    urls = [one.server.url for one in engines]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 3)
    code, checks = doctor(shop)
    assert (code, [one["status"] for one in checks]) == (0, ["ok"] * 3)
    assert f"as on {urls[1]} and {urls[2]}" in checks[0]["message"]
    have_another_network(engines[1])
    code, checks = doctor(shop)
    assert (code, [one["status"] for one in checks]) == (1, ["ok", "failed", "ok"])
    assert re.match(
        rf"{urls[1]} \(agreement -?\d\.\d+\) gives other .* than {urls[0]} and {urls[2]};", checks[1]["message"]
    )
    assert "the same network files on all servers" in checks[1]["hint"]
    shown = CliRunner().invoke(app, ["doctor", "--config", str(shop.config)]).output
    assert f"failed  same vectors            {urls[1]} " in shown


def test_the_doctor_knows_which_of_two_is_right(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """Of two servers that differ, the one that gives other vectors than those that are indexed is named."""
    engines = [starting() for _ in range(2)]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 3)
    run(shop)
    have_another_network(engines[0])
    code, checks = doctor(shop)
    assert (code, [one["status"] for one in checks]) == (1, ["failed", "ok"])
    assert "as in the index" in checks[1]["message"]


def test_the_doctor_says_what_it_did_not_compare(tmp_path: Path, starting: Callable[..., Mortal]) -> None:
    """Nothing is compared where no network is tried."""
    engines = [starting() for _ in range(2)]
    shop = shop_before(tmp_path, *engines)
    fill(shop, 3)
    code, checks = doctor(shop, "--quick")
    assert (code, [one["status"] for one in checks]) == (0, ["skipped"] * 2)
