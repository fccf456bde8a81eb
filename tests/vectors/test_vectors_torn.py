"""What a server leaves on disk that ends while it writes its index: no search may reach a row without a name.

The tap of these tests fails them at the first search that does: in a real server that is undefined behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from homes import Home, Killed
from shop import Sent, once, plain, refusal

from ddsim import ConnectionLost, IndexLost, Reply, ServerFault, TransportError, UnsafeCall
from ddsim.catalogue import ItemState
from ddsim.embedded.indexfiles import INDEX, NAMES

Tear = Callable[[Path, Path], None]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Three pictures indexed and three more that wait, before a server with an index."""
    made = Home(tmp_path, "server")
    made.shop.add(*(f"lamp/{number}.png" for number in range(3)))
    made.index()
    made.shop.add(*(f"bed/{number}.png" for number in range(3)))
    yield made
    made.close()


def names_lost(folder: Path, before: Path) -> None:
    """The new vectors are there, their names are not: the state between the server's two steps."""
    (names,) = (folder / NAMES).iterdir()
    kept = len(before.read_bytes().splitlines())
    names.write_bytes(b"".join(names.read_bytes().splitlines(keepends=True)[:kept]))


def vectors_cut(folder: Path, before: Path) -> None:
    """The vectors were overwritten in place and only a part of them came so far; the names are the old ones."""
    (names,) = (folder / NAMES).iterdir()
    names.write_bytes(before.read_bytes())
    whole = (folder / INDEX).read_bytes()
    (folder / INDEX).write_bytes(whole[: len(whole) // 2])


TEARS = {"names lost": names_lost, "vectors cut": vectors_cut}


def tearing(home: Home, tear: Tear, end: BaseException) -> Callable[[Callable[[], Reply]], Reply]:
    """The server ends in the middle of a build, and what happens to the process that asked for it."""

    def answer(carry_out: Callable[[], Reply]) -> Reply:
        folder = newest(home)
        (names,) = (folder / NAMES).iterdir()
        before = home.root / "names-before"
        before.write_bytes(names.read_bytes())
        carry_out()
        tear(folder, before)
        home.tap.restart()
        raise end

    return answer


def newest(home: Home) -> Path:
    """The folder of the generation that is in use."""
    return max(home.shop.index_folder.iterdir(), key=lambda folder: folder.stat().st_mtime_ns)


def builds(sent: Sent) -> bool:
    """Whether a request builds."""
    return sent.builds


@pytest.mark.parametrize("tear", TEARS)
def test_a_server_that_dies_while_it_writes_its_index(home: Home, tear: str, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on by itself, in a new generation; every picture is found by its name, and the old files go."""
    torn = newest(home)
    home.tap.faults.append(once(builds, tearing(home, TEARS[tear], ConnectionLost("gone"))))
    home.index()
    assert "rows without names" in caplog.text
    assert newest(home) != torn
    assert not (torn / INDEX).exists()
    home.check()


@pytest.mark.parametrize("tear", TEARS)
def test_a_server_and_a_run_that_die_together(home: Home, tear: str) -> None:
    """As at a power cut: the next run neither searches the old index nor adds to it for good."""
    torn = newest(home)
    home.tap.faults.append(once(builds, tearing(home, TEARS[tear], Killed())))
    with pytest.raises(Killed):
        home.index()
    home.index()
    assert newest(home) != torn
    home.check()


@pytest.mark.parametrize("tear", TEARS)
def test_a_searcher_who_comes_first_does_not_touch_it(home: Home, tear: str) -> None:
    """It finds nothing rather than anything of that index; what it begins the next run completes."""
    home.tap.faults.append(once(builds, tearing(home, TEARS[tear], Killed())))
    with pytest.raises(Killed):
        home.index()
    assert home.search(plain("grey")).found == ()
    assert home.manifest().counts()[ItemState.PENDING] == 6
    home.index()
    home.check()


def test_a_searcher_who_was_there_before_does_not_touch_it(home: Home) -> None:
    """One that has searched already learns from the manifest that a build was cut short."""
    with closing(home.backend()) as reader:
        reader.open(writing=False)
        assert len(reader.search([plain("grey")], 9)[0].found) == 3
        home.tap.faults.append(once(builds, tearing(home, names_lost, Killed())))
        with pytest.raises(Killed):
            home.index()
        assert reader.search([plain("grey")], 9)[0].found == ()
        home.index()
        assert len(reader.search([plain("grey")], 9)[0].found) == 6
    home.check()


def test_pictures_are_not_sent_in_the_call_that_builds(home: Home) -> None:
    """A picture that a server dies of must not cost the index: between a build's note and its end nothing else goes."""
    home.index()
    assert [sent.ids for sent in home.tap.sent if sent.builds] == [["#0"]] * len(home.tap.builds)


def test_a_death_before_the_build_costs_what_was_not_built(home: Home) -> None:
    """No build was asked for, so the files are those of the last one: the generation goes on."""
    kept = newest(home)

    def dies(_: Callable[[], Reply]) -> Reply:
        home.tap.restart()
        raise ConnectionLost("gone")

    home.tap.faults.append(once(lambda sent: sent.indexes and not sent.builds, dies))
    home.index()
    assert newest(home) == kept
    assert sorted(home.shop.index_folder.iterdir()) == [kept]
    home.check()


# An index of which nobody knows that it is torn


def dies_of_a_search(home: Home) -> Callable[[Sent, Callable[[], Reply]], Reply | None]:
    """A server that ends at every search of the first generation, and is back at once."""
    first, name = newest(home).name, home.shop.service()

    def fault(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        service = home.tap.engine.handle("GET", f"/services/{name}")
        if not sent.output.get("search") or first.encode() not in service.body:
            return None
        home.tap.restart()
        raise ConnectionLost("gone", method=sent.method, path=sent.path)

    return fault


def test_an_index_that_a_server_dies_of_is_named_with_its_cure(home: Home) -> None:
    """After two deaths the run says which folder it is and that `--rebuild` helps; that does not search it."""
    home.tap.faults.append(dies_of_a_search(home))
    home.tap.restart()
    with pytest.raises(IndexLost, match=rf"2 times .*{newest(home).name}.*--rebuild"):
        home.index()
    manifest = home.manifest()
    with manifest.writing(), closing(home.backend(manifest)) as backend:
        backend.rebuild()
    home.index()
    home.check()


def test_a_server_that_dies_once_at_the_start_is_waited_for(home: Home) -> None:
    """In the first seconds of a run as later: it goes on when the server is back."""
    spent: list[Sent] = []

    def dies(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        if spent or sent.method != "PUT":
            return None
        spent.append(sent)
        home.tap.restart()
        home.tap.down, home.clock.back_at = True, home.clock.now + 20.0
        raise ConnectionLost("gone", method=sent.method, path=sent.path)

    home.tap.faults.append(dies)
    home.tap.restart()
    home.index()
    assert home.clock.now >= 20.0
    home.check()


def test_a_server_that_never_comes_back_is_not_waited_for_for_ever(home: Home) -> None:
    """Waiting ends, with the last reason."""

    def dies(sent: Sent, _: Callable[[], Reply]) -> Reply | None:
        home.tap.down = sent.method == "PUT"
        return None

    home.tap.faults.append(dies)
    home.tap.restart()
    with pytest.raises(TransportError, match="nobody there"):
        home.index()


# A first use that failed


def test_a_failed_first_search_does_not_stick(home: Home) -> None:
    """Until others have built, the index of which nobody knows whether it is loaded is left alone; then it is asked."""
    home.tap.restart()
    home.index()
    with closing(home.backend()) as reader:
        reader.open(writing=False)

        def fails(_: Callable[[], Reply]) -> Reply:
            return refusal(500, 1007, "some fault of the moment")

        home.tap.faults.append(once(lambda sent: bool(sent.output.get("search")), fails))
        with pytest.raises(ServerFault):
            reader.search([plain("grey")], 9)
        with pytest.raises(UnsafeCall, match="failed to load"):
            reader.search([plain("grey")], 9)
        home.shop.add("sofa/1.png")
        home.index()
        assert len(reader.search([plain("grey")], 9)[0].found) == 7
    home.check()
