"""Files that are written whole, or left as they were."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
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


def refused(code: int) -> Callable[..., None]:
    """Fails as the system does."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV, errno.EROFS])
@pytest.mark.parametrize("call", ["replace", "chmod", "write"])
def test_a_file_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """One mounted by itself, or in a folder that is read-only, is written in place; a new one is refused."""
    file, new = tmp_path / "file", tmp_path / "new"
    file.write_text("longer before")
    before = Path.write_bytes
    if call == "write":
        fail = refused(code)
        monkeypatch.setattr(Path, "write_bytes", lambda self, data: (before if self == file else fail)(self, data))
    else:
        monkeypatch.setattr(os, call, refused(code))
    save_files({file: b"after"})
    assert [path.read_text() for path in tmp_path.iterdir()] == ["after"]
    if call != "chmod":
        with pytest.raises(ConfigError, match="new: cannot be written: "):
            save_files({new: b""})
        assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not replaced, though its folder would allow that; nor is what comes with it."""
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("before")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != file)
    with pytest.raises(ConfigError, match="file: cannot be written: Permission denied"):
        save_files({other: b"x", file: b"after"})
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_hard_links_stay_together(tmp_path: Path) -> None:
    """A file of two names has one content under both."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("before")
    os.link(one, two)
    save_files({one: b"after"})
    assert (two.read_text(), one.samefile(two)) == ("after", True)


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_the_output_of_the_process(tmp_path: Path, name: str) -> None:
    """Where it goes to a file, what else is printed stays."""
    if not os.path.exists(name):
        pytest.skip("not on this system")
    code = f"""if True:
        from pathlib import Path
        from ddsim.showing import save_files
        print("before", flush=True)
        save_files({{Path({name!r}): b"content\\n"}})
        print("after")"""
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\ncontent\nafter\n"


def test_places_that_are_none(tmp_path: Path) -> None:
    """They are named, whatever is wrong with them."""
    for place in (tmp_path / "nowhere" / "file", tmp_path, tmp_path / "no\0letter"):
        with pytest.raises(ConfigError, match="cannot be written: "):
            save_files({place: b""})
