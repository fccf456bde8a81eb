"""Definitions as model zoos have them, turned into what a DeepDetect server runs."""

from __future__ import annotations

from dataclasses import dataclass

from ddsim.caffe.definition import INPUT_LAYER, MEMORY_DATA, Definition, in_test_phase, read_definition
from ddsim.caffe.prototxt import Message, PrototxtError, parse, quoted, to_text
from ddsim.caffe.recognise import what_else
from ddsim.caffe.upgrade import upgraded

#: Layers that read a training's pictures.
_READERS = {"Data", "ImageData", "HDF5Data", "WindowData", "DummyData", "AnnotatedData"}
_LABEL = "label"


@dataclass(frozen=True)
class Served:
    """A definition for a server.

    Attributes:
        text: to be written as ``deploy.prototxt``.
        changes: what is other than in the file it was made of, in words; empty where a server runs that.
    """

    text: str
    changes: tuple[str, ...]


def for_server(content: bytes) -> Served:
    """The definition that a real server runs: one ``MemoryData`` layer at its head, layers of today, none for training.

    Args:
        content: of a ``deploy.prototxt`` or ``train_val.prototxt``.

    Raises:
        PrototxtError: it cannot be read, is something else, or has what no server runs; says what to do.
    """
    if (other := what_else(content)) is not None:
        raise PrototxtError(f"it is {other}")
    changes = []
    text = content.decode("utf-8", "surrogateescape")
    if text.startswith("\ufeff"):
        changes.append("the byte order mark at its beginning is left out")
    net = parse(text)
    if net.messages("layers"):
        net = upgraded(net)
        changes.append("layers of Caffe's old form ('layers {') are written as those of today")
    _check_types(net)
    layers = [layer for layer in net.messages("layer") if in_test_phase(layer)]
    if len(layers) < len(net.messages("layer")):
        changes.append("layers for training alone are left out")
    layers, ended = _without_training(layers)
    changes += ended
    head, layers, how = _with_head(net, layers)
    changes += how
    name = [("name", quoted(net.text("name")))] if net.texts("name") else []
    written = to_text(Message([*name, ("layer", head), *(("layer", layer) for layer in layers)]))
    read_definition(written)
    return Served(written if changes else text, tuple(changes))


def check_served(definition: Definition) -> str | None:
    """Why a real server does not run a definition, and what to do; None where its head is as it has to be."""
    if definition.head == MEMORY_DATA:
        return None
    return (
        f"a server runs definitions that begin with a {MEMORY_DATA} layer, and this one has "
        f"{'an Input layer' if definition.head == INPUT_LAYER else 'input: fields'}: "
        "`ddsim network export FILE FOLDER` writes one for it"
    )


def _check_types(net: Message) -> None:
    for layer in net.messages("layer"):
        if layer.text("type") == "Python":
            name, below = layer.text("name"), ", ".join(map(repr, layer.texts("bottom")))
            raise PrototxtError(
                f"layer {name!r} is of type Python, code that no server has: take it out, and let the layers that use "
                f"{', '.join(map(repr, layer.texts('top')))} take {below or 'something else'} instead, if the network "
                "can do without it"
            )


def _without_training(layers: list[Message]) -> tuple[list[Message], list[str]]:
    """Without what needs the true labels; where a loss was the end, its probabilities take its place."""
    labels = {
        top for layer in layers if layer.text("type") in (*_READERS, MEMORY_DATA) for top in layer.texts("top")[1:]
    }
    kept: list[Message] = []
    left: list[Message] = []
    for layer in layers:
        (left if labels & set(layer.texts("bottom")) else kept).append(layer)
    changes = ["losses and accuracies are left out"] if left else []
    loss = next((layer for layer in left if layer.text("type") == "SoftmaxWithLoss"), None)
    if loss is not None and not any(layer.text("type") == "Softmax" for layer in kept):
        fields = [
            ("name", '"prob"'),
            ("type", '"Softmax"'),
            ("bottom", quoted(loss.texts("bottom")[0])),
            ("top", '"prob"'),
        ]
        kept.append(Message([*fields]))
        changes.append(f"a layer 'prob' gives the probabilities that the loss {loss.text('name')!r} was made of")
    return kept, changes


def _with_head(net: Message, layers: list[Message]) -> tuple[Message, list[Message], list[str]]:
    """The head as a server wants it, the other layers, and what is new."""
    readers = [layer for layer in layers if layer.text("type") in _READERS]
    if readers:
        rest = [layer for layer in layers if layer not in readers]
        crops = [
            size
            for reader in readers
            for part in reader.messages("transform_param")
            for size in part.integers("crop_size")
        ]
        if not crops or not readers[0].texts("top"):
            raise PrototxtError(
                f"its first layer is of type {readers[0].text('type')!r} and does not say the size of the pictures: "
                f"write a {MEMORY_DATA} layer in its place, with channels, height and width"
            )
        head = _memory_data(readers[0].text("name"), readers[0].texts("top")[0], (3, crops[-1], crops[-1]))
        return (
            head,
            rest,
            [f"a {MEMORY_DATA} layer of 3 x {crops[-1]} x {crops[-1]} is at its head, in place of a training's data"],
        )
    read = read_definition(
        to_text(Message([*((k, v) for k, v in net.fields if k != "layer"), *(("layer", one) for one in layers)]))
    )
    if read.head == MEMORY_DATA:
        return layers[0], layers[1:], []
    rest = layers[1:] if read.head == INPUT_LAYER else layers
    name = read.input_layer if read.head == INPUT_LAYER else read.input_blob
    shape = " x ".join(map(str, read.input_shape))
    was = "an Input layer" if read.head == INPUT_LAYER else "input: fields"
    return (
        _memory_data(name, read.input_blob, read.input_shape),
        rest,
        [f"a {MEMORY_DATA} layer of {shape} is at its head, in place of {was}"],
    )


def _memory_data(name: str, top: str, shape: tuple[int, int, int]) -> Message:
    sizes = [("batch_size", "1"), *zip(("channels", "height", "width"), map(str, shape), strict=True)]
    return Message(
        [
            ("name", quoted(name)),
            ("type", quoted(MEMORY_DATA)),
            ("top", quoted(top)),
            ("top", quoted(_LABEL if top != _LABEL else f"{_LABEL}s")),
            ("memory_data_param", Message([*sizes])),
        ]
    )
