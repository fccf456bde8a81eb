"""A user's own ONNX network, run by OpenCV's DNN module.

It stands in the place of the traced network (``.pt``) of a Torch service: ``torch.onnx.export`` writes one from the
same module.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ddsim.caffe.protobuf import ProtobufError, fields, integers
from ddsim.embedded.files import NetworkError
from ddsim.embedded.opencv import LARGEST_PASS, reason

# Field numbers of onnx.proto.
_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_KIND = 1, 2, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_ELSEWHERE = 1, 2, 8, 9, 14
_VALUE_NAME = 1
#: Bytes a number of each type of tensor: floats of 32, 16 and 64 bits, which are weights; whole numbers and booleans,
#: which are shapes and axes.
_FLOATS, _OTHERS = {1: 4, 10: 2, 11: 8}, {2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 12: 4, 13: 8}


class OnnxNetwork:
    """A loaded network; safe to use from several threads, which take turns.

    Attributes:
        parameters: how many numbers its weights are, biases and running statistics included.

    Args:
        path: the ``.onnx`` file.

    Raises:
        NetworkError: it cannot be read, is damaged, or holds what OpenCV cannot run.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise NetworkError(f"{path}: cannot be read: {problem.strerror}") from problem
        try:
            graph = _read_graph(data)
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        except (ProtobufError, cv2.error) as problem:
            raise NetworkError(f"{path}: {reason(problem)}") from problem
        # Fused, an output that other layers take as well would be gone.
        self._net.enableFusion(False)
        self._lock = threading.Lock()
        self._output = graph.outputs[0]
        self.parameters = graph.parameters

    def forward(self, inputs: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
        """Run pictures through the network.

        Args:
            inputs: (n, c, h, w), preprocessed; n at least 1.
            batch: how many pictures to run at a time at most.

        Returns:
            (n, ...): the network's first output.

        Raises:
            NetworkError: OpenCV cannot run it on such pictures.
        """
        step = min(batch, LARGEST_PASS)
        outputs = []
        try:
            with self._lock:
                for start in range(0, len(inputs), step):
                    part = np.ascontiguousarray(inputs[start : start + step])
                    self._net.setInput(part)
                    outputs.append(np.array(self._net.forward(self._output)))
                    if len(outputs[-1]) != len(part):
                        raise NetworkError(f"{len(outputs[-1])} results for {len(part)} pictures")
        except cv2.error as problem:
            raise NetworkError(reason(problem)) from problem
        return np.concatenate(outputs)


@dataclass
class _Graph:
    """What a file says of its network: names of tensors, and how many weights there are."""

    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    parameters: int = 0


def _read_graph(data: bytes) -> _Graph:
    """Read a file to its end, so that nothing cut off, and no name that is not there, reaches OpenCV."""
    messages = [value for number, value in fields(memoryview(data)) if number == _GRAPH]
    if len(messages) != 1 or isinstance(messages[0], int):
        raise ProtobufError("it is no ONNX file")
    members = [(number, value) for number, value in fields(messages[0]) if not isinstance(value, int)]
    graph = _Graph()
    for number, value in members:
        if number == _INITIALIZER:
            _read_tensor(graph, value)
    # Old files list the weights among the inputs, too.
    names = [_name(value, _VALUE_NAME) for number, value in members if number == _INPUT]
    graph.inputs = [name for name in names if name not in graph.known]
    graph.known.update(graph.inputs)
    for number, value in members:
        if number == _NODE:
            _read_node(graph, value)
    graph.outputs = [_name(value, _VALUE_NAME) for number, value in members if number == _OUTPUT]
    if len(graph.inputs) != 1 or not graph.outputs:
        raise ProtobufError(f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; expected one of each")
    if missing := set(graph.outputs) - graph.known:
        raise ProtobufError(f"nothing computes its output {missing.pop()!r}")
    return graph


def _read_tensor(graph: _Graph, tensor: memoryview) -> None:
    name, kind = _name(tensor, _TENSOR_NAME), next(integers(tensor, _TENSOR_TYPE), 0)
    count = math.prod(integers(tensor, _TENSOR_DIMS))
    size = (_FLOATS | _OTHERS).get(kind)
    if size is None:
        raise ProtobufError(f"tensor {name!r} is of type {kind}, which the embedded server does not know")
    if any(integers(tensor, _TENSOR_ELSEWHERE)):
        raise ProtobufError(f"the numbers of tensor {name!r} lie in another file; export it with external_data=False")
    raw = [len(value) for number, value in fields(tensor) if number == _TENSOR_RAW and not isinstance(value, int)]
    if raw and sum(raw) != count * size:
        raise ProtobufError(f"tensor {name!r} of {count} numbers holds {sum(raw)} bytes")
    graph.known.add(name)
    if kind in _FLOATS:
        graph.parameters += count


def _read_node(graph: _Graph, node: memoryview) -> None:
    kind = _name(node, _NODE_KIND)
    _texts(node, _NODE_NAME)
    for name in _texts(node, _NODE_INPUT):
        if name and name not in graph.known:
            raise ProtobufError(f"a node of type {kind!r} takes {name!r}, which nothing before it gives")
    graph.known.update(_texts(node, _NODE_OUTPUT))


def _name(message: memoryview, wanted: int) -> str:
    found = _texts(message, wanted)
    if not found:
        raise ProtobufError("it is damaged: something in it has no name")
    return found[-1]


def _texts(message: memoryview, wanted: int) -> list[str]:
    found = [bytes(value) for number, value in fields(message) if number == wanted and not isinstance(value, int)]
    try:
        return [text.decode() for text in found]
    except UnicodeDecodeError:
        raise ProtobufError("it is damaged: a name in it is not UTF-8") from None
