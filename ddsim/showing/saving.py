"""Files that hold what somebody wants to keep: written whole, or as they were before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ddsim.errors import ConfigError


def save_files(contents: Mapping[Path, bytes]) -> None:
    """Write files, all of them or none as far as it is known beforehand; those that are there are replaced.

    All are written beside their places before the first is put into its own, so a full disk changes nothing.

    Args:
        contents: by file, in folders that are there. What is no regular file, such as a pipe, is written into.

    Raises:
        ConfigError: one of them cannot be written; the message names it.
    """
    drafts: dict[Path, Path] = {}
    file = Path()
    try:
        for file, content in contents.items():
            if os.path.exists(file) and not os.path.isfile(file):
                file.write_bytes(content)
                continue
            place = Path(os.path.realpath(file))  # a link stays one
            draft = place.with_name(f".{secrets.token_hex(8)}.new")
            drafts[file] = draft
            draft.write_bytes(content)
            if os.path.exists(place):
                os.chmod(draft, os.stat(place).st_mode & 0o7777)
        for file, draft in drafts.items():
            os.replace(draft, os.path.realpath(file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: cannot be written: {reason or error}") from error
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)
