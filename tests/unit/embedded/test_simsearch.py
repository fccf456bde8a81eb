"""simsearch: distances, states and files of an index, as a real server has them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ddsim.embedded import indexfiles
from ddsim.embedded.simsearch import DimensionMismatch, SimilarityError, SimilarityIndex, remove_files

WIRE = Path(__file__).parents[2] / "contract" / "recordings" / "wire"
POINTS = np.random.default_rng(1).random((12, 16), dtype=np.float32)
LETTERS = list("abcdefghijkl")

Array = NDArray[np.float32]


def made(repository: Path, rows: int = 12, build: bool = True, **options: Any) -> SimilarityIndex:
    """An index of the first of POINTS, named by LETTERS."""
    index = SimilarityIndex.open(repository, 16, **options)
    index.add(LETTERS[:rows], POINTS[:rows])
    if build:
        index.build()
    return index


def found(index: SimilarityIndex) -> list[str]:
    """The name of the nearest row of each of POINTS that the index holds, in stored order."""
    return [index.search(point, 1)[0].name for point in POINTS[: index.rows]]


def recorded_predictions(scenario: str, number: int) -> list[Any]:
    """The predictions of one exchange."""
    exchange = json.loads((WIRE / f"{scenario}.json").read_text("utf-8"))["exchanges"][number]
    return list(exchange["response"]["json"]["body"]["predictions"])


def test_distances_are_the_recorded_ones(tmp_path: Path) -> None:
    """The recorded vectors, indexed and searched, give the recorded neighbours: squared distance by dimension."""
    stored = recorded_predictions("21-sim-index-search", 2)
    index = SimilarityIndex.open(tmp_path, 16)
    index.add([entry["uri"] for entry in stored], np.array([entry["vals"] for entry in stored], np.float32))
    index.build()
    compared = 0
    for number in (4, 5, 6):
        (query,) = recorded_predictions("21-sim-index-search", number)
        hits = index.search(np.array(query["vals"], np.float32), len(query["nns"]))
        assert [hit.name for hit in hits] == [neighbour["uri"] for neighbour in query["nns"]]
        assert [hit.distance for hit in hits] == pytest.approx([neighbour["dist"] for neighbour in query["nns"]])
        compared += len(hits)
    assert compared == 8


def test_identical_vector_has_distance_zero(tmp_path: Path) -> None:
    """What was indexed finds itself, at exactly 0."""
    index = made(tmp_path)
    hit = index.search(POINTS[3], 1)[0]
    assert (hit.name, hit.distance, hit.row, hit.built) == ("d", 0.0, 3, True)


def test_distance_is_the_mean_of_squared_differences(tmp_path: Path) -> None:
    """One coordinate of four that differs by 1 makes 0.25."""
    index = SimilarityIndex.open(tmp_path, 4)
    index.add(["x"], np.array([[1, 0, 1, 0]], np.float32))
    assert index.search(np.array([1, 0, 0, 0], np.float32), 1)[0].distance == 0.25


def test_equal_distances_come_in_stored_order(tmp_path: Path) -> None:
    """Duplicates are rows of their own, and the first ones stored are the first ones found."""
    index = SimilarityIndex.open(tmp_path, 16)
    index.add(["far"], POINTS[:1] + 1)
    index.add([f"same {i}" for i in range(30)], np.repeat(POINTS[:1], 30, axis=0))
    assert [hit.row for hit in index.search(POINTS[0], 7)] == list(range(1, 8))
    assert [hit.row for hit in index.search(POINTS[0], 100)] == [*range(1, 31), 0]


def test_more_neighbours_than_rows_gives_all_rows(tmp_path: Path) -> None:
    """A large k is no error, however large."""
    assert len(made(tmp_path).search(POINTS[0], 2_000_000_000)) == 12


def test_no_neighbours_are_refused_in_the_words_of_the_real_server(tmp_path: Path) -> None:
    """Asking for 0 or fewer gives the recorded messages, and the index works on."""
    index = made(tmp_path)
    statuses = [
        exchange["response"]["json"]["status"]["dd_msg"]
        for exchange in json.loads((WIRE / "21-sim-index-search.json").read_text("utf-8"))["exchanges"][7:9]
    ]
    for k, words in zip((0, -1), statuses, strict=True):
        with pytest.raises(SimilarityError) as raised:
            index.search(POINTS[0], k)
        assert str(raised.value) == words
    assert index.search(POINTS[0], 1)[0].name == "a"


def test_empty_index_finds_nothing_and_has_a_folder_of_names(tmp_path: Path) -> None:
    """Opening makes names.bin/ and nothing else; there is nothing to find."""
    index = SimilarityIndex.open(tmp_path, 16)
    assert index.search(POINTS[0], 5) == []
    assert (index.rows, index.unbuilt, index.added_since_open) == (0, 0, False)
    assert [path.name for path in tmp_path.iterdir()] == ["names.bin"]


def test_unbuilt_rows_are_found_and_marked(tmp_path: Path) -> None:
    """Rows added after a build are found at once, but not as built until the next build."""
    index = made(tmp_path, rows=3)
    index.add(["d"], POINTS[3:4])
    assert (index.rows, index.unbuilt, index.added_since_open) == (4, 1, True)
    assert [hit.built for hit in sorted(index.search(POINTS[3], 4), key=lambda hit: hit.row)] == [
        True,
        True,
        True,
        False,
    ]
    index.build()
    assert index.unbuilt == 0
    assert all(hit.built for hit in index.search(POINTS[3], 4))


def test_unbuilt_rows_are_lost_and_their_numbers_used_again(tmp_path: Path) -> None:
    """After a restart only built rows are there; new ones take the places of the lost with their own names."""
    made(tmp_path, rows=3).add(["lost 1", "lost 2"], POINTS[6:8])
    again = SimilarityIndex.open(tmp_path, 16)
    assert (again.rows, again.unbuilt, again.added_since_open) == (3, 0, False)
    again.add(["d"], POINTS[3:4])
    assert again.search(POINTS[3], 1)[0].row == 3
    again.build()
    assert found(SimilarityIndex.open(tmp_path, 16)) == list("abcd")


@pytest.mark.parametrize(
    "name",
    ["café 椅子 🛋.jpg", "a\nb\tc\r\x0b\u2028", '"\\', "", "x^y", "L" * 5000, "\udced\udcb3\udcbf", "\ud83d", "\0"],
)
def test_any_name_survives_a_restart(tmp_path: Path, name: str) -> None:
    """Names are any text, lone surrogates and control characters included."""
    index = SimilarityIndex.open(tmp_path, 16)
    index.add(["before", name, "after"], POINTS[:3])
    index.build()
    assert found(SimilarityIndex.open(tmp_path, 16)) == ["before", name, "after"]


def test_dimension_comes_from_the_index(tmp_path: Path) -> None:
    """What was built decides, not what a later call happens to bring."""
    made(tmp_path)
    assert SimilarityIndex.open(tmp_path, 392).dimension == 16


@pytest.mark.parametrize("length", [5, 17])
def test_vectors_of_another_length_are_refused(tmp_path: Path, length: int) -> None:
    """Neither added nor searched for; the index stays as it was."""
    index = made(tmp_path)
    other = np.ones((1, length), np.float32)
    with pytest.raises(DimensionMismatch, match="dimension 16"):
        index.add(["m"], other)
    with pytest.raises(DimensionMismatch, match="extract_layer"):
        index.search(other[0], 1)
    assert (index.rows, index.unbuilt) == (12, 0)


def test_names_and_vectors_must_pair(tmp_path: Path) -> None:
    """A name too few is a mistake of the caller, and nothing is added."""
    index = made(tmp_path, rows=1)
    with pytest.raises(ValueError, match="1 names for 2 vectors"):
        index.add(["x"], POINTS[:2])
    assert index.rows == 1


@pytest.mark.parametrize("index_type", ["nosuch", "", "Fl\0at", "\udcff", "PQ3"])
def test_unknown_index_type_is_refused(tmp_path: Path, index_type: str) -> None:
    """FAISS's own words reach the caller."""
    with pytest.raises(SimilarityError):
        SimilarityIndex.open(tmp_path, 16, index_type)


@pytest.mark.parametrize("index_type", ["IVF4,Flat", "PCA8,Flat", "PCA8,IVF4,Flat", "HNSW8", "SQ8"])
def test_other_index_types_train_build_and_load(
    tmp_path: Path, index_type: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each is trained with what there is at the build, quietly, and keeps names and order over a restart."""
    made(tmp_path, index_type=index_type)
    index = SimilarityIndex.open(tmp_path, 16)
    assert index.rows == 12
    assert found(index) == LETTERS
    assert capfd.readouterr() == ("", "")


def test_too_few_samples_leave_the_index_empty(tmp_path: Path) -> None:
    """100 lists and 12 vectors: no error, nothing found, before the build, after it and after a restart."""
    index = made(tmp_path, build=False, index_type="IVF100,Flat")
    assert index.search(POINTS[0], 5) == []
    index.build()
    assert (index.search(POINTS[0], 5), index.rows) == ([], 0)
    again = SimilarityIndex.open(tmp_path, 16)
    assert (again.search(POINTS[0], 5), again.rows) == ([], 0)


def test_waiting_rows_get_in_once_there_are_enough(tmp_path: Path) -> None:
    """Rows that could not be trained with wait, and keep their names when others join them."""
    index = made(tmp_path, rows=3, index_type="IVF4,Flat")
    assert index.rows == 0
    index.add(LETTERS[3:], POINTS[3:])
    index.build()
    assert found(index) == LETTERS
    assert found(SimilarityIndex.open(tmp_path, 16)) == LETTERS


def test_train_samples_says_when_training_begins(tmp_path: Path) -> None:
    """With enough waiting, the next call trains and rows count as added without a build."""
    index = SimilarityIndex.open(tmp_path, 16, "IVF4,Flat", train_samples=8)
    index.add(LETTERS[:8], POINTS[:8])
    assert index.rows == 0
    index.add(LETTERS[8:], POINTS[8:])
    assert index.rows == 12


def test_nprobe_widens_a_search(tmp_path: Path) -> None:
    """One list visited finds a part, all lists find everything; the search has the last word."""
    index = made(tmp_path, index_type="IVF4,Flat", nprobe=1)
    assert len(index.search(POINTS[0], 12)) < 12
    assert len(index.search(POINTS[0], 12, nprobe=4)) == 12


def test_type_that_takes_no_rows_says_so(tmp_path: Path) -> None:
    """An error of FAISS while adding leaves names and rows paired."""
    index = SimilarityIndex.open(tmp_path, 16, "IDMap,Flat")
    with pytest.raises(SimilarityError, match="add_with_ids"):
        index.add(["a"], POINTS[:1])
    assert (index.rows, index.unbuilt) == (0, 0)


def test_corrupt_index_is_refused(tmp_path: Path) -> None:
    """The words are those of the recorded server, but for the place in FAISS's source."""
    (tmp_path / "index.faiss").write_bytes(b"garbage")
    with pytest.raises(SimilarityError, match=r'Index type 0x62726167 \("garb"\) not recognized'):
        SimilarityIndex.open(tmp_path, 16)


def test_every_truncation_of_an_index_is_refused(tmp_path: Path) -> None:
    """A file cut off anywhere is an error, never a smaller index."""
    made(tmp_path, rows=2)
    path = tmp_path / "index.faiss"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SimilarityError):
            SimilarityIndex.open(tmp_path, 16)


def test_lost_names_leave_rows_without(tmp_path: Path) -> None:
    """An index whose names are gone loads; its rows are marked, and rows added later have names again."""
    made(tmp_path, rows=3)
    shutil.rmtree(tmp_path / "names.bin")
    index = SimilarityIndex.open(tmp_path, 16)
    hit = index.search(POINTS[0], 1)[0]
    assert (hit.name, hit.built) == ("", False)
    index.add(["d"], POINTS[3:4])
    index.build()
    again = SimilarityIndex.open(tmp_path, 16)
    assert [again.search(point, 1)[0].built for point in POINTS[:4]] == [False, False, False, True]


def test_names_without_an_index_are_an_empty_index(tmp_path: Path) -> None:
    """Old names never come back with new vectors."""
    made(tmp_path, rows=3)
    (tmp_path / "index.faiss").unlink()
    index = SimilarityIndex.open(tmp_path, 16)
    assert index.rows == 0
    index.add(["new"], POINTS[:1])
    index.build()
    assert found(SimilarityIndex.open(tmp_path, 16)) == ["new"]


def test_index_of_another_build_does_not_get_these_names(tmp_path: Path) -> None:
    """A vectors file put in from elsewhere has no names, rather than those of other pictures."""
    made(tmp_path, rows=3)
    other = tmp_path / "other"
    other.mkdir()
    made(other, rows=2)
    shutil.copy(other / "index.faiss", tmp_path)
    assert not SimilarityIndex.open(tmp_path, 16).search(POINTS[0], 1)[0].built


def test_index_of_a_real_server_is_not_mistaken(tmp_path: Path) -> None:
    """Names in an LMDB database cannot be read, and that is said."""
    made(tmp_path, rows=3)
    for path in (tmp_path / "names.bin").iterdir():
        path.unlink()
    (tmp_path / "names.bin" / "data.mdb").write_bytes(b"\0" * 8192)
    with pytest.raises(SimilarityError, match="real server"):
        SimilarityIndex.open(tmp_path, 16)


def test_damaged_names_are_refused(tmp_path: Path) -> None:
    """A line that is no JSON is an error with the file's path."""
    made(tmp_path, rows=3)
    (names,) = (tmp_path / "names.bin").iterdir()
    names.write_bytes(b'"a"\n"b\n"c"\n')
    with pytest.raises(SimilarityError, match="damaged"):
        SimilarityIndex.open(tmp_path, 16)


@pytest.fixture
def snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[Path]]:
    """Copies a repository before and after each step of a build that reaches the disk."""
    taken: list[Path] = []

    def watch(repository: Path) -> list[Path]:
        def around(owner: Any, name: str) -> None:
            original = getattr(owner, name)

            def step(*args: Any, **kwargs: Any) -> Any:
                for moment in ("before", "after"):
                    result = original(*args, **kwargs) if moment == "after" else None
                    copy = tmp_path / f"{len(taken)}-{moment}-{name}"
                    shutil.copytree(repository, copy)
                    taken.append(copy)
                return result

            monkeypatch.setattr(owner, name, step)

        around(os, "fsync")
        around(os, "replace")
        around(Path, "unlink")
        return taken

    return watch


@pytest.mark.parametrize("index_type", ["Flat", "IVF4,Flat"])
def test_killed_at_any_step_of_a_build_one_whole_index_is_left(
    tmp_path: Path, snapshots: Callable[[Path], list[Path]], monkeypatch: pytest.MonkeyPatch, index_type: str
) -> None:
    """Whatever was on disk at any moment loads as the old index or as the new one, names and vectors together."""
    repository = tmp_path / "repository"
    repository.mkdir()
    index = made(repository, rows=5, index_type=index_type)
    index.add(LETTERS[5:], POINTS[5:])
    taken = snapshots(repository)
    index.build()
    monkeypatch.undo()
    seen = []
    for copy in taken:
        left = SimilarityIndex.open(copy, 16)
        assert found(left) == LETTERS[: left.rows], copy.name
        assert all(left.search(point, 1)[0].built for point in POINTS[: left.rows])
        assert not list(copy.rglob("*.unfinished"))
        seen.append(left.rows)
    assert seen == sorted(seen)
    assert set(seen) == {5, 12}


def test_half_written_files_of_a_killed_build_do_not_count(tmp_path: Path) -> None:
    """Leftovers are cleared away when the index is loaded."""
    made(tmp_path, rows=3)
    (tmp_path / "index.faiss.0123.unfinished").write_bytes(b"IxF2half")
    (tmp_path / "names.bin" / "names.bin.0123.unfinished").write_bytes(b'"a"\n"b')
    assert found(SimilarityIndex.open(tmp_path, 16)) == list("abc")
    assert not list(tmp_path.rglob("*.unfinished"))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_failed_build_keeps_what_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """A full disk is a SimilarityError; the old index is still there, and the next build succeeds."""
    index = made(tmp_path, rows=3)
    index.add(["d"], POINTS[3:4])

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(SimilarityError, match="No space left"):
        index.build()
    monkeypatch.undo()
    assert index.unbuilt == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.faiss", "names.bin"]
    assert found(SimilarityIndex.open(tmp_path, 16)) == list("abc")
    index.build()
    assert found(SimilarityIndex.open(tmp_path, 16)) == list("abcd")


def test_write_error_within_faiss_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while FAISS writes comes through it unharmed."""
    index = made(tmp_path, rows=3)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indexfiles._Digested, "write", full)
    with pytest.raises(SimilarityError, match="No space left"):
        index.build()


def test_builds_leave_one_file_of_names(tmp_path: Path) -> None:
    """Names of earlier builds are deleted; those of the same build are kept when it is repeated."""
    index = made(tmp_path, rows=3)
    index.build()
    index.add(["d"], POINTS[3:4])
    index.build()
    assert len(list((tmp_path / "names.bin").iterdir())) == 1
    assert found(SimilarityIndex.open(tmp_path, 16)) == list("abcd")


def test_remove_files_takes_index_and_names_only(tmp_path: Path) -> None:
    """Nothing of the index is left, everything else is; a second time it is no error."""
    made(tmp_path)
    (tmp_path / "index_mmap.faiss").write_bytes(b"")
    (tmp_path / "config.json").write_bytes(b"{}")
    for _ in range(2):
        remove_files(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_repository_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A folder that does not exist is named."""
    with pytest.raises(SimilarityError, match="nowhere"):
        SimilarityIndex.open(tmp_path / "nowhere", 16)
