"""How pictures are cut into batches, and who is to blame where the server fails at one alone."""

from __future__ import annotations

import pytest

from ddsim.catalogue.manifest import ItemState, Row
from ddsim.errors import ServerFault
from ddsim.indexing.batches import BatchSize, cut
from ddsim.indexing.preparing import Ready
from ddsim.indexing.suspects import Suspects
from ddsim.pictures.encoding import Encoded

FAULT = ServerFault(500, 1007, "no", method="POST", path="/predict")


def ready(number: int, size: int = 3) -> Ready:
    """A picture of so many bytes."""
    row = Row(f"lamp/{number}.png", "lamp", size, 0, None, ItemState.PENDING, None, 0, 0.0, None)
    return Ready(row, "", Encoded(b"x" * size, "image/png", (1, 1), (1, 1)))


def test_batches_are_within_both_limits() -> None:
    """Neither the number of pictures nor that of bytes is exceeded, but by one that is too large alone; order holds."""
    sizes = [3, 3, 3, 3, 100, 3, 50, 50]
    sent = {size: ready(0, size).picture.sent_bytes for size in sizes}
    found = list(cut([ready(number, size) for number, size in enumerate(sizes)], BatchSize(3), sent[50] + sent[3]))
    assert [[one.picture.sent_bytes for one in batch] for batch in found] == [
        [sent[3]] * 3,
        [sent[3]],
        [sent[100]],
        [sent[3], sent[50]],
        [sent[50]],
    ]
    assert [one.row.uri for batch in found for one in batch] == [f"lamp/{number}.png" for number in range(len(sizes))]


def test_a_change_of_size_counts_at_once() -> None:
    """A batch that is cut after a failure is smaller; after four that went well they are larger again."""
    size = BatchSize(4)
    batches = cut(map(ready, range(100)), size, 10_000)
    assert len(next(batches)) == 4
    size.shrink(4)
    assert len(next(batches)) == 2
    for _ in range(3):
        size.grow()
    assert size.now == 2
    size.grow()
    assert len(next(batches)) == 4
    for _ in range(9):
        size.grow()
    assert size.now == 4


def test_a_batch_has_one_picture_at_least() -> None:
    """However often it fails; and a part of a batch that fails tells more than the size of it."""
    size = BatchSize(8)
    size.shrink(4)
    assert size.now == 2
    for _ in range(3):
        size.shrink(1)
    assert size.now == 1


def test_one_suspect_is_to_blame_once_others_go_through() -> None:
    """It is given once."""
    suspects = Suspects()
    suspects.note(ready(1), FAULT)
    assert [item.row.uri for item, _ in suspects.convicted()] == ["lamp/1.png"]
    assert suspects.convicted() == suspects.judged() == []


def test_several_suspects_and_nothing_else() -> None:
    """Then it is the server, and nobody is to blame; a single one is."""
    suspects = Suspects()
    suspects.note(ready(1), FAULT)
    assert len(suspects.judged()) == 1
    suspects.note(ready(2), FAULT)
    suspects.note(ready(3), FAULT)
    with pytest.raises(ServerFault):
        suspects.judged()
    suspects.convicted()
    suspects.note(ready(4), FAULT)
    suspects.note(ready(5), FAULT)
    assert len(suspects.judged()) == 2


def test_too_many_suspects() -> None:
    """Seven in a row are not pictures that are odd."""
    suspects = Suspects()
    for number in range(6):
        suspects.note(ready(number), FAULT)
    with pytest.raises(ServerFault):
        suspects.note(ready(6), FAULT)
