"""ddsim.catalogue.folder.walk, ddsim.catalogue.plan, and the laws that a manifest keeps through any history."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ddsim.catalogue.folder import Entry, scan, walk
from ddsim.catalogue.manifest import ItemState, Manifest
from ddsim.catalogue.plan import Change, Plan
from ddsim.catalogue.survey import Survey
from ddsim.errors import ConfigError, ImageError, ImageUnavailable, InvalidRequest

PENDING, SENDING, ADDED, INDEXED, QUARANTINED = ItemState
ROOT = Path("/photos")


# --- walk ---


def touch(root: Path, *names: str) -> None:
    """Files of a few bytes, folders made on the way."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_an_entry_is_an_item_with_size_and_time(tmp_path: Path) -> None:
    """What is found is the item, and its size and time of the last change."""
    touch(tmp_path, "lamp/desk/a.jpg")
    path = tmp_path / "lamp" / "desk" / "a.jpg"
    os.utime(path, ns=(5, 1_700_000_000_123_456_789))
    time_ns = path.stat().st_mtime_ns
    assert list(walk(tmp_path)) == [Entry("lamp/desk/a.jpg", "lamp", path, 15, time_ns)]


def test_walk_finds_what_scan_lists(tmp_path: Path) -> None:
    """Both tell the same items; walk goes folder by folder in the order of names."""
    touch(tmp_path, "lamp/b.jpg", "lamp/a/z.jpg", "lamp/a.jpg", "bed/9.jpg", "bed/10.jpg", "stray.jpg", "bed/.hidden")
    found = [(entry.uri, entry.category, entry.path) for entry in walk(tmp_path)]
    assert [uri for uri, *_ in found] == ["bed/10.jpg", "bed/9.jpg", "lamp/a/z.jpg", "lamp/a.jpg", "lamp/b.jpg"]
    assert sorted(found) == [(item.uri, item.category, item.path) for item in scan(tmp_path)]


def test_what_is_no_file_comes_out_all_the_same(tmp_path: Path) -> None:
    """Broken links, pipes and what may not be looked at come without a size, to be reported."""
    touch(tmp_path, "lamp/ok.jpg")
    lamp = tmp_path / "lamp"
    (lamp / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (lamp / "itself.jpg").symlink_to(lamp / "itself.jpg")
    os.mkfifo(lamp / "pipe.jpg")
    (lamp / "link.jpg").symlink_to(lamp / "ok.jpg")
    assert [(entry.uri, entry.size) for entry in walk(tmp_path)] == [
        ("lamp/broken.jpg", -1),
        ("lamp/itself.jpg", -1),
        ("lamp/link.jpg", 11),
        ("lamp/ok.jpg", 11),
        ("lamp/pipe.jpg", -1),
    ]


def test_a_file_that_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose size is refused is told with the reason, and the others are found."""
    touch(tmp_path, "lamp/a.jpg", "lamp/b.jpg")
    real = os.stat

    def guarded(path: str, **options: object) -> os.stat_result:
        if str(path).endswith("a.jpg"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", guarded)
    survey = Survey()
    assert [(entry.uri, entry.size) for entry in walk(tmp_path, survey=survey)] == [("lamp/b.jpg", 10)]
    assert survey.shut == {"lamp/a.jpg": "it cannot be looked at: permission denied"}


def test_walk_looks_no_further_than_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is read when its turn comes, so that memory does not grow with the catalogue."""
    touch(tmp_path, "bed/a.jpg", "lamp/b.jpg")
    read: list[str] = []
    real = os.scandir

    def noted(folder: str) -> object:
        read.append(Path(folder).name)
        return real(folder)

    monkeypatch.setattr(os, "scandir", noted)
    entries = walk(tmp_path)
    assert next(entries).uri == "bed/a.jpg"
    assert "lamp" not in read
    assert next(entries).uri == "lamp/b.jpg"


@pytest.mark.parametrize("content", [(), ("lamp/.hidden.jpg",)])
def test_an_empty_catalogue_empties_no_index(tmp_path: Path, content: tuple[str, ...]) -> None:
    """A folder without pictures, such as a disk that is not there, is an error and no reason to forget everything."""
    touch(tmp_path, *content)
    with Manifest.open(tmp_path / ".state", {}) as manifest:
        apply(manifest, [entry("lamp/1")])
        with pytest.raises(ConfigError, match="no pictures"):
            manifest.plan(walk(tmp_path), content_of)
        assert manifest.get("lamp/1")


@pytest.mark.parametrize("trouble", ["it cannot be listed", "nothing in it can be looked at"])
def test_a_folder_that_cannot_be_read_empties_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """What is known below it stays, in whatever state; the rest of the catalogue is compared as ever."""
    touch(tmp_path, "bed/a.jpg", "lamp/b.jpg", "lamp/c.jpg", "lamp/old/d.jpg", "lampshade/e.jpg")
    name = "scandir" if trouble == "it cannot be listed" else "stat"
    real = getattr(os, name)

    def guarded(path: str, **options: object) -> object:
        inside = Path(path) if name == "scandir" else Path(path).parent
        if inside.name == "lamp":
            raise OSError(5, "Input/output error", str(path))
        return real(path, **options)

    with Manifest.open(tmp_path / ".state", {}) as manifest:
        apply(manifest, walk(tmp_path))
        index(manifest, "lamp/b.jpg")
        (tmp_path / "bed" / "a.jpg").unlink()
        (tmp_path / "lamp" / "c.jpg").unlink()
        monkeypatch.setattr(os, name, guarded)
        survey = Survey()
        with manifest.plan(walk(tmp_path, survey=survey), content_of, shut=survey.shut) as plan:
            assert list(survey.shut) == ["lamp"]
            assert "input/output error" in survey.shut["lamp"]
            assert list(plan.uris(Change.VANISHED)) == ["bed/a.jpg"]
            assert list(plan.uris(Change.UNCHANGED)) == ["lamp/b.jpg"]
            manifest.apply(plan)
        row = manifest.get("lamp/b.jpg")
        assert row is not None
        assert (row.state, row.vid is None) == (ItemState.INDEXED, False)
        assert manifest.get("lamp/old/d.jpg") is not None


# --- plan ---


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    """An empty manifest."""
    with Manifest.open(tmp_path, {}) as opened:
        yield opened


def entry(uri: str, size: int = 10, time_ns: int = 20) -> Entry:
    """An item as it is found on disk."""
    return Entry(uri, uri.partition("/")[0], ROOT / uri, size, time_ns)


def content_of(path: Path) -> str:
    """Says that a file holds its own name."""
    return f"content of {path.relative_to(ROOT)}"


def unasked(path: Path) -> str:
    """A file that must not be read."""
    raise AssertionError(f"{path} was read")


def apply(
    manifest: Manifest, entries: Iterable[Entry], hash_file: Callable[[Path], str] = unasked, *, retry: bool = False
) -> dict[Change, list[str]]:
    """Plan and carry out; what became of which item, without what happened to none."""
    with manifest.plan(entries, hash_file, retry_failed=retry) as plan:
        found = changes(plan)
        manifest.apply(plan)
        assert changes(plan) == found
    return found


def changes(plan: Plan) -> dict[Change, list[str]]:
    """What the plan says, its numbers being those of its names."""
    names = {change: list(plan.uris(change)) for change in Change}
    assert {change: len(uris) for change, uris in names.items()} == plan.counts
    assert plan.total == sum(map(len, names.values())) - len(names[Change.VANISHED])
    return {change: uris for change, uris in names.items() if uris}


def index(manifest: Manifest, *uris: str) -> list[int]:
    """Index these as their entries are, with the content that content_of tells."""
    vids = manifest.begin([(uri, content_of(ROOT / uri), 10, 20) for uri in uris])
    manifest.added(vids)
    manifest.indexed()
    return vids


def test_a_first_plan(manifest: Manifest) -> None:
    """Everything is new, in the order of names; nothing is read; applied, it is pending."""
    entries = [entry("lamp/2"), entry("bed/1"), entry("lamp/1", 11, 21)]
    assert apply(manifest, entries) == {Change.NEW: ["bed/1", "lamp/1", "lamp/2"]}
    assert [(row.uri, row.category, row.size, row.mtime_ns) for row in manifest.pending()] == [
        ("bed/1", "bed", 10, 20),
        ("lamp/1", "lamp", 11, 21),
        ("lamp/2", "lamp", 10, 20),
    ]


def test_a_plan_changes_nothing(manifest: Manifest) -> None:
    """Until it is applied, a plan is only looked at."""
    apply(manifest, [entry("a"), entry("b")])
    index(manifest, "a", "b")
    before = manifest.rows()
    with manifest.plan([entry("a", 11), entry("c")], content_of) as plan:
        assert changes(plan) == {Change.TOUCHED: ["a"], Change.NEW: ["c"], Change.VANISHED: ["b"]}
        assert manifest.rows() == before


@pytest.mark.parametrize("size", [10, 11])
def test_another_category_is_taken_over(manifest: Manifest, size: int) -> None:
    """A table may say so: the vector stays where it is, and is found in that category."""
    apply(manifest, [entry("a"), entry("b")])
    vids = index(manifest, "a", "b")
    moved = replace(entry("a", size), category="sofa")
    with manifest.plan([moved, entry("b")], content_of) as plan:
        assert changes(plan) == {Change.TOUCHED: ["a"], Change.UNCHANGED: ["b"]}
        assert plan.recategorised == 1
        assert manifest.apply(plan) == []
    assert manifest.categories() == {"b": 1, "sofa": 1}
    assert manifest.resolve(vids)[vids[0]].category == "sofa"
    with manifest.plan([moved, entry("b")], unasked) as plan:
        assert (changes(plan), plan.recategorised) == ({Change.UNCHANGED: ["a", "b"]}, 0)


def test_another_category_is_added_anew_where_the_index_keeps_it(manifest: Manifest) -> None:
    """It goes there under a new number; the one before is valid no more."""
    apply(manifest, [entry("a"), entry("b")])
    (before, _) = index(manifest, "a", "b")
    with manifest.plan([replace(entry("a"), category="sofa"), entry("b")], unasked, anew=True) as plan:
        assert changes(plan) == {Change.CHANGED: ["a"], Change.UNCHANGED: ["b"]}
        assert manifest.apply(plan) == [before]
    index(manifest, "a")
    assert manifest.categories() == {"b": 1, "sofa": 1}


@pytest.mark.parametrize("aside", [True, False])
def test_another_category_of_what_is_not_indexed(manifest: Manifest, aside: bool) -> None:
    """What is put aside stays aside, and what waits waits, under the new category."""
    apply(manifest, [entry("a")])
    if aside:
        manifest.quarantine("a", "no picture")
    apply(manifest, [replace(entry("a"), category="sofa")])
    (row,) = manifest.rows()
    assert (row.category, row.state) == ("sofa", ItemState.QUARANTINED if aside else ItemState.PENDING)


def unavailable(path: Path) -> str:
    """A file that cannot be had at this moment."""
    raise ImageUnavailable(str(path), "503 Service Unavailable")


def test_what_cannot_be_had_just_now_stays(manifest: Manifest) -> None:
    """It is unchanged and told of, and compared again by the next plan."""
    apply(manifest, [entry("a"), entry("b")])
    index(manifest, "a", "b")
    with manifest.plan([entry("a", 11), entry("b")], unavailable) as plan:
        assert changes(plan) == {Change.UNCHANGED: ["a", "b"]}
        assert plan.unavailable == {"a": "503 Service Unavailable"}
        assert manifest.apply(plan) == []
    assert apply(manifest, [entry("a", 11), entry("b")], content_of) == {
        Change.TOUCHED: ["a"],
        Change.UNCHANGED: ["b"],
    }


def test_what_was_put_aside_in_passing_is_tried_again(manifest: Manifest) -> None:
    """Also where its content was read before, and where it cannot be had now either."""
    apply(manifest, [entry("a")])
    index(manifest, "a")
    manifest.quarantine("a", "503 Service Unavailable", size=-1, mtime_ns=0)
    with manifest.plan([entry("a")], unavailable) as plan:
        assert changes(plan) == {Change.CHANGED: ["a"]}
        assert plan.unavailable == {}


def test_several_files_are_compared_at_a_time(manifest: Manifest) -> None:
    """As many as there are readers, for each may wait for an answer from elsewhere."""
    apply(manifest, map(entry, "abc"))
    index(manifest, *"abc")
    together = threading.Barrier(3, timeout=30)

    def waiting(path: Path) -> str:
        together.wait()
        return content_of(path)

    with manifest.plan([entry(uri, 11) for uri in "abc"], waiting, readers=3) as plan:
        assert plan.counts[Change.TOUCHED] == 3


def test_a_new_file_stands_for_one_that_is_gone(manifest: Manifest) -> None:
    """Of many with the same size and time, too: one new one does not excuse all of them."""
    uris = [f"a/{number}" for number in range(9)]
    apply(manifest, map(entry, uris))
    index(manifest, *uris)
    with manifest.plan(map(entry, [*uris[:2], "b/1", "b/2"]), unasked) as plan:
        assert plan.counts[Change.VANISHED] == 7
        assert plan.lost == 5


def test_a_second_plan_with_nothing_to_do(manifest: Manifest) -> None:
    """What is indexed and has the same size and time is not read."""
    apply(manifest, [entry("a"), entry("b")])
    index(manifest, "a", "b")
    before = manifest.rows()
    assert apply(manifest, [entry("a"), entry("b")]) == {Change.UNCHANGED: ["a", "b"]}
    assert manifest.rows() == before


@pytest.mark.parametrize("stat", [(11, 20), (10, 21), (10, 19), (11, 21)])
def test_touched(manifest: Manifest, stat: tuple[int, int]) -> None:
    """Another size or time with the same content changes size and time alone; the number stays valid."""
    apply(manifest, [entry("a"), entry("b")])
    vids = index(manifest, "a", "b")
    assert apply(manifest, [entry("a", *stat), entry("b")], content_of) == {
        Change.TOUCHED: ["a"],
        Change.UNCHANGED: ["b"],
    }
    row = manifest.resolve(vids)[vids[0]]
    assert (row.size, row.mtime_ns, row.state) == (*stat, INDEXED)
    assert apply(manifest, [entry("a", *stat), entry("b")]) == {Change.UNCHANGED: ["a", "b"]}


def test_changed(manifest: Manifest) -> None:
    """Another content makes an item pending; its number is freed, so that no result shows the old picture."""
    apply(manifest, [entry("a"), entry("b")])
    vids = index(manifest, "a", "b")
    with manifest.plan([entry("a", 11), entry("b")], lambda _: "other") as plan:
        assert changes(plan) == {Change.CHANGED: ["a"], Change.UNCHANGED: ["b"]}
        assert plan.to_send == 1
        assert manifest.apply(plan) == [vids[0]]
    assert list(manifest.resolve(vids)) == [vids[1]]
    row = manifest.get("a")
    assert row
    assert (row.state, row.size, row.mtime_ns, row.sha256, row.tries) == (PENDING, 11, 20, "other", 0)


@pytest.mark.parametrize("error", [OSError(13, "denied"), ImageError("a", "empty")], ids=["system", "image"])
def test_what_cannot_be_read_is_changed(manifest: Manifest, error: Exception) -> None:
    """A file that differs and cannot be read is sent to whoever reports the reason."""

    def fail(_: Path) -> str:
        raise error

    apply(manifest, [entry("a")])
    index(manifest, "a")
    assert apply(manifest, [entry("a", 11)], fail) == {Change.CHANGED: ["a"]}
    row = manifest.get("a")
    assert row
    assert (row.state, row.sha256) == (PENDING, None)


def test_what_is_no_file_is_not_read(manifest: Manifest) -> None:
    """A picture that became a pipe or a broken link is changed without a look: reading a pipe never ends."""
    apply(manifest, [entry("a")])
    index(manifest, "a")
    assert apply(manifest, [entry("a", -1, 0)]) == {Change.CHANGED: ["a"]}
    manifest.quarantine("a", "no file")
    assert apply(manifest, [entry("a", -1, 0)]) == {Change.FAILED: ["a"]}


def test_vanished(manifest: Manifest) -> None:
    """What is gone from the folder is forgotten, in whatever state it is; its number is freed."""
    apply(manifest, [entry(uri) for uri in "abcde"])
    vids = index(manifest, "b")
    vids += manifest.begin([("c", "x", 1, 1)])
    manifest.quarantine("d", "bad")
    with manifest.plan([entry("e"), entry("f")], unasked) as plan:
        assert changes(plan) == {
            Change.VANISHED: ["a", "b", "c", "d"],
            Change.WAITING: ["e"],
            Change.NEW: ["f"],
        }
        assert sorted(manifest.apply(plan)) == vids
    assert [row.uri for row in manifest.rows()] == ["e", "f"]


def test_waiting(manifest: Manifest) -> None:
    """What an earlier run left to do is not read again; a file that changed since is taken as it is now."""
    apply(manifest, [entry("a"), entry("b"), entry("c"), entry("d")])
    vids = manifest.begin([("a", "x", 10, 20), ("b", "y", 10, 20)])
    with manifest.plan([entry("a"), entry("b", 11), entry("c"), entry("d", 12)], unasked) as plan:
        assert changes(plan) == {Change.WAITING: ["a", "b", "c", "d"]}
        assert plan.to_send == 4
        assert manifest.apply(plan) == [vids[1]]
    assert [(row.state, row.size, row.sha256) for row in manifest.rows()] == [
        (SENDING, 10, "x"),
        (PENDING, 11, None),
        (PENDING, 10, None),
        (PENDING, 12, None),
    ]


def test_added_and_not_built(manifest: Manifest) -> None:
    """What was sent and awaits its build is left as it is, unless its content is another one."""
    apply(manifest, [entry("a"), entry("b"), entry("c")])
    manifest.added(manifest.begin([(uri, content_of(ROOT / uri), 10, 20) for uri in "abc"]))
    hashes = {"b": content_of(ROOT / "b"), "c": "other"}
    found = apply(manifest, [entry("a"), entry("b", 11), entry("c", 11)], lambda path: hashes[path.name])
    assert found == {Change.UNCHANGED: ["a"], Change.TOUCHED: ["b"], Change.CHANGED: ["c"]}
    assert [row.state for row in manifest.rows()] == [ADDED, ADDED, PENDING]


def failed(manifest: Manifest) -> None:
    """Four items in quarantine: a and b were read before, c was not, d came back as it was."""
    apply(manifest, [entry(uri) for uri in "abcd"])
    for uri in "abd":
        manifest.quarantine(uri, "bad", sha256=content_of(ROOT / uri), size=10, mtime_ns=20)
    manifest.quarantine("c", "gone")


def test_failed_ones_are_skipped_until_they_change(manifest: Manifest) -> None:
    """An item in quarantine is tried again when its content changes, and not when its time alone does."""
    failed(manifest)
    hashes = {"a": content_of(ROOT / "a"), "b": "other"}
    entries = [entry("a", 11), entry("b", 11), entry("c", 11), entry("d")]
    found = apply(manifest, entries, lambda path: hashes[path.name])
    assert found == {Change.FAILED: ["a", "d"], Change.CHANGED: ["b", "c"]}
    rows = {row.uri: row for row in manifest.rows()}
    assert [rows[uri].state for uri in "abcd"] == [QUARANTINED, PENDING, PENDING, QUARANTINED]
    assert (rows["a"].size, rows["a"].error, rows["a"].tries) == (11, "bad", 1)
    assert (rows["b"].error, rows["b"].tries) == (None, 0)
    assert apply(manifest, [entry("a", 11), entry("d")])[Change.FAILED] == ["a", "d"]


def test_failed_ones_are_tried_again_when_asked(manifest: Manifest) -> None:
    """With retry, unchanged ones in quarantine are pending too and keep the count of their tries."""
    failed(manifest)
    with manifest.plan([entry(uri) for uri in "abcd"], unasked, retry_failed=True) as plan:
        assert changes(plan) == {Change.FAILED: ["a", "b", "c", "d"]}
        assert plan.to_send == 4
        manifest.apply(plan)
    assert {(row.state, row.tries, row.error) for row in manifest.rows() if row.uri != "c"} == {(PENDING, 1, "bad")}
    manifest.quarantine("a", "still bad")
    row = manifest.get("a")
    assert row
    assert row.tries == 2


def test_applied_twice(manifest: Manifest) -> None:
    """A plan is carried out once, whatever became of the items in between."""
    apply(manifest, [entry("a"), entry("b")])
    index(manifest, "a", "b")
    with manifest.plan([entry("a", 11), entry("c")], lambda _: "other", retry_failed=True) as plan:
        assert len(manifest.apply(plan)) == 2
        index(manifest, "a", "c")
        before = manifest.rows()
        assert manifest.apply(plan) == []
        assert manifest.rows() == before


def test_a_plan_that_fails_half_way_is_undone(manifest: Manifest) -> None:
    """An error while a plan is carried out leaves the manifest as it was."""
    apply(manifest, [entry("a"), entry("b")])
    index(manifest, "a", "b")
    before = manifest.rows()
    connection = manifest._database.connection
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON items BEGIN SELECT raise(ABORT, 'no more'); END")
    with manifest.plan([entry("c")], unasked) as plan:
        with pytest.raises(ConfigError, match="no more"):
            manifest.apply(plan)
        assert manifest.rows() == before
        connection.execute("DROP TRIGGER full")
        assert len(manifest.apply(plan)) == 2
    assert [row.uri for row in manifest.rows()] == ["c"]


def test_an_item_that_is_told_twice(manifest: Manifest) -> None:
    """The last word counts."""
    assert apply(manifest, [entry("a"), entry("a", 12)]) == {Change.NEW: ["a"]}
    assert [row.size for row in manifest.rows()] == [12]


def test_a_plan_of_nothing(manifest: Manifest) -> None:
    """No entries and no items make an empty plan."""
    assert apply(manifest, []) == {}


def test_a_closed_plan(manifest: Manifest) -> None:
    """A plan that was closed says so; closing twice is fine."""
    plan = manifest.plan([entry("a")], unasked)
    plan.close()
    plan.close()
    with pytest.raises(InvalidRequest):
        list(plan.uris(Change.NEW))
    with pytest.raises(InvalidRequest):
        manifest.apply(plan)


def test_more_than_a_page(manifest: Manifest) -> None:
    """Names come complete where they are many, and so do files that have to be read."""
    uris = [f"a/{i:04}" for i in range(1234)]
    assert apply(manifest, map(entry, uris)) == {Change.NEW: uris}
    index(manifest, *uris)
    read = Counter[str]()

    def hash_file(path: Path) -> str:
        read[str(path.relative_to(ROOT))] += 1
        return content_of(path) if int(path.name) % 2 else "other"

    found = apply(manifest, (entry(uri, 11) for uri in uris), hash_file)
    assert found == {Change.CHANGED: uris[::2], Change.TOUCHED: uris[1::2]}
    assert read == Counter(uris)


def test_entries_are_not_kept(manifest: Manifest) -> None:
    """However many entries there are, a few are in memory at a time."""
    alive = most = 0

    class Counted(Entry):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def entries() -> Iterator[Entry]:
        nonlocal alive, most
        for i in range(3000):
            alive += 1
            most = max(most, alive)
            yield Counted(f"a/{i}", "a", ROOT, 1, 1)

    apply(manifest, entries())
    assert most < 5


def test_files_on_disk(tmp_path: Path) -> None:
    """Added, changed, touched, removed and unreadable files are told apart as they lie on a disk."""
    root = tmp_path / "catalogue"
    touch(root, *(f"lamp/{i}.jpg" for i in range(6)))
    with Manifest.open(tmp_path / "state", {}) as manifest:
        apply(manifest, walk(root))
        manifest.added(
            manifest.begin(
                [(item.uri, item.path.read_text(), item.size, item.mtime_ns) for item in walk(root) if item.size > 0]
            )
        )
        manifest.indexed()
        (root / "lamp" / "0.jpg").unlink()
        (root / "lamp" / "1.jpg").write_text("changed")
        os.utime(root / "lamp" / "2.jpg", ns=(1, 1))
        (root / "lamp" / "3.jpg").unlink()
        (root / "lamp" / "3.jpg").symlink_to(tmp_path / "nowhere")
        touch(root, "bed/new.jpg")
        assert apply(manifest, walk(root), Path.read_text) == {
            Change.VANISHED: ["lamp/0.jpg"],
            Change.CHANGED: ["lamp/1.jpg", "lamp/3.jpg"],
            Change.TOUCHED: ["lamp/2.jpg"],
            Change.UNCHANGED: ["lamp/4.jpg", "lamp/5.jpg"],
            Change.NEW: ["bed/new.jpg"],
        }


# --- the laws ---

NAMES = st.text(st.characters(), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(NAMES, max_size=30), st.integers(1, 7))
def test_any_names(manifest: Manifest, uris: set[str], limit: int) -> None:
    """Names of any characters at all are kept, ordered as Python orders them, and paged through."""
    apply(manifest, [Entry(uri, uri[0], ROOT, 1, 1) for uri in uris])
    found, last = [], ""
    while page := manifest.rows(after=last, limit=limit):
        found += [row.uri for row in page]
        last = page[-1].uri
    assert found == sorted(uris)
    assert all((row := manifest.get(uri)) and row.category == uri[0] for uri in uris)


@dataclass
class Known:
    """What the manifest should know of an item."""

    state: ItemState
    stat: tuple[int, int]
    sha256: str | None = None
    vid: int | None = None
    tries: int = 0


FILES = st.sampled_from(["a/1", "a/2", "b/1", "b/%", "c/\udcff"])
CONTENTS = st.sampled_from(["x", "y", "zz"])


class History(RuleBasedStateMachine):
    """Files come, change and go while runs plan, send, fail, are cut short and begin again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.manifest = Manifest.open(self.folder, {})
        self.disk: dict[str, tuple[str, int]] = {}  # uri -> content, time
        self.known: dict[str, Known] = {}
        self.given: list[int] = []
        self.clock = 0

    def teardown(self) -> None:
        """Take everything away."""
        self.manifest.close()
        shutil.rmtree(self.folder)

    @initialize(files=st.dictionaries(FILES, CONTENTS))
    def begin(self, files: dict[str, str]) -> None:
        """Some files are there and planned for."""
        for uri, content in files.items():
            self.write(uri, content)
        self.plan(retry=False)

    @rule(uri=FILES, content=CONTENTS)
    def write(self, uri: str, content: str) -> None:
        """A file is made or written, perhaps with the content it had."""
        self.clock += 1
        self.disk[uri] = (content, self.clock)

    @rule(uri=FILES)
    def delete(self, uri: str) -> None:
        """A file is deleted."""
        self.disk.pop(uri, None)

    def stat(self, uri: str) -> tuple[int, int]:
        """Size and time of a file."""
        content, time_ns = self.disk[uri]
        return len(content), time_ns

    def planned(self, retry: bool = False) -> Plan:
        """The plan for what is on disk."""
        entries = [Entry(uri, uri[0], Path(uri), *self.stat(uri)) for uri in self.disk]
        return self.manifest.plan(entries, lambda path: self.disk[str(path)][0], retry_failed=retry)

    @rule(retry=st.booleans())
    def plan(self, retry: bool) -> None:
        """A plan is made and carried out; a second one has nothing new to say and does nothing."""
        before = {known.vid for known in self.known.values()} - {None}
        with self.planned(retry) as plan:
            freed = set(self.manifest.apply(plan))
        self.known = {uri: self.after_plan(uri, retry) for uri in self.disk}
        assert freed == before - {known.vid for known in self.known.values()}
        rows = self.manifest.rows()
        with self.planned() as plan:
            for change in (Change.NEW, Change.CHANGED, Change.TOUCHED, Change.VANISHED):
                assert plan.counts[change] == 0
            assert self.manifest.apply(plan) == []
        assert self.manifest.rows() == rows

    def after_plan(self, uri: str, retry: bool) -> Known:
        """What a plan makes of a file, in plain words of Python."""
        stat, content = self.stat(uri), self.disk[uri][0]
        known = self.known.get(uri)
        if known is None:
            return Known(PENDING, stat)
        if known.state in (PENDING, SENDING):
            return known if known.stat == stat else Known(PENDING, stat)
        if known.stat != stat and known.sha256 != content:
            return Known(PENDING, stat, content if known.sha256 else None)
        state = PENDING if retry and known.state is QUARANTINED else known.state
        return Known(state, stat, known.sha256, known.vid, known.tries)

    @rule(uris=st.sets(FILES, min_size=1))
    def send(self, uris: set[str]) -> None:
        """A batch of known items is read and begun."""
        batch = [(uri, self.disk[uri][0], *self.stat(uri)) for uri in uris if uri in self.known and uri in self.disk]
        vids = self.manifest.begin(batch)
        assert vids == sorted(set(vids))
        assert not vids or not self.given or vids[0] > max(self.given)
        self.given += vids
        for (uri, content, *stat), vid in zip(batch, vids, strict=True):
            self.known[uri] = Known(SENDING, (stat[0], stat[1]), content, vid, self.known[uri].tries)

    def some(self, data: st.DataObject) -> set[int]:
        """Some of all numbers ever given, the latest ones first."""
        return data.draw(st.sets(st.sampled_from(self.given[::-1]), min_size=1))

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def answered(self, data: st.DataObject) -> None:
        """The index took some of whatever was ever begun."""
        vids = self.some(data)
        taken = [known for known in self.known.values() if known.state is SENDING and known.vid in vids]
        assert self.manifest.added(sorted(vids)) == len(taken)
        for known in taken:
            known.state = ADDED

    @rule()
    def built(self) -> None:
        """The index was built."""
        added = [known for known in self.known.values() if known.state is ADDED]
        assert self.manifest.indexed() == len(added)
        for known in added:
            known.state = INDEXED

    @rule(uri=FILES, read=st.booleans())
    def fails(self, uri: str, read: bool) -> None:
        """An item is put into quarantine, its file read or not."""
        if uri not in self.known:
            return
        old = self.known[uri]
        if read and uri in self.disk:
            content, stat = self.disk[uri][0], self.stat(uri)
            self.manifest.quarantine(uri, "bad", sha256=content, size=stat[0], mtime_ns=stat[1])
            self.known[uri] = Known(QUARANTINED, stat, content, None, old.tries + 1)
        else:
            self.manifest.quarantine(uri, "bad")
            self.known[uri] = Known(QUARANTINED, old.stat, old.sha256, None, old.tries + 1)

    @rule(states=st.sets(st.sampled_from(ItemState), min_size=1, max_size=2))
    def requeue(self, states: set[ItemState]) -> None:
        """A recovery makes whole states pending."""
        found = [known for known in self.known.values() if known.state in states - {PENDING}]
        assert self.manifest.requeue(*states) == len(found)
        for known in found:
            known.state, known.vid = PENDING, None

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def lost(self, data: st.DataObject) -> None:
        """The index turns out not to hold some numbers."""
        vids = self.some(data)
        found = [known for known in self.known.values() if known.vid in vids]
        assert self.manifest.lost(sorted(vids)) == len(found)
        for known in found:
            known.state, known.vid = PENDING, None

    @rule(uris=st.sets(FILES, max_size=2))
    def remove(self, uris: set[str]) -> None:
        """Items are forgotten by hand."""
        assert self.manifest.remove(uris) == len(uris & self.known.keys())
        for uri in uris:
            self.known.pop(uri, None)

    @rule()
    def reopen(self) -> None:
        """The process ends and another one goes on."""
        self.manifest.close()
        self.manifest = Manifest.open(self.folder, {})

    @invariant()
    def items_are_those_that_should_be(self) -> None:
        """Every uri once, and everything known of it as it should be."""
        rows = self.manifest.rows()
        assert [row.uri for row in rows] == sorted(self.known)
        for row in rows:
            found = Known(row.state, (row.size, row.mtime_ns), row.sha256, row.vid, row.tries)
            assert found == self.known[row.uri]

    @invariant()
    def numbers_are_never_shared(self) -> None:
        """Of all numbers ever given, those resolve that are valid now, to the item they were given to."""
        assert len(set(self.given)) == len(self.given)
        valid = {known.vid: uri for uri, known in self.known.items() if known.state in (ADDED, INDEXED)}
        assert {vid: row.uri for vid, row in self.manifest.resolve(self.given).items()} == valid
        assert list(self.manifest.vids()) == sorted(vid for vid in valid if vid is not None)

    @invariant()
    def counts_agree_with_items(self) -> None:
        """What is counted is what is there."""
        states = Counter(known.state for known in self.known.values())
        assert self.manifest.counts() == {state: states[state] for state in ItemState}
        indexed = Counter(uri[0] for uri, known in self.known.items() if known.state is INDEXED)
        assert self.manifest.categories() == indexed


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
