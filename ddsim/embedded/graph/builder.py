"""The ONNX nodes of a network while it is being built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper

from ddsim.caffe import Shape
from ddsim.embedded.graph.layer import GraphError

#: Numbers that a blob may hold for one picture: 1 GB. No network for pictures comes near it.
_LARGEST = 1 << 28


@dataclass(frozen=True)
class Blob:
    """What a layer gives.

    Attributes:
        tensor: its name in the graph.
        shape: for one picture, so that the first number is 1; in a pass it is how many pictures there are.
    """

    tensor: str
    shape: Shape


@dataclass(frozen=True)
class Step:
    """A node, and the multiplications and additions that it takes for one picture."""

    node: onnx.NodeProto
    work: int


class Builder:
    """Collects nodes and constants.

    Attributes:
        steps: the nodes, each behind those it takes from.
        constants: name -> weights and other numbers that nodes take.
        label: the layer at work; nodes are called after it, so that ONNX Runtime's errors name it.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.label = ""

    def add(
        self, operator: str, inputs: Sequence[Blob | str], shape: Shape, *, work: int | None = None, **attributes: Any
    ) -> Blob:
        """Add a node.

        Args:
            operator: ONNX's.
            inputs: what it takes: blobs, or the names of constants.
            shape: of what it gives for one picture.
            work: multiplications and additions for one picture; None means one for each number it gives.
            attributes: the node's.

        Raises:
            GraphError: the result would be empty or larger than anything that runs.
        """
        return self.add_many(operator, inputs, [shape], work=work, **attributes)[0]

    def add_many(
        self,
        operator: str,
        inputs: Sequence[Blob | str],
        shapes: Sequence[Shape],
        *,
        work: int | None = None,
        **attributes: Any,
    ) -> list[Blob]:
        """Add a node with several outputs; see :meth:`add`."""
        for shape in shapes:
            if not 0 < math.prod(shape) <= _LARGEST or min(shape) < 1:
                raise GraphError(f"layer {self.label!r}: its output would be of shape {list(shape[1:])} a picture")
        blobs = [Blob(f"t{len(self.steps)}.{i}", tuple(shape)) for i, shape in enumerate(shapes)]
        names = [one if isinstance(one, str) else one.tensor for one in inputs]
        label = f"{self.label}#{len(self.steps)}".encode("ascii", "backslashreplace").decode()
        node = helper.make_node(operator, names, [blob.tensor for blob in blobs], name=label, **attributes)
        self.steps.append(Step(node, sum(math.prod(shape) for shape in shapes) if work is None else work))
        return blobs

    def constant(self, values: ArrayLike, kind: type[np.generic] = np.float32) -> str:
        """Numbers that a node takes: float32, or int64 for sizes and axes. Returns their name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, kind)
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Sizes or axes that a node takes."""
        return self.constant(values, np.int64)

    def reshaped(self, blob: Blob, shape: Shape) -> Blob:
        """The same numbers of each picture in another shape."""
        return self.add("Reshape", [blob, self.integers([0, *shape[1:]])], shape, work=0)

    def scaled(self, blob: Blob, factor: float, shift: float) -> Blob:
        """``factor * x + shift``, without the steps that change nothing."""
        if factor != 1.0:
            blob = self.add("Mul", [blob, self.constant(factor)], blob.shape)
        if shift != 0.0:
            blob = self.add("Add", [blob, self.constant(shift)], blob.shape)
        return blob
