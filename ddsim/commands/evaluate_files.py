"""What `ddsim evaluate` writes: results.json for machines, report.html for people, best.yaml to go on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import orjson

from ddsim.config import dump
from ddsim.errors import ConfigError
from ddsim.evaluation import Evaluation, Experiment
from ddsim.showing import printable


def make_folder(folder: Path) -> None:
    """Have the folder, before anything takes time.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror or error}") from error


def write(evaluation: Evaluation, found: Sequence[Experiment], folder: Path) -> dict[str, Path]:
    """Write results, report and the winner's configuration; without a winner an earlier one's is removed.

    Returns:
        what each is -> its file.

    Raises:
        ConfigError: one of them cannot be written.
    """
    files = {"results": folder / "results.json", "report": evaluation.save(folder / "report.html")}
    best, own = folder / "best.yaml", _best(evaluation, found)
    try:
        files["results"].write_bytes(_json(evaluation))
        if own is None:
            best.unlink(missing_ok=True)
        else:
            best.write_bytes(own.encode())
            files["best"] = best
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror or error}") from error
    return files


def _json(evaluation: Evaluation) -> bytes:
    try:
        return orjson.dumps(evaluation.to_dict(), option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        # A file name that is not Unicode: the standard library escapes it.
        return json.dumps(evaluation.to_dict(), indent=2).encode()


def _best(evaluation: Evaluation, found: Sequence[Experiment]) -> str | None:
    best = evaluation.rows[0]
    settings = {one.name: one.settings for one in found}.get(best.name)
    if best.failed is not None or settings is None:
        return None
    said = "".join(f"# {printable(line)}\n" for line in evaluation.conclusion.splitlines())
    return (
        f"# The first of an evaluation on {printable(evaluation.catalogue)}, {evaluation.when}.\n{said}{dump(settings)}"
    )
