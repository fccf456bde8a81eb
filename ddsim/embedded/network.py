"""A user's own Caffe network, run by OpenCV's DNN module.

The vectors agree with those of a real server (recordings/wire/61-golden-squeezenet-pool10, 62-golden-tiny-pool1).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ddsim.caffe import BlobError, PrototxtError, Shape, read_shapes
from ddsim.embedded.definition import Definition, read_definition
from ddsim.embedded.opencv import LARGEST_PASS, reason
from ddsim.embedded.weights import WeightsError, check_outputs, check_shapes

#: Layers whose first blob the real server counts (recordings/wire/02-service-create); biases are not counted.
_COUNTED = {"Convolution", "Deconvolution", "InnerProduct"}


class NetworkError(Exception):
    """The files of a network cannot be read, or do not fit one another; the message names file and layer."""


class UnknownLayer(NetworkError):
    """The network has no layer of that name."""


class ShapeMismatch(NetworkError):
    """The pictures have another shape than the network's input."""


class Network:
    """A loaded network; safe to use from several threads, which take turns.

    Where a real server keeps random values for a layer that the weights do not name, this one refuses the files.

    Args:
        definition: ``deploy.prototxt``.
        weights: ``.caffemodel``.

    Raises:
        NetworkError: one of the files cannot be read, is damaged, or does not fit the other.
    """

    def __init__(self, definition: Path, weights: Path) -> None:
        try:
            # Names pass through as the bytes they are; weights are found by them.
            self._definition = read_definition(_read(definition).decode("utf-8", "surrogateescape"))
        except PrototxtError as problem:
            raise NetworkError(f"{definition}: {problem}") from problem
        data = _read(weights)
        try:
            blobs = read_shapes(data)
        except BlobError as problem:
            raise NetworkError(f"{weights}: {problem}") from problem
        self._lock = threading.Lock()
        try:
            self._net, self._widths = _load(self._definition, data, blobs)
        except (PrototxtError, WeightsError, cv2.error) as problem:
            raise NetworkError(f"{definition} with {weights}: {reason(problem)}") from problem
        self.parameters = sum(
            math.prod(blobs[layer.text("name")][0])
            for layer in self._definition.layers
            if layer.text("type") in _COUNTED
        )
        """Number of weights without biases, as a real server shows it (recordings/wire/02-service-create)."""
        self.forward(np.zeros((1, *self.input_shape), np.float32), None, 1)

    @property
    def head(self) -> str:
        """How the definition declares its input: ``MemoryData``, ``Input`` (a layer) or ``input`` (a field)."""
        return self._definition.head

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self._definition.input_shape

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers' names in the order of the definition, the input layer first."""
        return self._definition.names

    @property
    def classes(self) -> int:
        """Length of the last layer's output for one picture."""
        return self._widths[self.layers[-1]]

    def forward(self, inputs: NDArray[np.float32], layer: str | None, batch: int) -> NDArray[np.float32]:
        """Run pictures up to a layer, and no further.

        Like a real server's, the pass ends at the named layer: a layer that works in place on its output (ReLU,
        BatchNorm, Scale) has not run yet (recordings/wire/62-golden-tiny-pool1: ``fc1`` holds negative values).

        Args:
            inputs: (n, c, h, w), preprocessed.
            layer: the name of a layer, not of a blob; None for the last one. The input layer's name gives the pictures.
            batch: how many pictures to run at a time at most; the vectors do not depend on it.

        Returns:
            (n, d): the layer's first output, flattened.

        Raises:
            UnknownLayer: there is no layer of that name.
            ShapeMismatch: the pictures are not of ``input_shape``.
            NetworkError: OpenCV cannot run the network.
            ValueError: ``batch`` is less than 1.
        """
        name = self.layers[-1] if layer is None else layer
        if name not in self._widths:
            raise UnknownLayer(f"unknown layer {name!r}; the network has {', '.join(self.layers)}")
        if inputs.shape[1:] != self.input_shape:
            raise ShapeMismatch(f"pictures of shape {inputs.shape[1:]} for a network that takes {self.input_shape}")
        if batch < 1:
            raise ValueError(f"batch is {batch}; expected at least 1")
        inputs = np.ascontiguousarray(self._definition.transformed(inputs), np.float32)
        if name == self._definition.input_layer:
            return inputs.reshape(len(inputs), -1)
        outputs = np.empty((len(inputs), self._widths[name]), np.float32)
        step = min(batch, LARGEST_PASS)
        try:
            with self._lock:
                for start in range(0, len(inputs), step):
                    part = inputs[start : start + step]
                    self._net.setInput(part)
                    outputs[start : start + step] = self._net.forward(name).reshape(len(part), -1)
        except (cv2.error, ValueError) as problem:
            raise NetworkError(f"layer {name!r} cannot be run: {reason(problem)}") from problem
        return outputs


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise NetworkError(f"{path}: cannot be read: {problem.strerror}") from problem


def _load(
    definition: Definition, weights: bytes, blobs: Mapping[str, list[Shape]]
) -> tuple[cv2.dnn.Net, dict[str, int]]:
    """The network, and the flattened length of each layer's output."""
    for layer in definition.layers:
        check_outputs(layer, blobs)
    text = definition.runnable().encode("utf-8", "surrogateescape")
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), np.frombuffer(weights, np.uint8))
    # Fused, a convolution's own output is gone: OpenCV then gives what stands after the layers behind it. Costs 5 %.
    net.enableFusion(False)
    ids, inputs, outputs = net.getLayersShapes([1, *definition.input_shape])
    places = {int(number): place for place, number in enumerate(np.ravel(ids))}
    widths = {definition.input_layer: math.prod(definition.input_shape)}
    for layer in definition.layers:
        name = layer.text("name")
        number = net.getLayerId(name)
        if number not in places:
            raise PrototxtError(f"OpenCV has made no layer of {name!r} ({layer.text('type')})")
        place = places[number]
        if inputs[place]:
            check_shapes(layer, tuple(map(int, inputs[place][0])), blobs)
        widths.setdefault(name, math.prod(map(int, outputs[place][0])))
    return net, widths
