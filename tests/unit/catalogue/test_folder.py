"""ddsim.catalogue.folder: a folder as items."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ddsim import ConfigError, InvalidRequest, scan
from ddsim.catalogue import Kind, Patterns, Survey, walk


def touch(root: Path, *names: str) -> None:
    """Empty files, folders made on the way."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def uris(root: Path) -> list[str]:
    """The uris of a catalogue."""
    return [item.uri for item in scan(root)]


def test_items(tmp_path: Path) -> None:
    """An item is its uri, the category that it lies in, and the file."""
    touch(tmp_path, "lamp/a.jpg")
    for folder in (tmp_path, str(tmp_path)):
        (item,) = scan(folder)
        assert (item.uri, item.category, item.path) == ("lamp/a.jpg", "lamp", tmp_path / "lamp" / "a.jpg")


@pytest.mark.parametrize("root", ["", " ", None, 5])
def test_a_folder_without_a_name(root: Any) -> None:
    """A path of no letters would be the current folder."""
    with pytest.raises(InvalidRequest, match="a folder is named by"):
        scan(root)


def test_sorted_by_uri(tmp_path: Path) -> None:
    """The order is that of the uris, wherever folders and files mix, and the same on every run."""
    touch(
        tmp_path, "lamp/b.jpg", "lamp/a/z.jpg", "lamp/a.jpg", "lamp/B.jpg", "bed/10.jpg", "bed/9.jpg", "lamp-old/x.jpg"
    )
    found = uris(tmp_path)
    assert found == sorted(found)
    assert len(found) == 7
    assert found == uris(tmp_path)


def test_nested_folders(tmp_path: Path) -> None:
    """Pictures at any depth belong to the category on top; the parts of a uri are joined by slashes."""
    touch(tmp_path, "lamp/desk/red/1.jpg", "lamp/2.jpg")
    assert [(item.uri, item.category) for item in scan(tmp_path)] == [
        ("lamp/2.jpg", "lamp"),
        ("lamp/desk/red/1.jpg", "lamp"),
    ]


def test_every_file_is_an_item(tmp_path: Path) -> None:
    """What is no picture is an item all the same: it has to show up as a failure."""
    names = ["lamp/notes.txt", "lamp/no_ending", "lamp/movie.mp4", "lamp/UPPER.JPEG", "lamp/x.jpg~"]
    touch(tmp_path, *names)
    assert uris(tmp_path) == sorted(names)


def test_odd_names_come_through(tmp_path: Path) -> None:
    """Spaces, quotes, carets, markup, emoji, newlines and leading dashes are names like others."""
    names = [
        "a b.jpg",
        "quote'\".jpg",
        "x^y.jpg",
        "[red]x.jpg",
        "椅子 🛋.jpg",
        "two\nlines.jpg",
        "-dash.jpg",
        "100%.jpg",
    ]
    touch(tmp_path, *(f"lamp/{name}" for name in names))
    assert uris(tmp_path) == sorted(f"lamp/{name}" for name in names)


def test_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    """A file name of bytes that are no UTF-8 is an item, for the report to tell."""
    touch(tmp_path, "lamp/a.jpg")
    with open(os.fsencode(tmp_path / "lamp") + b"/\xff.jpg", "wb"):
        pass
    assert uris(tmp_path) == ["lamp/a.jpg", "lamp/\udcff.jpg"]


def test_hidden_files_and_litter_are_left_out(tmp_path: Path) -> None:
    """Hidden files and folders and what file managers leave behind are no items, at any depth."""
    touch(tmp_path, ".hidden/a.jpg", "lamp/.DS_Store", "lamp/.thumbs/a.jpg", "lamp/Thumbs.db", "lamp/x/desktop.ini")
    touch(tmp_path, "__MACOSX/lamp/._a.jpg", "lamp/__MACOSX/a.jpg", "lamp/a.jpg")
    assert uris(tmp_path) == ["lamp/a.jpg"]


LITTER = [
    *("@eaDir/x.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/old.jpg", "@Recycle/old.jpg", "$RECYCLE.BIN/S-1-5/old.jpg"),
    *("System Volume Information/x.jpg", "lost+found/1.jpg", ".Trash-1000/files/old.jpg", "#snapshot/now/a.jpg"),
    *(".snapshot/hourly/a.jpg", "__MACOSX/._a.jpg", ".dtrash/files/old.jpg", ".stversions/old~2024.jpg"),
    *(".sync/Archive/old.jpg", ".thumbnails/a.jpg", "@Recently-Snapshot/a.jpg", ".@__thumb/s800a.jpg"),
    *("~snapshot/a.jpg", "a.jpg@SynoEAStream", "._a.jpg", "Thumbs.db", "Icon\r", ".Trashes/501/a.jpg"),
]


@pytest.mark.parametrize("below", ["", "lamp/", "lamp/desk/"])
@pytest.mark.parametrize("litter", LITTER)
def test_deleted_products_and_thumbnails_of_machines_are_no_products(tmp_path: Path, litter: str, below: str) -> None:
    """Litter is passed over at any depth, in any case of letters, and counted with where it lies."""
    top = litter.partition("/")[0]
    touch(tmp_path, f"{below}{litter}", "lamp/a.jpg")
    survey = Survey()
    assert [entry.uri for entry in walk(tmp_path, survey=survey)] == ["lamp/a.jpg"]
    assert survey.met.keys() == {Kind.LITTER}
    assert (survey.met[Kind.LITTER].count, survey.met[Kind.LITTER].examples) == (1, [f"{below}{top}"])


def test_files_beside_the_categories_are_left_out_and_told(tmp_path: Path) -> None:
    """What lies next to the category folders has no category and is no item; ddsim's own files are no news."""
    touch(tmp_path, "readme.txt", "stray.jpg", "lamp/a.jpg", "products.csv", "failures.jsonl", ".ddsimignore")
    survey = Survey()
    assert [entry.uri for entry in walk(tmp_path, survey=survey)] == ["lamp/a.jpg"]
    assert survey.to_dict() == {"loose": {"count": 2, "examples": ["readme.txt", "stray.jpg"]}}


def test_what_is_met_is_counted_with_examples(tmp_path: Path) -> None:
    """Hidden files and files of unknown kind are told by number and the first few names; the latter are items."""
    touch(tmp_path, *(f"lamp/{number}.txt" for number in range(7)), "lamp/.x.jpg", "lamp/a.JPEG", "lamp/b.heic")
    survey = Survey()
    assert len(list(walk(tmp_path, survey=survey))) == 9
    assert survey.to_dict() == {
        "hidden": {"count": 1, "examples": ["lamp/.x.jpg"]},
        "odd": {"count": 7, "examples": [f"lamp/{number}.txt" for number in range(5)]},
    }


def found_with(root: Path, *, exclude: tuple[str, ...] = (), include: tuple[str, ...] = ()) -> list[str]:
    """What a walk with these patterns finds."""
    return sorted(entry.uri for entry in walk(root, Patterns(exclude, include)))


def test_patterns_pass_over_what_they_name(tmp_path: Path) -> None:
    """Patterns are gitignore's: of names, of folders, of paths from the top, with exceptions; the last one decides."""
    touch(tmp_path, "lamp/a.jpg", "lamp/a.tmp", "lamp/drafts/b.jpg", "bed/drafts/c.jpg", "bed/d.tmp", "old/e.jpg")
    assert found_with(tmp_path, exclude=("*.tmp", "drafts/", "/old")) == ["lamp/a.jpg"]
    assert found_with(tmp_path, exclude=("*.tmp", "!bed/*.tmp", "lamp/drafts", "old")) == [
        *("bed/d.tmp", "bed/drafts/c.jpg", "lamp/a.jpg")
    ]
    assert found_with(tmp_path, include=("*.jpg",), exclude=("old/",)) == [
        *("bed/drafts/c.jpg", "lamp/a.jpg", "lamp/drafts/b.jpg")
    ]


def test_an_ignore_file_in_the_catalogue_adds_patterns(tmp_path: Path) -> None:
    """It comes after the configuration's, with comments and whatever line ends; it can bring litter back."""
    touch(tmp_path, "lamp/a.jpg", "lamp/b.tmp", "lamp/@eaDir/c.jpg", "bed/@eaDir/d.jpg", ".secret/e.jpg")
    (tmp_path / ".ddsimignore").write_bytes(b"\xef\xbb\xbf# ours\r\n\r\n*.tmp\r\n!lamp/@eaDir/\r\n!/.secret/\r\n")
    assert found_with(tmp_path) == [".secret/e.jpg", "lamp/@eaDir/c.jpg", "lamp/a.jpg"]
    assert found_with(tmp_path, exclude=("!*.tmp", "a.jpg")) == [".secret/e.jpg", "lamp/@eaDir/c.jpg"]


def test_patterns_match_however_letters_are_written(tmp_path: Path) -> None:
    """A pattern with composed letters matches a name from a Mac with decomposed ones, and the other way round."""
    touch(tmp_path, "Stu\u0308hle/a.jpg", "M\u00f6bel/b.jpg", "lamp/c.jpg")
    assert found_with(tmp_path, exclude=("St\u00fchle/", "Mo\u0308bel/")) == ["lamp/c.jpg"]


@pytest.mark.parametrize("content", [b"\xff\xfe*\x00", b"!", b"x" * 1_000_001])
def test_an_ignore_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    """Nothing is indexed by guesses: the file is named with the reason."""
    touch(tmp_path, "lamp/a.jpg")
    (tmp_path / ".ddsimignore").write_bytes(content)
    with pytest.raises(ConfigError, match=r"\.ddsimignore"):
        found_with(tmp_path)


def test_a_category_whose_link_is_broken_is_unreadable_not_gone(tmp_path: Path) -> None:
    """It is told with where the link leads; an empty category is noted, as mount points are."""
    touch(tmp_path, "lamp/a.jpg")
    (tmp_path / "bed").symlink_to("/mnt/no-such-share/beds")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    (tmp_path / "stray.jpg").symlink_to("nowhere")
    (tmp_path / "sofa").mkdir()
    survey = Survey()
    assert [entry.uri for entry in walk(tmp_path, survey=survey)] == ["lamp/a.jpg"]
    assert sorted(survey.shut) == ["bed", "round"]
    assert survey.shut["bed"] == "a broken link: /mnt/no-such-share/beds is not there (is it mounted?)"
    assert survey.empty == ["sofa"]
    assert survey.met[Kind.LOOSE].examples == ["stray.jpg"]


def test_a_folder_named_like_a_picture(tmp_path: Path) -> None:
    """A folder is a folder whatever it is called; an empty one holds nothing."""
    touch(tmp_path, "lamp/x.jpg/inner.png", "lamp/y.png")
    (tmp_path / "lamp" / "empty.jpg").mkdir()
    assert uris(tmp_path) == ["lamp/x.jpg/inner.png", "lamp/y.png"]


def test_links(tmp_path: Path) -> None:
    """Links to files count, broken ones too, and links to folders are followed, told, and never in circles."""
    touch(tmp_path, "elsewhere/a.jpg", "catalogue/lamp/own.jpg", "catalogue/lamp/desk/d.jpg")
    lamp = tmp_path / "catalogue" / "lamp"
    (lamp / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    (lamp / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (lamp / "itself.jpg").symlink_to(lamp / "itself.jpg")
    (lamp / "more").symlink_to(tmp_path / "elsewhere")
    (lamp / "once-more").symlink_to(tmp_path / "elsewhere")
    (lamp / "circle").symlink_to(lamp)
    (lamp / "desk" / "up").symlink_to(tmp_path / "catalogue")
    (tmp_path / "elsewhere" / "and-back").symlink_to(lamp)
    expected = ["broken.jpg", "desk/d.jpg", "itself.jpg", "linked.jpg", "more/a.jpg", "own.jpg"]
    survey = Survey()
    found = sorted(entry.uri for entry in walk(tmp_path / "catalogue", survey=survey))
    assert found == [f"lamp/{name}" for name in expected]
    assert survey.met[Kind.LINKS].examples == ["lamp/more"]
    circles = ["lamp/circle", "lamp/desk/up", "lamp/more/and-back", "lamp/once-more"]
    assert survey.met[Kind.CIRCLES].examples == circles


def test_links_that_lead_to_one_another_end(tmp_path: Path) -> None:
    """Folders that all link to all others are walked in reasonable time, with every picture found."""
    names = [f"f{number}" for number in range(9)]
    for name in names:
        touch(tmp_path, f"catalogue/{name}/{name}.jpg")
        for other in names:
            (tmp_path / "catalogue" / name / f"to-{other}").symlink_to(tmp_path / "catalogue" / other)
    found = uris(tmp_path / "catalogue")
    assert {f"{name}/{name}.jpg" for name in names} <= set(found)
    assert len(found) <= len(names) ** 2


def test_a_category_may_be_a_link(tmp_path: Path) -> None:
    """A catalogue can be put together from folders elsewhere, and be a link itself."""
    touch(tmp_path, "photos/lamps/a.jpg", "catalogue/bed/b.jpg")
    (tmp_path / "catalogue" / "lamp").symlink_to(tmp_path / "photos" / "lamps")
    (tmp_path / "link").symlink_to(tmp_path / "catalogue")
    assert uris(tmp_path / "link") == ["bed/b.jpg", "lamp/a.jpg"]


def test_a_fifo_is_an_item(tmp_path: Path) -> None:
    """A pipe is listed without being opened."""
    (tmp_path / "lamp").mkdir()
    os.mkfifo(tmp_path / "lamp" / "pipe.jpg")
    assert uris(tmp_path) == ["lamp/pipe.jpg"]


@pytest.mark.parametrize("content", [(), ("stray.jpg",), (".hidden/a.jpg", "lamp/.b.jpg"), ("lamp/Thumbs.db",)])
def test_nothing_in_it(tmp_path: Path, content: tuple[str, ...]) -> None:
    """A catalogue without an item is an error that shows what it should look like."""
    touch(tmp_path, *content)
    (tmp_path / "lamp").mkdir(exist_ok=True)
    with pytest.raises(ConfigError, match=r"no pictures; expected files such as .*lamp-001\.jpg") as caught:
        scan(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_such_folder(tmp_path: Path, kind: str) -> None:
    """A folder that is missing, or is a file, is named."""
    touch(tmp_path, "file")
    with pytest.raises(ConfigError, match=f"{kind}: no such folder; a catalogue is a folder of"):
        scan(tmp_path / kind)


def test_a_folder_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that cannot be listed is named with the system's reason, and the others are found."""
    touch(tmp_path, "bed/a.jpg", "lamp/b.jpg")
    real = os.scandir

    def guarded(folder: Path) -> object:
        if Path(folder).name == "lamp":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    with caplog.at_level("WARNING"):
        assert uris(tmp_path) == ["bed/a.jpg"]
    assert "lamp: left out: this folder cannot be read: permission denied" in caplog.text


def test_a_folder_of_pictures_is_one_category(tmp_path: Path) -> None:
    """Named after itself; what is hidden or litter stays out of it, and so do folders that are."""
    folder = tmp_path / "holiday"
    touch(folder, "b.jpg", "a.JPG", ".hidden.jpg", "Thumbs.db", ".cache/c.jpg", "products.csv", "notes.txt")
    survey = Survey()
    found = sorted((entry.uri, entry.category) for entry in walk(folder, survey=survey))
    assert found == [("a.JPG", "holiday"), ("b.jpg", "holiday"), ("notes.txt", "holiday")]
    assert survey.met[Kind.ODD].examples == ["notes.txt"]
    assert Kind.LOOSE not in survey.met
    assert [item.category for item in scan(Path(os.path.relpath(folder)))] == ["holiday"] * 3


@pytest.mark.parametrize("content", [("lamp/a.jpg", "b.jpg"), ("lamp/Thumbs.db", "b.jpg")])
def test_beside_category_folders_pictures_are_loose(tmp_path: Path, content: tuple[str, ...]) -> None:
    """They are counted, even where the folder beside them is empty: what it held may be on a disk that is not there."""
    touch(tmp_path, *content)
    survey = Survey()
    with suppress(ConfigError):
        assert [entry.uri for entry in walk(tmp_path, survey=survey)] == ["lamp/a.jpg"]
    assert survey.met[Kind.LOOSE].examples == ["b.jpg"]


def test_a_folder_without_pictures_is_none(tmp_path: Path) -> None:
    """Some folder that was named by mistake is not taken for a catalogue of failures."""
    touch(tmp_path, "letter.txt", "table.ods")
    with pytest.raises(ConfigError, match="no pictures"):
        scan(tmp_path)


def test_a_broken_link_may_be_a_category(tmp_path: Path) -> None:
    """Then the catalogue is not one category, but one of which a part is missing."""
    touch(tmp_path, "a.jpg")
    (tmp_path / "lamp").symlink_to(tmp_path / "gone")
    survey = Survey()
    assert list(walk(tmp_path, survey=survey)) == []
    assert list(survey.shut) == ["lamp"]
