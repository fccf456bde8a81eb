"""Files that the page keeps below the state folder: for the user alone, each written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ddsim.errors import ConfigError


def make_folder(folder: Path) -> None:
    """Make a folder that nobody else may look into.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {error.strerror or error}; see to rights there") from error


def write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all; makes its folder where somebody removed it.

    Raises:
        ConfigError: it cannot be written.
    """
    make_folder(path.parent)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror or error}; make sure that there is free space"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
