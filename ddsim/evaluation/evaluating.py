"""Configurations compared in one call: `ddsim.evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import cast

from ddsim.catalogue import PRODUCTS, named_folder
from ddsim.config import Settings
from ddsim.errors import InvalidRequest
from ddsim.evaluation.experiments import read_experiments
from ddsim.evaluation.options import Options, Step
from ddsim.evaluation.results import Evaluation
from ddsim.evaluation.run import evaluate_experiments
from ddsim.vectors import CACHE_FOLDER


def evaluate(
    configs: str | PathLike[str] | Settings | Sequence[str | PathLike[str] | Settings],
    catalogue: str | PathLike[str] | None = None,
    queries: str | PathLike[str] | None = None,
    *,
    products: str = PRODUCTS,
    limit: int | None = None,
    seed: int = 0,
    cache: str | PathLike[str] | None = None,
    progress: Callable[[Step], None] | None = None,
) -> Evaluation:
    """Measure configurations on the same labelled pictures: which one finds better, and is that more than luck?

    No index of any configuration is touched. Vectors are searched as its index searches them: at its
    ``index.precision``, and from 50,000 items on in part with ``index.approximate: auto``, which a note of the row
    says. A Milvus' index is measured as one that compares with every item.

    Args:
        configs: one configuration or several: files, names of those that come with ddsim, or settings. A file with
            ``matrix:`` stands for all combinations of its values.
        catalogue: the items, ``<category>/<picture>``; None takes the first configuration's.
        queries: photos to search with, likewise; None searches each item among all others (leave-one-out).
        products: a regular expression with a group ``product``, looked for in uris; what shows the same product of the
            same category has the same text there.
        limit: how many queries of each category at most; None takes all.
        seed: of every choice by chance, so that the same evaluation gives the same numbers.
        cache: folder for vectors and labels, which later evaluations find there; None takes the one where ``ddsim
            index`` keeps them, too.
        progress: told often; see :class:`ddsim.ProgressBar`.

    Returns:
        What was found: rows best first, and a conclusion. A configuration that fails is a row that says why.

    Raises:
        ConfigError: all configurations are wrong, there is no such folder, no picture in it can be used, or the cache
            cannot be used.
        InvalidRequest: there is no configuration, a place is named by an empty text, a number makes no sense, or the
            pattern is not a regular expression.
    """
    if not isinstance(configs, (str, PathLike, Settings, Iterable)):
        raise InvalidRequest(f"evaluate: a configuration is a file, a name or settings, not {configs!r}")
    several = [configs] if isinstance(configs, (str, PathLike, Settings)) else list(configs)
    options = Options(products=products, limit=limit, seed=seed)
    items, asked, kept = _place("catalogue", catalogue), _place("queries", queries), _place("cache", cache)
    for config in several:
        if not isinstance(config, (str, PathLike, Settings)):
            raise InvalidRequest(f"evaluate: a configuration is a file, a name or settings, not {config!r}")
    found = read_experiments([one if isinstance(one, Settings) else Path(one) for one in several])
    first = next(one.settings for one in found if one.settings is not None)
    found_out = evaluate_experiments(
        found,
        items or first.catalogue,
        asked,
        options=options,
        cache=kept or first.state / CACHE_FOLDER,
        progress=progress,
    )
    return cast(Evaluation, found_out)  # None is for what was stopped, which nobody can do here


def _place(name: str, given: str | PathLike[str] | None) -> Path | None:
    if given is None:
        return None
    try:
        return named_folder(given)
    except InvalidRequest as error:
        raise InvalidRequest(f"evaluate: {name}={given!r}: {error}") from error
