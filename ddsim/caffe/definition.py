"""What a ``deploy.prototxt`` says: its head, and the layers that a prediction runs through.

Phases, layers for training and numbers that Caffe refuses are dealt with here, on the parsed text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsim.caffe.prototxt import Message, PrototxtError, parse
from ddsim.caffe.upgrade import upgraded

#: How a definition can declare its input; a real server runs only the first (recordings/wire/04b-stock-input-layer).
MEMORY_DATA, INPUT_LAYER, INPUT_FIELD = "MemoryData", "Input", "input"

_POSITIVE = {"kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w"} | {
    *("dilation", "group", "num_output", "local_size", "channels", "height", "width")
}
_NOT_NEGATIVE = {"pad", "pad_h", "pad_w"}
#: No network comes near it; keeps products of a few of these numbers within 64 bits.
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Definition:
    """A network's definition.

    Attributes:
        head: ``MemoryData``, ``Input`` or ``input``.
        input_layer: the input layer's name.
        input_blob: what the other layers call the picture.
        input_shape: channels, height, width.
        layers: all layers of phase TEST after the head.
        mean: subtracted from each picture by the head's ``transform_param``, one number or one a channel; often empty.
        scale: multiplied with after that.
    """

    head: str
    input_layer: str
    input_blob: str
    input_shape: tuple[int, int, int]
    layers: tuple[Message, ...]
    mean: tuple[float, ...] = ()
    scale: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all layers, the input layer first."""
        return (self.input_layer, *(layer.text("name") for layer in self.layers))

    def transformed(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The pictures (n, c, h, w) after the head's own mean and scale, which few definitions have."""
        if self.mean:
            inputs = inputs - np.asarray(self.mean, np.float32).reshape(1, -1, 1, 1)
        return inputs if self.scale == 1.0 else inputs * np.float32(self.scale)


def read_definition(text: str) -> Definition:
    """Read a ``deploy.prototxt``.

    Raises:
        PrototxtError: it cannot be read, or describes no network that takes one picture.
    """
    net = upgraded(parse(text))
    layers = [layer for layer in net.messages("layer") if in_test_phase(layer) and layer.text("type") != "Silence"]
    _check_names(layers)
    for layer in layers:
        _check_numbers(layer)
    if net.texts("input"):
        _check_ends(layers)
        return Definition(INPUT_FIELD, "input", *_input_field(net), tuple(layers))
    if not layers:
        raise PrototxtError("it has no layers")
    head, rest = layers[0], layers[1:]
    _check_ends(rest)
    name, kind = head.text("name"), head.text("type")
    tops = head.texts("top")
    if kind == INPUT_LAYER:
        shapes = [shape for part in head.messages("input_param") for shape in part.messages("shape")]
        return Definition(
            kind, name, _only(tops), _picture_shape([shape.integers("dim") for shape in shapes]), tuple(rest)
        )
    if kind == MEMORY_DATA:
        return _memory_data(head, name, tops, rest)
    raise PrototxtError(
        f"its first layer is of type {kind!r}; a MemoryData layer was expected. "
        "`ddsim network export FILE FOLDER` makes a server's definition of one for training"
    )


def _memory_data(head: Message, name: str, tops: list[str], rest: list[Message]) -> Definition:
    if not tops:
        raise PrototxtError(f"layer {name!r} has no top")
    sizes = [
        part.integers(side) for part in head.messages("memory_data_param") for side in ("channels", "height", "width")
    ]
    shape = _picture_shape([[1, *(size[-1] for size in sizes if size)]])
    mean: tuple[float, ...] = ()
    scale = 1.0
    for transform in head.messages("transform_param"):
        if transform.texts("mean_file") or any(transform.integers("crop_size")):
            raise PrototxtError(
                f"layer {name!r}: transform_param with mean_file or crop_size is not in the embedded server"
            )
        mean = tuple(transform.floats("mean_value"))
        scale = [1.0, *transform.floats("scale")][-1]
    if mean and len(mean) not in {1, shape[0]}:
        raise PrototxtError(f"layer {name!r}: {len(mean)} mean_value for {shape[0]} channels")
    return Definition(MEMORY_DATA, name, tops[0], shape, tuple(_without_labels(rest, set(tops[1:]))), mean, scale)


def _without_labels(layers: list[Message], labels: set[str]) -> list[Message]:
    """The layers that can be computed without the true labels: losses and accuracies are left out."""
    kept = []
    for layer in layers:
        if labels & set(layer.texts("bottom")):
            labels |= set(layer.texts("top"))
        else:
            kept.append(layer)
    return kept


def in_test_phase(layer: Message) -> bool:
    """Caffe's rule: where there are ``include`` one has to match, else no ``exclude`` may."""
    included = layer.messages("include")
    if included:
        return any(_matches(rule) for rule in included)
    return not any(_matches(rule) for rule in layer.messages("exclude"))


def _matches(rule: Message) -> bool:
    # The server sets a phase and no stages, so a rule that asks for a stage never matches.
    return rule.text("phase", "TEST") in {"TEST", "1"} and not rule.texts("stage")


def _check_names(layers: list[Message]) -> None:
    """Layers are found by their names, and so are their weights."""
    names = [layer.text("name") for layer in layers]
    for place, name in enumerate(names):
        if not name:
            raise PrototxtError(f"layer {place + 1} has no name")
        if name in names[:place]:
            raise PrototxtError(f"two layers are named {name!r}")


def _check_ends(layers: list[Message]) -> None:
    """Every layer takes something and gives something."""
    for layer in layers:
        for end in ("bottom", "top"):
            if not layer.texts(end):
                raise PrototxtError(f"layer {layer.text('name')!r} has no {end}")


def _check_numbers(layer: Message) -> None:
    """Refuse what Caffe refuses too, such as a group or a stride of 0."""
    for parameters in (value for key, value in layer.fields if key.endswith("_param") and isinstance(value, Message)):
        for keys, least in ((_POSITIVE, 1), (_NOT_NEGATIVE, 0)):
            for key in keys:
                if any(not least <= number <= _LARGEST for number in parameters.integers(key)):
                    raise PrototxtError(
                        f"layer {layer.text('name')!r}: {key} is {parameters.text(key)}; expected {least} to {_LARGEST}"
                    )


def _input_field(net: Message) -> tuple[str, tuple[int, int, int]]:
    dims = net.integers("input_dim")
    shapes = [dims] if dims else [shape.integers("dim") for shape in net.messages("input_shape")]
    return _only(net.texts("input")), _picture_shape(shapes)


def _only(names: list[str]) -> str:
    if len(names) != 1:
        raise PrototxtError(f"it takes {len(names)} inputs; a network for pictures takes one")
    return names[0]


def _picture_shape(shapes: list[list[int]]) -> tuple[int, int, int]:
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise PrototxtError(f"the input's shape is {shapes}; expected one of number, channels, height, width")
    _, channels, height, width = shapes[0]
    if not all(1 <= size <= _LARGEST for size in (channels, height, width)):
        raise PrototxtError(f"the input's shape is {shapes[0]}; expected sizes from 1 to {_LARGEST}")
    return channels, height, width
