"""Files that hold what somebody wants to keep: written whole, or as they were before."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ddsim.errors import ConfigError

# Of a file that may be written, but not replaced: mounted by itself, or in a folder that is read-only.
_FIXED = frozenset({errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV, errno.EROFS})
_SYSTEM = re.compile(r"/(?:dev/(?!shm/)|proc/).*")
_OPEN = re.compile(r"/(?:dev|proc/self)/(?:fd/(\d{1,9})|std(out|err))")


def save_files(contents: Mapping[Path, bytes]) -> None:
    """Write files, all of them or none as far as it is known beforehand; those that are there are replaced.

    All are written beside their places before the first is put into its own, so a full disk changes nothing. A file
    that has another name too, or is there and cannot be replaced, is written in place.

    Args:
        contents: by file, in folders that are there. What is no regular file, such as a pipe or what lies in ``/dev``,
            is written into.

    Raises:
        ConfigError: one of them cannot be written; the message names it.
    """
    drafts: dict[Path, Path] = {}
    file = Path()
    try:
        for file, content in contents.items():
            place = Path(os.path.realpath(file))  # a link stays one
            if _is_odd(file):
                continue
            there = os.stat(place) if os.path.exists(place) else None
            if there and not os.access(place, os.W_OK):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            if there and there.st_nlink > 1:
                continue
            drafts[file] = draft = place.with_name(f".{secrets.token_hex(8)}.new")
            try:
                draft.write_bytes(content)
                if there:
                    os.chmod(draft, there.st_mode & 0o7777)
            except OSError as error:
                if not there or error.errno not in _FIXED:
                    raise
                _remove(drafts.pop(file))
        for file, content in contents.items():
            if _is_odd(file):
                _write_into(file, content)
            else:
                _put(content, drafts.get(file), Path(os.path.realpath(file)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: cannot be written: {reason or error}") from error
    finally:
        for draft in drafts.values():
            _remove(draft)


def _is_odd(file: Path) -> bool:
    """Whether it is no regular file, or the system's name of something that may be one, such as ``/dev/stdout``."""
    return bool(_SYSTEM.fullmatch(os.path.abspath(file))) or (os.path.exists(file) and not os.path.isfile(file))


def _write_into(file: Path, content: bytes) -> None:
    """Write after what is there; what is open in this process goes on behind it."""
    found = _OPEN.fullmatch(os.path.abspath(file))
    number = int(found[1] or {"out": 1, "err": 2}[found[2]]) if found else None
    with open(file if number is None else os.dup(number), "ab") as opened:
        opened.write(content)


def _put(content: bytes, draft: Path | None, place: Path) -> None:
    """Replace a file by its draft, or write it where there is none or it cannot be replaced."""
    try:
        if draft is not None:
            os.replace(draft, place)
            return
    except OSError as error:
        if error.errno not in _FIXED or not os.path.exists(place):
            raise
    place.write_bytes(content)


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink(missing_ok=True)
