"""ahead: features asked for before they are needed, two requests at a time, whatever becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from ddsim import ConnectionLost
from ddsim.deepdetect import Vectors
from ddsim.pictures import Encoded
from ddsim.vectors.ahead import Ahead

SECONDS = 30


def batch(first: int, count: int = 2) -> list[Encoded]:
    """Pictures whose content is a number each."""
    return [Encoded(bytes([number]), "image/jpeg", (1, 1), (1, 1)) for number in range(first, first + count)]


def features(pictures: Sequence[Encoded]) -> Vectors:
    """That number."""
    return np.array([[float(picture.data[0])] for picture in pictures], np.float32)


@pytest.fixture
def making() -> Iterator[Callable[[Callable[[Sequence[Encoded]], Vectors]], Ahead]]:
    """Makes them, and ends their threads."""
    made: list[Ahead] = []

    def make(extract: Callable[[Sequence[Encoded]], Vectors], under_way: int = 2) -> Ahead:
        made.append(Ahead(extract, under_way))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_two_requests_are_under_way(making: Callable[..., Ahead]) -> None:
    """The second is sent before the first has been answered, the third is not."""
    both, third = threading.Barrier(2), threading.Event()
    begun: list[int] = []

    def extract(pictures: Sequence[Encoded]) -> Vectors:
        begun.append(pictures[0].data[0])
        if len(begun) <= 2:
            assert not third.is_set()
            both.wait(SECONDS)
        else:
            third.set()
        return features(pictures)

    ahead, batches = making(extract), [batch(0), batch(2), batch(4)]
    for one in batches:
        ahead.foresee(one)
    assert [ahead.take(one).ravel().tolist() for one in batches] == [[0, 1], [2, 3], [4, 5]]
    assert begun[2] == 4
    assert len(begun) == 3


def test_what_nobody_foresaw_is_asked_for_at_once(making: Callable[..., Ahead]) -> None:
    """Halves of a batch, and equal pictures that are not the same objects."""
    asked: list[int] = []

    def extract(pictures: Sequence[Encoded]) -> Vectors:
        asked.append(len(pictures))
        return features(pictures)

    ahead, whole = making(extract), batch(0, 4)
    ahead.foresee(whole)
    assert ahead.take(whole[:2]).ravel().tolist() == [0, 1]
    assert ahead.take(batch(0, 4)).ravel().tolist() == [0, 1, 2, 3]
    assert ahead.take(whole).ravel().tolist() == [0, 1, 2, 3]
    assert sorted(asked) == [2, 4, 4]


def test_errors_come_when_their_turn_comes(making: Callable[..., Ahead]) -> None:
    """A failed request fails the batch that it was for, and no other one; asked again, it is sent again."""
    failing = batch(2)
    failures = [ConnectionLost("gone")]

    def extract(pictures: Sequence[Encoded]) -> Vectors:
        if pictures[0].data[0] == 2 and failures:
            raise failures.pop()
        return features(pictures)

    ahead, first = making(extract), batch(0)
    ahead.foresee(first)
    ahead.foresee(failing)
    assert ahead.take(first).ravel().tolist() == [0, 1]
    with pytest.raises(ConnectionLost):
        ahead.take(failing)
    assert ahead.take(failing).ravel().tolist() == [2, 3]


def test_batches_may_be_taken_in_any_order(making: Callable[..., Ahead]) -> None:
    """What was asked for is asked once, whichever is taken first; what is dropped is asked for anew."""
    asked: list[int] = []

    def extract(pictures: Sequence[Encoded]) -> Vectors:
        asked.append(pictures[0].data[0])
        return features(pictures)

    ahead, batches = making(extract), [batch(0), batch(2)]
    for one in batches:
        ahead.foresee(one)
    ahead.take(batches[1])
    ahead.take(batches[0])
    assert sorted(asked) == [0, 2]
    ahead.foresee(batches[1]).result(SECONDS)
    ahead.drop()
    ahead.take(batches[1])
    assert sorted(asked) == [0, 2, 2, 2]


def test_as_many_requests_are_under_way_as_servers_can_do_with(making: Callable[..., Ahead]) -> None:
    """Six at a time where six are asked for."""
    together = threading.Barrier(6)

    def extract(pictures: Sequence[Encoded]) -> Vectors:
        together.wait(SECONDS)
        return features(pictures)

    ahead, batches = making(extract, 6), [batch(2 * number) for number in range(6)]
    futures = [ahead.foresee(one) for one in batches]
    assert [future.result(SECONDS)[0, 0] for future in futures] == [0, 2, 4, 6, 8, 10]
