"""ddsim.doctor.bench: a place for trials on the server, of which nothing stays."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import TINY, Sent, Shop, Tap, lost_reply, once, refusal

from ddsim import ApiError, ConnectionLost, Reply, ServerUnreachable, ServiceSpec
from ddsim.doctor.bench import PREFIX, Bench, NoPlace
from ddsim.embedded import Engine


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop."""
    return Shop(tmp_path)


def bench_in(shop: Shop, folder: Path, sleep: Callable[[float], None] = lambda _: None) -> Bench:
    """A bench that waits for nothing."""
    return Bench(shop.tap, str(folder), sleep=sleep)


def spec(shop: Shop) -> ServiceSpec:
    """The shop's similarity service."""
    return shop.settings.similarity_spec()


def files(shop: Shop) -> list[str]:
    """All that lies in the shop's folder."""
    return sorted(path.relative_to(shop.root).as_posix() for path in shop.root.rglob("*"))


def services(shop: Shop) -> list[str]:
    """All that the server has."""
    return [one.name for one in shop.client().info().services]


def test_a_bench_and_its_end(shop: Shop) -> None:
    """Services go into one folder, in the repository, and nothing of them stays; the network does."""
    repository = shop.root / "index"
    repository.mkdir()
    before, network = files(shop), sorted(TINY.iterdir())
    with bench_in(shop, repository) as bench:
        bench.create(bench.spec(spec(shop), "similarity"))
        assert services(shop) == [f"{bench.name}-similarity", bench.name]
        assert Path(bench.folder).parent == repository
        assert (Path(bench.folder) / "similarity").is_dir()
        assert bench.name.startswith(PREFIX)
    assert services(shop) == []
    assert files(shop) == before
    assert sorted(TINY.iterdir()) == network
    assert bench.left == []


def test_the_nearest_folder_that_is_there(shop: Shop) -> None:
    """Folders above are not made, as nothing could remove them: the nearest one that exists is taken."""
    before = files(shop)
    with bench_in(shop, shop.root / "a" / "b" / "c") as bench:
        assert Path(bench.folder).parent == shop.root
    assert files(shop) == before


def test_looking_for_a_place_makes_nothing(shop: Shop) -> None:
    """A place is found by creations that the server refuses."""
    bench = bench_in(shop, shop.root / "a" / "b")
    bench.locate()
    assert bench.folder == f"{shop.root}/{bench.name}"
    assert services(shop) == []
    assert not (shop.root / "a").exists()
    assert {sent.method for sent in shop.tap.sent} == {"PUT", "GET"}


def test_no_place(shop: Shop, tmp_path: Path) -> None:
    """A server that can write nowhere is said to."""
    (tmp_path / "root").mkdir()
    shop.tap.engine = Engine(root=tmp_path / "root")
    with pytest.raises(NoPlace, match="neither into /nowhere/x nor"), bench_in(shop, Path("/nowhere/x")):
        pass


def test_without_caffe(shop: Shop) -> None:
    """A server without Caffe refuses at once."""
    shop.tap.engine = Engine(profile="torch-v0.28")
    with pytest.raises(ApiError, match="Unknown Library"), bench_in(shop, shop.root):
        pass


def test_a_server_that_creates_what_it_should_refuse(shop: Shop) -> None:
    """If the creation that should be refused succeeds, it is undone and said."""

    def changed(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        return Reply(201, b'{"status":{"code":201}}') if sent.method == "PUT" else None

    shop.tap.faults.append(changed)
    with pytest.raises(ApiError), bench_in(shop, shop.root):
        pass
    assert [sent.path.partition("?")[0] for sent in shop.tap.matching("DELETE")] == [shop.tap.sent[0].path]


def test_a_refused_creation(shop: Shop) -> None:
    """What the server refused to create needs no removing, and the folder that it made for it goes too."""
    before = files(shop)
    with pytest.raises(ApiError, match="Check failed"), bench_in(shop, shop.root) as bench:
        bench.create(bench.spec(spec(shop).model_copy(update={"definition": "/nowhere"}), "similarity"))
    assert files(shop) == before
    assert services(shop) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionLost("gone")])
def test_a_creation_under_way(shop: Shop, error: BaseException) -> None:
    """A creation whose answer never came is waited for and removed: the server goes on with it."""
    late: list[Callable[[], Reply]] = []

    def slow(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.method == "PUT" and sent.path.endswith("-similarity"):
            late.append(carry_out)
            raise error
        return None

    def passing(_: float) -> None:
        if late:
            late.pop()()

    shop.tap.faults.append(slow)
    before = files(shop)
    with pytest.raises(type(error)), bench_in(shop, shop.root, passing) as bench:
        bench.create(bench.spec(spec(shop), "similarity"))
    assert services(shop) == []
    assert files(shop) == before


def test_the_holder_itself_lost(shop: Shop) -> None:
    """The first creation is removed as well if its answer was lost."""
    shop.tap.faults.append(once(lambda sent: "create_repository" in str(sent.json), lost_reply))
    before = files(shop)
    with pytest.raises(ConnectionLost), bench_in(shop, shop.root):
        pass
    assert files(shop) == before
    assert services(shop) == []


def test_what_cannot_be_removed(shop: Shop) -> None:
    """A service that the server does not let go of is told, with its folder; the others are removed."""

    def stuck(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        return refusal(500, 500, "busy") if sent.method == "DELETE" and "-similarity" in sent.path else None

    shop.tap.faults.append(stuck)
    with bench_in(shop, shop.root) as bench:
        bench.create(bench.spec(spec(shop), "similarity"))
    assert services(shop) == [f"{bench.name}-similarity"]
    (left,) = bench.left
    assert f"{bench.name}-similarity" in left
    assert bench.folder in left
    assert "busy" in left


def test_a_server_that_was_restarted(shop: Shop) -> None:
    """Its folder then stays, and that is said."""
    with bench_in(shop, shop.root) as bench:
        shop.tap.restart()
    assert bench.left == [f"folder {bench.folder} is left on the server: its service is gone from there"]


def test_a_server_that_is_gone(shop: Shop) -> None:
    """A server that ended is told, and raises nothing in the end."""

    def gone(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.method == "DELETE":
            raise ServerUnreachable("nobody there")
        return None

    shop.tap.faults.append(gone)
    with bench_in(shop, shop.root) as bench:
        pass
    assert "nobody there" in bench.left[0]


def test_two_interruptions(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The second Ctrl-C ends the clearing away, and what stays is named."""

    def impatient(sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        if sent.method == "DELETE":
            raise KeyboardInterrupt
        return None

    shop.tap.faults.append(impatient)
    caplog.set_level(logging.ERROR)
    with pytest.raises(KeyboardInterrupt), bench_in(shop, shop.root) as bench:
        pass
    assert bench.folder in caplog.text


def test_other_services_stay(shop: Shop) -> None:
    """A bench removes its own services only."""
    tap: Tap = shop.tap
    shop.client().create_service(spec(shop))
    with bench_in(shop, shop.root):
        pass
    assert services(shop) == ["shop-similar"]
    assert all(PREFIX in sent.path for sent in tap.matching("DELETE"))
