"""Centre-weighted pooling: a definition in which one layer averages a map so that its middle counts most.

Two averages do that, one after the other: over every window of half the map's size, and over all windows. A place
counts as often as windows cover it. Neither has weights, so the network's own weights fit the derived definition. With
a power the values are raised to it before and the root is taken after, so that large ones count more (generalised
mean).
"""

from __future__ import annotations

from ddsim.caffe import (
    Definition,
    LayerShape,
    Message,
    PrototxtError,
    layer_shapes,
    parse,
    quoted,
    read_definition,
    to_text,
    upgraded,
)

Fields = list[tuple[str, str | Message]]

#: Types of layers without weights of their own: those can be renamed, as nothing is looked up by their names.
_BARE = {"Pooling", "ReLU", "ReLU6", "Eltwise", "Concat", "Dropout", "LRN", "Power", "Sigmoid", "TanH", "ELU", "Split"}


def centre_weighted(text: str, layer: str, power: float = 1.0) -> str:
    """Derive a definition in which a layer gives the centre-weighted average of the map that it gives, or pools.

    The layer keeps its name, so that whoever asks for its values asks as before. What was called so is called
    ``<name>/plain`` and goes on to the layers behind it, which therefore give what they gave.

    Args:
        text: a ``deploy.prototxt``.
        layer: the layer that pools the network's last map, or one without weights that gives the map.
        power: the values are raised to it before they are averaged, and the root is taken after; 1 for neither.

    Raises:
        PrototxtError: the definition cannot be read, or that layer is not there or has no map to average.
    """
    definition = read_definition(text)
    shapes = {found.name: found for found in layer_shapes(definition)}
    source, sides = _map(definition, shapes, layer)
    net = upgraded(parse(text))
    fields: Fields = []
    for key, value in net.fields:
        if key == "layer" and isinstance(value, Message) and value.text("name") == layer:
            fields.append((key, _renamed(value, f"{layer}/plain")))
            fields += [("layer", message) for message in _layers(layer, source, sides, power)]
        else:
            fields.append((key, value))
    return to_text(Message(fields))


def _map(definition: Definition, shapes: dict[str, LayerShape], layer: str) -> tuple[str, tuple[int, int]]:
    """The blob with the map that is averaged, and its height and width."""
    message = next((one for one in definition.layers if one.text("name") == layer), None)
    if message is None:
        raise PrototxtError(f"there is no layer {layer!r}")
    if message.text("type") not in _BARE:
        raise PrototxtError(
            f"layer {layer!r} ({message.text('type')}) has no map to average, or weights that are found by its name: "
            "name the layer that pools the network's last map"
        )
    given = shapes[layer].shape
    if message.text("type") == "Pooling" and given is not None and given[1:] == (1, 1):
        blob = message.texts("bottom")[0]
        given = _shape_of(definition, shapes, blob, layer)
    else:
        blob = message.texts("top")[0]
    if given is None or len(given) != 3 or min(given[1:]) < 2:
        raise PrototxtError(
            f"layer {layer!r} averages no map of 2 x 2 or more"
            + (f", but values of shape {' x '.join(map(str, given))}" if given else "")
        )
    return blob, (given[1], given[2])


def _shape_of(definition: Definition, shapes: dict[str, LayerShape], blob: str, before: str) -> tuple[int, ...] | None:
    """The shape of a blob as the layer ``before`` takes it."""
    found: tuple[int, ...] | None = definition.input_shape if blob == definition.input_blob else None
    for layer in definition.layers:
        if layer.text("name") == before:
            break
        if blob in layer.texts("top"):
            found = shapes[layer.text("name")].shape
    return found


def _renamed(layer: Message, name: str) -> Message:
    return Message([(key, quoted(name) if key == "name" else value) for key, value in layer.fields])


def _layers(name: str, source: str, sides: tuple[int, int], power: float) -> list[Message]:
    """The layers that average the blob ``source``, the last one called ``name``."""
    kernel = ((sides[0] + 1) // 2, (sides[1] + 1) // 2)
    rest = (sides[0] - kernel[0] + 1, sides[1] - kernel[1] + 1)
    steps = [("windows", "Pooling", _average(kernel)), ("centre", "Pooling", _average(rest))]
    if power != 1:
        steps = [("power", "Power", _power(power)), *steps, ("root", "Power", _power(1 / power))]
        if power % 2:
            # Of a negative value there is no such power, or none that averages well; most maps are rectified already.
            steps.insert(0, ("positive", "ReLU", []))
    layers, bottom = [], source
    for place, (step, kind, settings) in enumerate(steps):
        top = f"{name}/{step}"
        given = name if place == len(steps) - 1 else top
        layers.append(Message([*_head(given, kind, bottom, top), *settings]))
        bottom = top
    return layers


def _head(name: str, kind: str, bottom: str, top: str) -> Fields:
    return [("name", quoted(name)), ("type", quoted(kind)), ("bottom", quoted(bottom)), ("top", quoted(top))]


def _average(kernel: tuple[int, int]) -> Fields:
    sizes: Fields = [("kernel_h", str(kernel[0])), ("kernel_w", str(kernel[1])), ("stride", "1")]
    return [("pooling_param", Message([("pool", "AVE"), *sizes]))]


def _power(power: float) -> Fields:
    return [("power_param", Message([("power", f"{power:.9g}")]))]
