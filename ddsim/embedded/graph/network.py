"""The graph of a whole network, and the part of it that gives certain layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ddsim.caffe import Definition, PrototxtError, Weights
from ddsim.embedded.graph import activations, combinations, convolutions, normalizations, pooling, shapes
from ddsim.embedded.graph.builder import Blob, Builder, Step
from ddsim.embedded.graph.layer import GraphError, Layer

Kind = Callable[[Layer, Sequence[Blob], Builder], list[Blob]]

_KINDS: dict[str, Kind] = {
    **activations.KINDS,
    **combinations.KINDS,
    **convolutions.KINDS,
    **normalizations.KINDS,
    **pooling.KINDS,
    **shapes.KINDS,
}
#: What any onnxruntime of the last years runs.
_OPSET, _IR_VERSION = 17, 8
#: The graph's own input.
INPUT = "pictures"
#: Smaller constants stand in the model itself, where ONNX Runtime's optimizers look for sizes and axes.
_SMALL = 1024


@dataclass(frozen=True)
class Model:
    """A graph as ONNX Runtime loads it.

    Attributes:
        proto: the serialized model. Large weights are only announced in it.
        weights: name -> the numbers of these; given aside, they are not copied once more.
        outputs: layer -> the name of its tensor.
    """

    proto: bytes
    weights: dict[str, NDArray[np.float32]]
    outputs: dict[str, str]


class Graph:
    """A network whose layers are all known and whose weights all fit.

    Args:
        definition: what runs.
        weights: layer name -> blobs.

    Raises:
        GraphError: naming the layer that is not known, does not fit what it takes, or lacks its weights.
    """

    def __init__(self, definition: Definition, weights: Weights) -> None:
        self._input_shape = definition.input_shape
        self._builder = Builder()
        self._given: dict[str, Blob] = {}
        blobs = {definition.input_blob: Blob(INPUT, (1, *definition.input_shape))}
        for message in definition.layers:
            layer = Layer(message, weights)
            self._builder.label = layer.name
            taken = [_found(layer, name, blobs) for name in message.texts("bottom")]
            try:
                outputs = _kind(layer)(layer, taken, self._builder)
            except PrototxtError as problem:
                raise layer.error(str(problem)) from None
            # What works in place takes a name over: only those that come after it see its result.
            blobs.update(zip(layer.tops, outputs, strict=False))
            self._given[layer.name] = outputs[0]
        self._check()

    @property
    def widths(self) -> dict[str, int]:
        """Layer -> length of its first output for one picture, flattened."""
        return {name: math.prod(blob.shape) for name, blob in self._given.items()}

    def work(self, layer: str) -> int:
        """Multiplications and additions that a layer takes for one picture, with all before it."""
        return sum(step.work for step in self._needed([layer]))

    def model(self, layers: Collection[str]) -> Model:
        """The part of the graph that gives these layers, and no more: ONNX Runtime runs all that a model holds."""
        outputs = {layer: self._given[layer].tensor for layer in layers}
        steps = list(self._needed(layers))
        taken = {name for step in steps for name in step.node.input}
        constants = {name: values for name, values in self._builder.constants.items() if name in taken}
        aside = {name: np.ascontiguousarray(values) for name, values in constants.items() if values.size > _SMALL}
        graph = helper.make_graph(
            [step.node for step in steps],
            "network",
            [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["n", *self._input_shape])],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in set(outputs.values())],
            [
                _announced(name, values) if name in aside else numpy_helper.from_array(values, name)
                for name, values in constants.items()
            ],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="ddsim"
        )
        return Model(model.SerializeToString(), aside, outputs)

    def _needed(self, layers: Collection[str]) -> Iterator[Step]:
        wanted = {self._given[layer].tensor for layer in layers}
        kept = []
        for step in reversed(self._builder.steps):
            if wanted.intersection(step.node.output):
                wanted.update(step.node.input)
                kept.append(step)
        return reversed(kept)

    def _check(self) -> None:
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = _IR_VERSION, {"": _OPSET}
        for step in self._builder.steps:
            try:
                onnx.checker.check_node(step.node, context)
            except onnx.checker.ValidationError as problem:
                raise GraphError(f"layer {step.node.name!r}: {problem}") from problem


def _kind(layer: Layer) -> Kind:
    if layer.kind not in _KINDS:
        raise layer.error("the embedded server does not know this type of layer; use a real DeepDetect server for it")
    return _KINDS[layer.kind]


def _found(layer: Layer, name: str, blobs: dict[str, Blob]) -> Blob:
    if name not in blobs:
        raise layer.error(f"takes {name!r}, which no layer before it gives")
    return blobs[name]


def _announced(name: str, values: NDArray[np.float32]) -> onnx.TensorProto:
    """A tensor whose numbers are given to ONNX Runtime aside."""
    tensor = onnx.TensorProto(name=name, dims=values.shape, data_type=onnx.TensorProto.FLOAT)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="aside")
    return tensor
