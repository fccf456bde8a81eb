"""A user's own Caffe network, run by ONNX Runtime.

The vectors agree with those of a real server (recordings/wire/61-golden-squeezenet-pool10, 62-golden-tiny-pool1).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddsim.caffe import BlobError, Definition, PrototxtError, read_definition, read_weights
from ddsim.embedded.files import Files, NetworkError
from ddsim.embedded.graph import Graph, GraphError
from ddsim.embedded.runtime import LARGEST_PASS, Hardware, RuntimeFailure, Session, cores

#: Layers whose first blob the real server counts (recordings/wire/02-service-create); biases are not counted.
_COUNTED = {"Convolution", "Deconvolution", "InnerProduct"}
#: Layers share a session where that costs the one that is computed first no more than this.
_COMMON_WORK = 1.1
#: About as many as AlexNet has, nearly all of them in layers that use each once a picture.
_MANY_WEIGHTS = 60_000_000
#: Of how many passes, of how many pictures at most, the results are remembered.
_PASSES, _PICTURES = 4, 8


class UnknownLayer(NetworkError):
    """The network has no layer of that name."""


class ShapeMismatch(NetworkError):
    """The pictures have another shape than the network's input."""


@dataclass(frozen=True)
class _Loaded:
    """A session and the layers it gives: layer -> name of its output."""

    session: Session
    outputs: dict[str, str]


@dataclass(frozen=True)
class _Pass:
    """The pictures of one pass, and what each layer of its session gave: (n, ...)."""

    pictures: NDArray[np.float32]
    given: dict[str, NDArray[np.float32]]


class Network:
    """A loaded network; safe to use from several threads at once.

    ONNX Runtime computes all that a model holds, so there is a session for the layers that have been asked for, each
    cut off behind the last of them. Layers that lie close together, as the last pooling and the probabilities do, share
    one: then a picture that is asked about both goes through the network once.

    Where a real server keeps random values for a layer that the weights do not name, this one refuses the files.

    Attributes:
        files: what it was read from.
        asked: when it ran last, by ``time.monotonic``.
        parameters: number of weights without biases, as a real server shows it (recordings/wire/02-service-create).

    Args:
        definition: ``deploy.prototxt``.
        weights: ``.caffemodel``.
        hardware: what it may use.

    Raises:
        NetworkError: one of the files cannot be read, is damaged, or does not fit the other.
    """

    def __init__(self, definition: Path, weights: Path, hardware: Hardware | None = None) -> None:
        self.files = Files(definition, weights)
        self._hardware = hardware or Hardware()
        self._lock = threading.Lock()
        self._sessions: list[_Loaded] = []
        self._used: set[str] = set()
        self._passes: deque[_Pass] = deque(maxlen=_PASSES)
        self.asked = time.monotonic()
        self._definition, graph, self.parameters = self._read()
        self._widths = {self._definition.input_layer: math.prod(self.input_shape)} | graph.widths
        if self._definition.layers:
            self._sessions = [self._load(graph, [self.layers[-1]])]
            self._run(self._sessions[0], np.zeros((1, *self.input_shape), np.float32))

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

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU."""
        return any(loaded.session.on_gpu for loaded in self._sessions)

    def forward(self, inputs: NDArray[np.float32], layer: str | None, batch: int) -> NDArray[np.float32]:
        """Run pictures up to a layer.

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
            NetworkError: ONNX Runtime cannot run the network.
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
        self.asked = time.monotonic()
        remembered = self._remembered(inputs, name)
        if remembered is not None:
            return remembered
        loaded = self._session_for(name)
        step = min(batch, self._largest_pass())
        parts = [self._run(loaded, inputs[start : start + step]) for start in range(0, len(inputs), step)]
        if len(parts) == 1:
            self._remember(inputs, parts[0])
        outputs = np.empty((len(inputs), self._widths[name]), np.float32)
        for start, part in zip(range(0, len(inputs), step), parts, strict=True):
            outputs[start : start + step] = part[name].reshape(-1, self._widths[name])
        return outputs

    def release(self) -> None:
        """Give back the memory of the weights; the next pass reads them from their files again.

        Passes that run at this moment end well.
        """
        with self._lock:
            self._sessions = []
            self._passes.clear()

    def _largest_pass(self) -> int:
        """So many pictures that what layers give each other stays in the processor's cache: two a core.

        Networks of many weights take longer to read those than to use them: the more pictures at a time the better.
        """
        if self.on_gpu or self.parameters > _MANY_WEIGHTS:
            return LARGEST_PASS
        return min(LARGEST_PASS, 2 * (self._hardware.threads or cores()))

    def _read(self) -> tuple[Definition, Graph, int]:
        """The definition, its graph, and the number of weights."""
        text, data = self.files.read()
        where = self.files.paths
        try:
            # Names pass through as the bytes they are; weights are found by them.
            definition = read_definition(text.decode("utf-8", "surrogateescape"))
        except PrototxtError as problem:
            raise NetworkError(f"{where[0]}: {problem}") from problem
        try:
            weights = read_weights(data)
        except BlobError as problem:
            raise NetworkError(f"{where[1]}: {problem}") from problem
        try:
            graph = Graph(definition, weights)
        except (GraphError, PrototxtError) as problem:
            raise NetworkError(f"{self.files}: {problem}") from problem
        counted = (layer.text("name") for layer in definition.layers if layer.text("type") in _COUNTED)
        return definition, graph, sum(weights[name][0].size for name in counted)

    def _load(self, graph: Graph, layers: Iterable[str]) -> _Loaded:
        model = graph.model(sorted(layers))
        try:
            return _Loaded(Session(model.proto, self._hardware, model.weights), model.outputs)
        except RuntimeFailure as problem:
            raise NetworkError(f"{self.files}: ONNX Runtime refuses it: {problem}") from problem

    def _session_for(self, layer: str) -> _Loaded:
        with self._lock:
            self._used.add(layer)
            for loaded in self._sessions:
                if layer in loaded.outputs:
                    return loaded
            graph = self._read()[1]
            # A session of nothing but layers that nobody asks for is let go.
            kept = [loaded for loaded in self._sessions if self._used & loaded.outputs.keys()]
            wanted = {layer}
            for loaded in kept:
                together = wanted | (self._used & loaded.outputs.keys())
                works = [graph.work(one) for one in together]
                if max(works) <= _COMMON_WORK * min(works):
                    wanted = together
            kept = [loaded for loaded in kept if not wanted & loaded.outputs.keys()]
            found = self._load(graph, wanted)
            self._sessions = [*kept, found]
            return found

    def _run(self, loaded: _Loaded, pictures: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        try:
            given = loaded.session.run(list(loaded.outputs.values()), pictures)
        except RuntimeFailure as problem:
            raise NetworkError(f"{self.files}: layer {max(loaded.outputs)!r} cannot be run: {problem}") from problem
        return dict(zip(loaded.outputs, given, strict=True))

    def _remembered(self, pictures: NDArray[np.float32], layer: str) -> NDArray[np.float32] | None:
        """What a layer gave for the same pictures a moment ago, when another one was asked for."""
        for one in list(self._passes):
            if layer in one.given and np.array_equal(one.pictures, pictures):
                return one.given[layer].reshape(len(pictures), -1)
        return None

    def _remember(self, pictures: NDArray[np.float32], given: dict[str, NDArray[np.float32]]) -> None:
        if len(given) > 1 and len(pictures) <= _PICTURES:
            self._passes.append(_Pass(pictures, given))
