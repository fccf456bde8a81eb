"""ddsim.vectors.vectorfile: what was written is read, and any damage is noticed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddsim.vectors import vectorfile
from ddsim.vectors.vectorfile import Damaged, read, write

VIDS = np.array([3, 2**60, 7], np.int64)
ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file's content."""
    path = tmp_path_factory.mktemp("whole") / "vectors.npz"
    write(path, "l2", VIDS, ROWS)
    return path.read_bytes()


def content_of(path: Path, metric: str = "l2") -> tuple[list[int], list[list[float]]]:
    """All parts of a file together."""
    parts = list(read(path, metric))
    return [vid for part in parts for vid in part.vids.tolist()], [row for part in parts for row in part.rows.tolist()]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Numbers and vectors come back as they were, also of an index with nothing in it, whose dimension is known."""
    path = tmp_path / "vectors.npz"
    assert list(read(path, "l2")) == []
    write(path, "l2", VIDS, ROWS)
    assert content_of(path) == (VIDS.tolist(), ROWS.tolist())
    write(path, "cosine", VIDS[:0], ROWS[:0])
    (part,) = read(path, "cosine")
    assert (part.vids.shape, part.rows.shape) == ((0,), (0, 4))


def test_lengths_come_with_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts as the rows do; a file without them says so, and others of another size are damage."""
    monkeypatch.setattr(vectorfile, "_ROWS_AT_ONCE", 2)
    path = tmp_path / "vectors.npz"
    write(path, "cosine", VIDS, ROWS, np.array([1, 2, 3], np.float32))
    parts = list(read(path, "l2", "cosine"))
    assert [part.kind for part in parts] == ["cosine", "cosine"]
    assert [part.lengths.tolist() for part in parts if part.lengths is not None] == [[1, 2], [3]]
    write(path, "l2", VIDS, ROWS)
    assert [part.lengths for part in read(path, "l2")] == [None, None]
    write(path, "l2", VIDS, ROWS, np.array([1, 2], np.float32))
    with pytest.raises(Damaged, match="its lengths"):
        content_of(path)


def test_many_rows_come_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, they are never in memory twice."""
    monkeypatch.setattr(vectorfile, "_ROWS_AT_ONCE", 2)
    path = tmp_path / "vectors.npz"
    write(path, "l2", VIDS, ROWS)
    assert [len(part.vids) for part in read(path, "l2")] == [2, 1]
    assert content_of(path) == (VIDS.tolist(), ROWS.tolist())


def test_another_metric_is_another_index(tmp_path: Path) -> None:
    """Vectors for one metric are not taken for the other."""
    write(tmp_path / "vectors.npz", "l2", VIDS, ROWS)
    with pytest.raises(Damaged, match="of metric l2, not cosine"):
        content_of(tmp_path / "vectors.npz", "cosine")


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_is_noticed(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere or changed at any place: it reads as it was, or is called damaged; nothing else, ever."""
    path = tmp_path / "vectors.npz"
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        value = data.draw(st.integers(0, 255))
        damaged = whole[:place] + bytes([value]) + whole[place + 1 :]
    path.write_bytes(damaged)
    with suppress(Damaged):
        assert content_of(path) == (VIDS.tolist(), ROWS.tolist())


def test_a_shape_that_leaves_something_over_is_damage(tmp_path: Path) -> None:
    """The checksum is compared at the end of a part only, so all of it has to be read."""
    path = tmp_path / "vectors.npz"
    write(path, "l2", np.arange(3000), np.zeros((3000, 4), np.float32))
    whole = path.read_bytes()
    assert whole.count(b"(3000, 4)") == 1
    path.write_bytes(whole.replace(b"(3000, 4)", b"(3000, 3)"))
    with pytest.raises(Damaged, match="longer than it says"):
        content_of(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"vids": VIDS[:2]},
        {"vids": VIDS.astype(np.float64)},
        {"vids": VIDS.reshape(1, 3)},
        {"vectors": ROWS.astype(np.float64)},
        {"vectors": ROWS.ravel()},
        {"vectors": np.array([object()] * 3)},
    ],
)
def test_arrays_that_do_not_fit_are_damage(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    """An archive that is whole and holds something else."""
    path = tmp_path / "vectors.npz"
    np.savez(path, **{"metric": np.array("l2"), "vids": VIDS, "vectors": ROWS} | arrays)
    with pytest.raises(Damaged):
        content_of(path)
