"""Files that are written whole, or left as they were."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from ddsim.errors import ConfigError
from ddsim.showing import save_files, save_page


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room for nine bytes; as write() says so, without the name of a file."""
    before = Path.write_bytes
    room = [9]

    def write(self: Path, data: bytes) -> int:
        before(self, data[: room[0]])
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    monkeypatch.setattr(Path, "write_bytes", write)


def test_files_are_written_and_replaced(tmp_path: Path) -> None:
    """All of them, and nothing beside; a link stays one, and rights stay as they were."""
    one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
    one.write_text("before")
    one.chmod(0o600)
    link.symlink_to(one)
    save_files({link: b"after", two: b"2"})
    assert (one.read_text(), two.read_text(), link.is_symlink()) == ("after", "2", True)
    assert sys.platform == "win32" or one.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == sorted([one, two, link])


def test_a_full_disk_changes_nothing(tmp_path: Path, full: None) -> None:
    """Not even the files that had room; the one that has none is named."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("before")
    with pytest.raises(ConfigError, match=rf"{two}: cannot be written: No space left"):
        save_files({one: b"after", two: b"too much"})
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_page_on_a_full_disk(tmp_path: Path, full: None) -> None:
    """The page of earlier is still there."""
    file = tmp_path / "report.html"
    file.write_text("before")
    with pytest.raises(ConfigError, match=r"report\.html: cannot be written: No space left"):
        save_page("a long page", file)
    assert file.read_text() == "before"


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes there")
def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    """What is no regular file is not replaced by one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    save_files({pipe: b"content"})
    reader.join()
    assert read == [b"content"]
    assert pipe.is_fifo()


def test_places_that_are_none(tmp_path: Path) -> None:
    """They are named, whatever is wrong with them."""
    for place in (tmp_path / "nowhere" / "file", tmp_path, tmp_path / "no\0letter"):
        with pytest.raises(ConfigError, match="cannot be written: "):
            save_files({place: b""})
