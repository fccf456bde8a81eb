#!/usr/bin/env python
"""How often a trained classifier is right, beside the vote of the neighbours and the network's mapped labels.

    scripts/bench/training.py CONFIG CATALOGUE [--each 10] [--draws 5]

So many pictures of each category are drawn for references, again and again; all others are queries. The differences are
paired by picture and have 95 % intervals, over pictures (bootstrap). Labels count where the configuration has
`classification:` and `categories:`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddsim import Client, Settings, connect, load, scan
from ddsim.evaluation.bootstrap import bootstrap, differences
from ddsim.routing import Classifier, Shares, by_labels, pairwise, vote
from ddsim.routing.isotonic import calibrate
from ddsim.training import fit

_BATCH = 16


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--each", type=int, default=10, help="references of each category")
    parser.add_argument("--draws", type=int, default=5, help="how often they are drawn")
    given = parser.parse_args()
    settings = load(given.config)
    items = [(item.category, given.catalogue / item.uri) for item in scan(given.catalogue)]
    with tempfile.TemporaryDirectory() as folder, connect(settings) as client:
        spec = settings.similarity_spec().model_copy(update={"name": "bench-training", "repository": folder})
        layer = settings.similarity.extract_layer
        client.create_service(spec)
        parts = [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
        paths = [[path for _, path in part] for part in parts]
        vectors = np.concatenate([client.extract(spec.name, part, layer=layer) for part in paths])
        told = mapped(client, settings, paths)
        client.delete_service(spec.name)
    categories = [category for category, _ in items]
    words = f"{len(items)} pictures, {len(set(categories))} categories"
    print(f"{words}, {given.each} references of each, {given.draws} draws")
    right = accuracies(vectors, categories, told, given.each, given.draws)
    for name, values in right.items():
        one = bootstrap(values)
        print(f"{name:<12} right {100 * one.value:5.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}] %")
    for name in ("neighbours", "labels"):
        if name in right:
            gain = bootstrap(differences(right[name], right["trained"]))
            words = f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}] points"
            print(f"trained against {name}: {words}")


def mapped(client: Client, settings: Settings, parts: list[list[Path]]) -> list[Shares] | None:
    """What the network's labels say of each item; None without a classification service and categories."""
    if settings.classification is None or not settings.categories:
        return None
    classifier = Classifier(client, settings)
    return [by_labels(labels, settings.categories) for part in parts for labels in classifier.labels(part)]


def pairs(vectors: NDArray[np.float32], names: list[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distances of all pairs, and whether both are of one category."""
    upper = np.triu_indices(len(names), 1)
    return pairwise(vectors, "cosine")[upper], np.equal.outer(names, names)[upper]


def accuracies(
    vectors: NDArray[np.float32], categories: list[str], told: list[Shares] | None, each: int, draws: int
) -> dict[str, NDArray[np.float64]]:
    """Who tells -> the share of draws in which each picture was a query and was told right, shape (n,)."""
    rng, own = np.random.default_rng(0), np.array(categories)
    sums = {name: np.zeros(len(own)) for name in ("trained", "neighbours", "labels")}
    asked = np.zeros(len(own))
    distances = np.nan_to_num(pairwise(vectors, "cosine"), nan=0.0)
    for _ in range(draws):
        drawn = [rng.permutation(np.flatnonzero(own == name))[:each] for name in sorted(set(categories))]
        chosen = np.zeros(len(own), bool)
        chosen[np.concatenate(drawn)] = True
        names = own[chosen].tolist()
        head = fit(vectors[chosen], names).head
        line = calibrate(*pairs(vectors[chosen], names), centred=True)
        best = [next(iter(shares)) for shares in head.shares(vectors)]
        for query in np.flatnonzero(~chosen).tolist():
            asked[query] += 1
            near = np.argsort(distances[query, chosen])[:15]
            weights = line.probability(distances[query, chosen][near])
            voted = vote([(names[place], float(weight)) for place, weight in zip(near, weights, strict=True)])
            sums["trained"][query] += best[query] == own[query]
            sums["neighbours"][query] += next(iter(voted), None) == own[query]
            sums["labels"][query] += bool(told and next(iter(told[query]), None) == own[query])
    used = sums if told is not None else {name: values for name, values in sums.items() if name != "labels"}
    return {name: np.where(asked > 0, values / np.maximum(asked, 1), np.nan) for name, values in used.items()}


if __name__ == "__main__":
    main()
