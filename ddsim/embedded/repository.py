"""A service's repository: which of its files are the model, and what each ``clear`` removes.

Which files count follows recordings/wire/04-service-repository, 04c-directory-name-corresp and
05-service-explicit-paths; what is removed follows 07-service-get-delete and 07c-delete-explicit-paths.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ddsim.embedded.payload import a_bool, a_string
from ddsim.embedded.replies import Json, bad_parameter, internal

#: What a service keeps in its repository of the request that made it.
REQUEST = "config.json"
_LEADING_INT = re.compile(r"\s*[+-]?\d+")

Allowed = Callable[[Path], bool]


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model, each None where the repository has none and the request names none."""

    deploy: Path | None
    weights: Path | None
    corresp: Path | None
    mean: Path | None


def prepare(model: Json, allowed: Allowed) -> str:
    """Check the repository of a creation request and make it where that is asked for.

    Args:
        model: the request's ``model``.
        allowed: tells whether this server may touch a path.

    Returns:
        the repository as the request writes it.

    Raises:
        Refusal: 400/1006 where it is missing, not writable or a file; 500/1007 where it may not be made.
    """
    named = a_string(model, "repository", "")
    create = a_bool(model, "create_repository", False)
    if "init" in model:
        raise bad_parameter("failed installing model from archive, check 'init' argument to model")
    path = Path(named)
    usable = bool(named) and allowed(path)
    if usable and create:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except PermissionError:
            raise internal(f'boost::filesystem::status: Permission denied: "{named}"') from None
        except OSError:
            usable = os.path.exists(path)
    if usable and os.path.isfile(path):
        raise bad_parameter(f"file exists with same name as repository {named}")
    if not usable or not os.path.isdir(path) or not _can_serve(path):
        raise bad_parameter(f"destination model directory {named} is not writable or does not exist.")
    return named


def _can_serve(path: Path) -> bool:
    """Whether a folder may be a repository: writable, or else one that was a repository before.

    A real server wants to write in any case. Here people search with a state folder that they may only read.
    """
    return os.access(path, os.W_OK | os.X_OK) or os.path.isfile(path / REQUEST)


def find_model(model: Json, repository: str, allowed: Allowed) -> ModelFiles:
    """The model's files: those that the request names, else what the repository holds.

    As in the real server the words are looked for in the full path, so that a directory called ``...corresp...``
    hides its own deploy file.

    Raises:
        Refusal: 500/1007 where a named definition or weights file is missing, with the texts of Caffe.
    """
    found: dict[str, Path] = {}
    newest = -1.0
    for path in sorted(Path(repository).iterdir()):
        if not os.path.isfile(path) or not allowed(path):
            continue
        text = str(path)
        if "mean.binaryproto" in text:
            found["mean"] = path
        elif ".caffemodel" in text:
            changed = path.stat().st_mtime
            if changed > newest:
                found["weights"], newest = path, changed
        elif "corresp" in text:
            if "corresp" in path.name or "corresp" not in found:
                found["corresp"] = path
        elif "deploy.prototxt" in text:
            found["deploy"] = path
    for key, word, line in (("deploy", "def", 55), ("weights", "weights", 74)):
        if word in model:
            found[key] = Path(a_string(model, word, ""))
            if not os.path.isfile(found[key]) or not allowed(found[key]):
                raise internal(f"src/caffe/util/io.cpp:{line} / Check failed (custom): (fd) != (-1)")
    if "corresp" in model:
        found["corresp"] = Path(a_string(model, "corresp", ""))
    return ModelFiles(found.get("deploy"), found.get("weights"), found.get("corresp"), found.get("mean"))


def read_labels(path: Path | None) -> dict[int, str]:
    """The labels of a corresp file, ``<index> <label>`` a line; none where there is no such file.

    Raises:
        Refusal: 500/1007 where a line does not begin with a number.
    """
    if path is None or not os.path.isfile(path):
        return {}
    labels = {}
    for line in path.read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        if not line:
            continue
        key, _, label = line.partition(" ")
        number = _LEADING_INT.match(key)
        if number is None:
            raise internal("stoi")
        labels[int(number[0])] = label or key
    return labels


def clear_library(repository: Path, words: tuple[str, ...]) -> None:
    """``clear=lib``: remove the files directly in the repository that have one of these words in their names.

    The real server looks for these words in the full path, so that everything goes where a directory above is called
    ``x.data``; here only the file's own name counts.
    """
    for entry in os.scandir(repository):
        if any(word in entry.name for word in words) and not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)


def clear_all(repository: Path) -> None:
    """``clear=full``: empty the repository; links are removed, what they point to stays."""
    for entry in os.scandir(repository):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
