"""Layers that put several blobs together or take one apart."""

from __future__ import annotations

from collections.abc import Sequence

from ddsim.embedded.graph.builder import Blob, Builder
from ddsim.embedded.graph.layer import Layer, Settings


def eltwise(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Eltwise: product, weighted sum or maximum of blobs of one shape."""
    settings = layer.settings("eltwise_param")
    operation = settings.word("operation", ("PROD", "SUM", "MAX"), "SUM")
    shape = inputs[0].shape
    if len(inputs) < 2 or any(blob.shape != shape for blob in inputs):
        raise layer.error(f"takes shapes {[list(blob.shape[1:]) for blob in inputs]}; expected two or more equal ones")
    factors = settings.numbers("coeff")
    if factors and (operation != "SUM" or len(factors) != len(inputs)):
        raise layer.error(f"{len(factors)} coeff for the {operation} of {len(inputs)} inputs")
    if operation == "SUM":
        factors = factors or [1.0] * len(inputs)
        parts = [builder.scaled(blob, factor, 0.0) for blob, factor in zip(inputs, factors, strict=True)]
        return [builder.add("Add" if len(parts) == 2 else "Sum", parts, shape)]
    if operation == "MAX":
        return [builder.add("Max", inputs, shape)]
    product = inputs[0]
    for blob in inputs[1:]:
        product = builder.add("Mul", [product, blob], shape)
    return [product]


def concat(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Concat: blobs in a row along one axis."""
    settings, shape = layer.settings("concat_param"), list(inputs[0].shape)
    axis = _axis(settings, "concat_dim", len(shape))
    for blob in inputs:
        if [*blob.shape[:axis], *blob.shape[axis + 1 :]] != [*shape[:axis], *shape[axis + 1 :]]:
            raise layer.error(
                f"takes shapes {[list(one.shape[1:]) for one in inputs]}, which differ beside axis {axis}"
            )
    shape[axis] = sum(blob.shape[axis] for blob in inputs)
    return [builder.add("Concat", inputs, tuple(shape), work=0, axis=axis)]


def slices(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Slice: a blob cut along one axis, at given points or into equal parts."""
    taken, settings, parts = layer.only(inputs), layer.settings("slice_param"), len(layer.tops)
    axis = _axis(settings, "slice_dim", len(taken.shape))
    size, points = taken.shape[axis], settings.integers("slice_point")
    if not points and size % parts == 0:
        points = [size // parts * i for i in range(1, parts)]
    ends = [*points, size]
    sizes = [end - start for start, end in zip([0, *points], ends, strict=True)]
    if len(sizes) != parts or min(sizes) < 1:
        raise layer.error(f"cuts {size} at {points or 'no points'}, for {parts} tops")
    shapes = [(*taken.shape[:axis], one, *taken.shape[axis + 1 :]) for one in sizes]
    return builder.add_many("Split", [taken, builder.integers(sizes)], shapes, work=0, axis=axis)


def split(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Split: the same blob under several names."""
    taken = layer.only(inputs)
    return [builder.add("Identity", [taken], taken.shape, work=0)] * len(layer.tops)


def crop(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Crop: the first input, cut to the size of the second from one axis on."""
    if len(inputs) != 2:
        raise layer.error(f"takes {len(inputs)} inputs; expected 2")
    (taken, size), settings = inputs, layer.settings("crop_param")
    dimensions = len(taken.shape)
    axis = settings.axis("axis", 2, dimensions)
    axes = list(range(axis, dimensions))
    offsets = settings.integers("offset") or [0]
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets
    if len(size.shape) != dimensions or len(offsets) != len(axes):
        raise layer.error(f"{len(offsets)} offset for axes {axes}, cut to {list(size.shape[1:])}")
    ends = [offset + size.shape[one] for one, offset in zip(axes, offsets, strict=True)]
    if min(offsets) < 0 or any(end > taken.shape[one] for one, end in zip(axes, ends, strict=True)):
        raise layer.error(f"cuts {list(size.shape[1:])} at {offsets} out of {list(taken.shape[1:])}")
    shape = (*taken.shape[:axis], *size.shape[axis:])
    numbers = [builder.integers(values) for values in (offsets, ends, axes)]
    return [builder.add("Slice", [taken, *numbers], shape, work=0)]


def axpy(layer: Layer, inputs: Sequence[Blob], builder: Builder) -> list[Blob]:
    """Axpy: the second input times a factor for each channel, which the first gives, plus the third."""
    if len(inputs) != 3:
        raise layer.error(f"takes {len(inputs)} inputs; expected 3")
    factors, taken, added = inputs
    ones = (1,) * (len(taken.shape) - 2)
    if factors.shape not in (taken.shape[:2], (*taken.shape[:2], *ones)) or added.shape != taken.shape:
        raise layer.error(f"takes shapes {[list(blob.shape[1:]) for blob in inputs]}; the factors are one a channel")
    if len(factors.shape) == 2:
        factors = builder.reshaped(factors, (*factors.shape, *ones))
    return [builder.add("Add", [builder.add("Mul", [taken, factors], taken.shape), added], taken.shape)]


def _axis(settings: Settings, old: str, dimensions: int) -> int:
    """``axis``, or what older files call it."""
    return settings.axis("axis", settings.integer(old, 1), dimensions)


KINDS = {
    "Axpy": axpy,
    "Concat": concat,
    "Crop": crop,
    "Eltwise": eltwise,
    "Slice": slices,
    "Split": split,
}
