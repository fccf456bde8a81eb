"""ddsim.catalogue.folder: a folder as items."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddsim import ConfigError, scan


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
    (item,) = scan(tmp_path)
    assert (item.uri, item.category, item.path) == ("lamp/a.jpg", "lamp", tmp_path / "lamp" / "a.jpg")


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


def test_files_beside_the_categories_are_left_out(tmp_path: Path) -> None:
    """What lies next to the category folders has no category and is no item."""
    touch(tmp_path, "readme.txt", "stray.jpg", "lamp/a.jpg")
    assert uris(tmp_path) == ["lamp/a.jpg"]


def test_a_folder_named_like_a_picture(tmp_path: Path) -> None:
    """A folder is a folder whatever it is called; an empty one holds nothing."""
    touch(tmp_path, "lamp/x.jpg/inner.png", "lamp/y.png")
    (tmp_path / "lamp" / "empty.jpg").mkdir()
    assert uris(tmp_path) == ["lamp/x.jpg/inner.png", "lamp/y.png"]


def test_links(tmp_path: Path) -> None:
    """Links to files count, broken ones too; links to folders inside a category do not: they may form circles."""
    touch(tmp_path, "elsewhere/a.jpg", "catalogue/lamp/own.jpg")
    lamp = tmp_path / "catalogue" / "lamp"
    (lamp / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    (lamp / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (lamp / "itself.jpg").symlink_to(lamp / "itself.jpg")
    (lamp / "more").symlink_to(tmp_path / "elsewhere")
    (lamp / "circle").symlink_to(lamp)
    expected = ["lamp/broken.jpg", "lamp/itself.jpg", "lamp/linked.jpg", "lamp/own.jpg"]
    assert uris(tmp_path / "catalogue") == expected


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


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed is named with the system's reason; its pictures are not left out in silence."""
    touch(tmp_path, "bed/a.jpg", "lamp/b.jpg")
    real = os.scandir

    def guarded(folder: Path) -> object:
        if Path(folder).name == "lamp":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(ConfigError, match="lamp: cannot be read: permission denied"):
        scan(tmp_path)
