"""Measures the demo network on a demo catalogue's JPEG files, as the embedded server sees them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ddsim.embedded.network import Network

SIDE = 112
MEAN = (103.94, 116.78, 123.68)
LAYER = "pool5/7x7_s1"
Array = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the network says of a catalogue's pictures: references first, then queries.

    `inputs` are (n, 3, 112, 112), `features` (n, d), `probabilities` (n, 5) in the order of `labels`; `products` and
    `categories` name each row.
    """

    inputs: Array
    features: Array
    probabilities: Array
    products: list[str]
    categories: list[str]
    references: int
    labels: list[str]

    def numbers(self) -> dict[str, float]:
        """Return accuracy on queries, and how often the nearest references hold the query's own product."""
        count = self.references
        labels = np.array([self.labels.index(category) for category in self.categories])
        said = self.probabilities.argmax(axis=1)
        queries, references = self.features[count:], self.features[:count]
        distances = ((queries[:, None, :] - references[None, :, :]) ** 2).mean(axis=2)
        near = distances.argsort(axis=1, kind="stable")
        names = np.array(self.products)
        hits = names[:count][near] == names[count:][:, None]
        within = distances + 1e9 * (labels[:count][None, :] != labels[count:][:, None])
        inside = names[:count][within.argmin(axis=1)] == names[count:]
        return {
            "queries": float(len(queries)),
            "accuracy on queries": float((said[count:] == labels[count:]).mean()),
            "accuracy on references": float((said[:count] == labels[:count]).mean()),
            "recall@1": float(hits[:, 0].mean()),
            "recall@5": float(hits[:, :5].any(axis=1).mean()),
            "recall@10": float(hits[:, :10].any(axis=1).mean()),
            "recall@1 within the category": float(inside.mean()),
            "same category among 10 nearest": float((labels[:count][near[:, :10]] == labels[count:, None]).mean()),
        }


def load(model: Path) -> Network:
    """Return the network."""
    return Network(model / "deploy.prototxt", model / "demo.caffemodel")


def network_input(path: Path) -> Array:
    """Return a picture as the network takes it: B, G, R, resized without antialiasing, less the mean."""
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is not a picture: delete it and draw the catalogue again")
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.ascontiguousarray((small - np.asarray(MEAN, np.float32)).transpose(2, 0, 1))


def measure(model: Path, catalogue: Path) -> Measured:
    """Run the network over a folder that make_demo_catalogue.py has filled."""
    references = sorted((catalogue / "catalogue").rglob("*.jpg"))
    paths = references + sorted((catalogue / "queries").rglob("*.jpg"))
    inputs = np.stack([network_input(path) for path in paths])
    network = load(model)
    return Measured(
        inputs,
        network.forward(inputs, LAYER, 32),
        network.forward(inputs, "prob", 32),
        [path.stem.split("-view")[0] for path in paths],
        [path.parent.name for path in paths],
        len(references),
        [line.split(" ", 1)[1] for line in (model / "corresp.txt").read_text("utf-8").splitlines()],
    )
