"""What `ddsim evaluate` writes: results.json for machines, report.html for people, best.yaml to go on with."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from ddsim.catalogue import Where
from ddsim.config import dump
from ddsim.errors import ConfigError
from ddsim.evaluation import Evaluation, Experiment
from ddsim.showing import printable, save_files


def make_folder(folder: Path) -> None:
    """Have the folder, before anything takes time.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror or error}") from error


def write(evaluation: Evaluation, found: Sequence[Experiment], catalogue: Where, folder: Path) -> dict[str, Path]:
    """Write results, report and the winner's configuration; without a winner an earlier one's is removed.

    Args:
        evaluation: what was found.
        found: the configurations.
        catalogue: on which; the winner's configuration names it, whatever it named before.
        folder: where to.

    Returns:
        what each is -> its file.

    Raises:
        ConfigError: one of them cannot be written; those of earlier are still there.
    """
    files = {"results": folder / "results.json", "report": folder / "report.html"}
    contents = {files["results"]: _json(evaluation), files["report"]: evaluation.to_html().encode()}
    best, own = folder / "best.yaml", _best(evaluation, found, catalogue)
    if own is not None:
        files["best"] = best
        contents[best] = own.encode()
    save_files(contents)
    if own is None:
        try:
            best.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{best}: cannot be removed: {error.strerror or error}") from error
    return files


def _json(evaluation: Evaluation) -> bytes:
    try:
        return orjson.dumps(evaluation.to_dict(), option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        # A file name that is not Unicode: the standard library escapes it.
        return json.dumps(evaluation.to_dict(), indent=2).encode()


def _best(evaluation: Evaluation, found: Sequence[Experiment], catalogue: Where) -> str | None:
    best = evaluation.rows[0]
    settings = {one.name: one.settings for one in found}.get(best.name)
    if best.failed is not None or settings is None:
        return None
    place = Path(os.path.abspath(catalogue)) if isinstance(catalogue, Path) else catalogue
    reference = settings.reference.model_copy(update={"folder": place})
    settings = settings.model_copy(update={"reference": reference})
    said = "".join(f"# {printable(line)}\n" for line in evaluation.conclusion.splitlines())
    return (
        f"# The first of an evaluation on {printable(evaluation.catalogue)}, {evaluation.when}.\n{said}{dump(settings)}"
    )
