"""Another classifier on a network's features: a definition that ends with it, and weights that hold it as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddsim.caffe import Message, PrototxtError, add_weights, parse, read_definition, to_text, upgraded
from ddsim.networks.layers import inner_product, prototxt, softmax

#: The layers that a head consists of; the second gives the probabilities.
SCORES, PROBABILITIES = "head", "head/prob"


def with_head(
    text: str, weights: bytes, layer: str, factors: NDArray[np.floating], bias: NDArray[np.floating]
) -> tuple[str, bytes]:
    """Put a linear classifier in the place of all that stands behind a layer.

    The network's own weights stay as they are; those of the head are one more layer at their end.

    Args:
        text: a ``deploy.prototxt``.
        weights: the ``.caffemodel`` that fits it.
        layer: whose values the classifier takes.
        factors: of the values, shape (labels, values).
        bias: shape (labels,).

    Returns:
        Definition and weights.

    Raises:
        PrototxtError: the definition cannot be read, has no such layer, or has one with a head's name before it.
        BlobError: the weights are damaged.
    """
    definition = read_definition(text)
    if layer not in definition.names:
        raise PrototxtError(f"there is no layer {layer!r}")
    kept: list[tuple[str, str | Message]] = []
    features = definition.input_blob
    for key, value in upgraded(parse(text)).fields:
        kept.append((key, value))
        if key == "layer" and isinstance(value, Message) and value.text("name") == layer:
            features = value.text("top", features)
            break
    if {SCORES, PROBABILITIES} & {value.text("name") for _, value in kept if isinstance(value, Message)}:
        raise PrototxtError(f"a layer before {layer!r} is called {SCORES!r} or {PROBABILITIES!r} already")
    head = inner_product(SCORES, features, factors.astype(np.float32), bias.astype(np.float32))
    added = [head, softmax(PROBABILITIES, SCORES)]
    kept += [(key, value) for key, value in parse(prototxt("", added)).fields if key == "layer"]
    return to_text(Message(kept)), add_weights(weights, {head.name: head.blobs})
