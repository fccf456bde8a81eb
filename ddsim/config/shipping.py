"""The commented configurations that come with ddsim: found by their names, and copied out."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from ddsim.errors import ConfigError
from ddsim.showing import save_files

_PACKAGE = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+")
# A file of categories, and the schema.
_USED = re.compile(r"^(?:categories: |# yaml-language-server: \$schema=)(\S+)", re.MULTILINE)
# A configuration that one with a matrix begins with.
_MEMBERS = re.compile(r"^[^#\n]*?(\.\./[A-Za-z0-9_-]+\.yaml)", re.MULTILINE)
#: Where `ddsim config init` puts configurations, and where those found by their names behave as if they lay.
CONFIGS = Path("configs")


def located(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The file that a path or the name of a configuration stands for.

    A file wins: one of that very name, then ``NAME.yaml`` here or in ``configs``. After those the name is one of the
    configurations that come with ddsim, such as ``photos``.

    Returns:
        The file, and the folder that relative paths in it begin from: its own or, for a file that comes with ddsim, the
        one in ``configs`` here where `ddsim config init` would put it, so that what it names lies here and not in the
        installation. A path that stands for nothing comes back as it is.
    """
    file, name = Path(path), os.fspath(path)
    here = [file, Path(f"{name}.yaml"), CONFIGS / f"{name}.yaml"] if _NAME.fullmatch(name) else [file]
    for found in here:
        if os.path.isfile(found):
            return found, Path(os.path.abspath(found)).parent
    installed = _shipped_folder() / f"{name}.yaml"
    if len(here) > 1 and os.path.isfile(installed):
        return installed, (Path.cwd() / CONFIGS / name).parent
    return file, Path(os.path.abspath(file)).parent


def shipped() -> dict[str, Path]:
    """The commented configurations that come with ddsim: file name -> path."""
    return {path.name: path for path in sorted(_shipped_folder().glob("*.yaml"))}


def write_shipped(folder: Path, overwrite: bool = False, names: Collection[str] | None = None) -> list[Path]:
    """Copy commented configurations, and the files they use, into a folder, which is made if need be.

    Args:
        folder: where to.
        overwrite: whether files that are there already are replaced; otherwise they are left alone, unless they are
            empty.
        names: of configurations, such as ``photos``; None for all of them.

    Returns:
        The files that were written.

    Raises:
        ConfigError: a name is none, the folder cannot be written, or this installation has no configurations.
    """
    source = _shipped_folder()
    files = sorted(path for path in source.rglob("*") if os.path.isfile(path) and not path.name.startswith("."))
    if not files:
        raise ConfigError(f"{source}: the commented configurations are missing; install ddsim again")
    if names is not None:
        wanted = {path for name in names for path in _belonging(source, name)}
        files = [path for path in files if path in wanted]
    contents: dict[Path, bytes] = {}
    try:
        for path in files:
            target = folder / path.relative_to(source)
            if overwrite or not os.path.exists(target) or os.path.getsize(target) == 0:
                target.parent.mkdir(parents=True, exist_ok=True)
                contents[target] = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    save_files(contents)
    return list(contents)


def _belonging(source: Path, name: str) -> list[Path]:
    """A configuration's file, and those that it uses or that editors want beside it."""
    file = source / f"{name}.yaml"
    if not _NAME.fullmatch(name) or not os.path.isfile(file):
        known = ", ".join(Path(one).stem for one in shipped())
        raise ConfigError(f"no configuration {name!r} comes with ddsim: there are {known}")
    text = file.read_text(encoding="utf-8")
    used = [file.parent / found[1] for found in _USED.finditer(text)]
    others = {Path(os.path.normpath(file.parent / found[1])) for found in _MEMBERS.finditer(text)}
    names = [path.relative_to(source).with_suffix("").as_posix() for path in sorted(others) if os.path.isfile(path)]
    return [
        file,
        *(Path(os.path.normpath(path)) for path in used),
        *(path for name in names for path in _belonging(source, name)),
    ]


def _shipped_folder() -> Path:
    # A wheel carries them inside the package; in a checkout they stand beside it.
    inside = _PACKAGE / "_configs"
    return inside if os.path.isdir(inside) else _PACKAGE.parent / "configs"
