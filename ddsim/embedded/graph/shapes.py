"""Layers that only put numbers into another order, and ArgMax, which tells where the largest are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from ddsim.embedded.graph.builder import Blob, Builder
from ddsim.embedded.graph.layer import Layer


def flatten(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Flatten: several axes in a row become one."""
    taken, settings = layer.only(inputs), layer.settings("flatten_param")
    dimensions = len(taken.shape)
    first, last = settings.axis("axis", 1, dimensions), settings.axis("end_axis", -1, dimensions)
    if last < first:
        raise layer.error(f"axis {first} lies behind end_axis {last}")
    middle = math.prod(taken.shape[first : last + 1])
    return [builder.reshaped(taken, (*taken.shape[:first], middle, *taken.shape[last + 1 :]))]


def reshape(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Reshape: 0 keeps a size, -1 is what remains."""
    taken, settings = layer.only(inputs), layer.settings("reshape_param")
    given = [size for shape in settings.message.messages("shape") for size in shape.integers("dim")]
    dimensions, axes = len(taken.shape), settings.integer("num_axes", -1)
    # Caffe counts one further from the end here: -1 is behind the last axis.
    axis = settings.integer("axis", 0)
    start = axis + dimensions + 1 if axis < 0 else axis
    end = dimensions if axes == -1 else start + axes
    if not 0 <= start <= end <= dimensions:
        raise layer.error(f"axis {axis} and num_axes {axes}, where what it takes has {dimensions} dimensions")
    replaced = taken.shape[start:end]
    if (
        given.count(-1) > 1
        or min(given, default=0) < -1
        or any(size == 0 and place >= len(replaced) for place, size in enumerate(given))
    ):
        raise layer.error(f"cannot make {given} of {list(replaced)}")
    sizes = [replaced[place] if size == 0 else size for place, size in enumerate(given)]
    known = math.prod(size for size in sizes if size != -1)
    sizes = [math.prod(replaced) // known if size == -1 else size for size in sizes]
    shape = (*taken.shape[:start], *sizes, *taken.shape[end:])
    if math.prod(shape) != math.prod(taken.shape) or not shape or shape[0] != 1:
        raise layer.error(f"cannot make {list(shape)} of {list(taken.shape)}, the first of which counts the pictures")
    return [builder.reshaped(taken, shape)]


def permute(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Permute: the axes in another order."""
    taken, order = layer.only(inputs), layer.settings("permute_param").integers("order")
    dimensions = len(taken.shape)
    order = [*order, *(axis for axis in range(dimensions) if axis not in order)]
    if sorted(order) != list(range(dimensions)) or order[0] != 0:
        raise layer.error(f"order {order}, where what it takes has {dimensions} dimensions and the first must stay")
    shape = tuple(taken.shape[axis] for axis in order)
    return [builder.add("Transpose", [taken], shape, work=0, perm=order)]


def arg_max(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """ArgMax: where the largest numbers are, as float; of equal ones the last comes first, as in Caffe."""
    taken, settings = layer.only(inputs), layer.settings("argmax_param")
    count, values = settings.integer("top_k", 1), settings.flag("out_max_val", False)
    along = bool(settings.message.texts("axis"))
    if along:
        axis = settings.axis("axis", 1, len(taken.shape))
    else:
        axis, taken = 2, builder.reshaped(taken, (1, 1, math.prod(taken.shape)))
    size = taken.shape[axis]
    if not 1 <= count <= size:
        raise layer.error(f"top_k is {count}; expected 1 to {size}")
    shape = (*taken.shape[:axis], count, *taken.shape[axis + 1 :])
    # Backwards, so that of equal numbers the last is met first.
    numbers = [builder.integers([value]) for value in (-1, -(2**31), axis, -1)]
    backwards = builder.add("Slice", [taken, *numbers], taken.shape, work=0)
    largest, places = builder.add_many("TopK", [backwards, builder.integers([count])], [shape, shape], axis=axis)
    if along and values:
        return [largest]
    found = builder.add("Cast", [places], shape, to=onnx.TensorProto.FLOAT)
    found = builder.scaled(found, -1.0, float(size - 1))
    if not values:
        return [found]
    return [builder.add("Concat", [found, largest], (1, 2, count), work=0, axis=1)]


KINDS = {"ArgMax": arg_max, "Flatten": flatten, "Permute": permute, "Reshape": reshape}
