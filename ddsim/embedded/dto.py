"""Parameters that pass through DeepDetect's typed objects: their checks, and how the server shows them again.

The real server writes the stored parameters as JSON and reads them into typed objects, at creation for ``input``, at
each predict for ``input`` and ``output``, and for everything in ``GET /info`` and ``GET /services``. What a
wrong type gives there differs from the plain getters: the texts are those of its HTTP library
(recordings/wire/03-service-create-errors, 08-classify, 13-info-broken-by-parameter, 21-sim-index-search).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ddsim.embedded.replies import Json

_PREPARSE = "[oatpp::parser::json::Utils::preparseString()]: Error. '\"' - expected"
_MAPPING = "[oatpp::parser::json::mapping::Deserializer::"
_NOT_A_BOOL = _MAPPING + "readBooleanValue()]: Error. 'true' or 'false' - expected."
_NOT_A_LIST = _MAPPING + "deserializeCollection()]: Error. '[' - expected"
_NOT_AN_OBJECT = _MAPPING + "readObject()]: Error. '{' - expected"

#: field -> (type, default); None = shown only where given.
_Members = dict[str, tuple[str, Any]]

_INPUT: _Members = {
    "connector": ("str", None),
    "timeout": ("int", -1),
    "width": ("int", None),
    "height": ("int", None),
    "crop_width": ("int", None),
    "crop_height": ("int", None),
    "bw": ("bool", None),
    "rgb": ("bool", None),
    "histogram_equalization": ("bool", None),
    "mean": ("floats", None),
    "std": ("floats", None),
    "scale": ("float", None),
    "interp": ("str", None),
    "continuation": ("bool", False),
}
_MLLIB: _Members = {
    "nclasses": ("int", 0),
    "ntargets": ("int", 0),
    "segmentation": ("bool", False),
    "ctc": ("bool", False),
    "template": ("str", ""),
    "gpu": ("bool", False),
    "gpuid": ("gpuid", 0),
    "finetuning": ("bool", False),
    "datatype": ("str", "fp32"),
    "extract_layer": ("str", ""),
    "net": ("net", None),
    "self_supervised": ("str", ""),
    "embedding_size": ("int", 768),
    "freeze_traced": ("bool", False),
    "loss": ("str", ""),
    "timesteps": ("int", -1),
    "multi_label": ("bool", False),
    "concurrent_predict": ("bool", True),
    "forward_method": ("str", ""),
    "calibration": ("bool", False),
    "threads": ("int", 2),
    "lightmode": ("bool", True),
    "inputBlob": ("str", "data"),
}
_OUTPUT: _Members = {
    "store_config": ("bool", False),
    "bbox": ("bool", False),
    "ctc": ("bool", False),
    "confidence_threshold": ("float", 0.0),
    "best": ("int", None),
    "best_bbox": ("int", -1),
    "nms_threshold": ("float", 0.44999998807907104),
    "top_k": ("int", -1),
    "image": ("bool", False),
    "measure": ("list", []),
    "binarized": ("bool", False),
    "bool_binarized": ("bool", False),
    "string_binarized": ("bool", False),
    "index": ("bool", False),
    "build_index": ("bool", False),
    "search": ("bool", False),
    "search_nn": ("int", None),
    "nprobe": ("int", None),
    "index_type": ("str", None),
    "train_samples": ("int", None),
    "ondisk": ("bool", None),
    "index_gpu": ("bool", False),
    "rois": ("str", None),
    "blank_label": ("int", -1),
    "regression": ("bool", False),
}
_NET: _Members = {"test_batch_size": ("int", 1)}


@dataclass(frozen=True)
class Fields:
    """The members of the typed objects of one kind of server."""

    input: _Members
    mllib: _Members
    output: _Members


CAFFE = Fields(_INPUT, _MLLIB, _OUTPUT)
#: recordings/torch/wire/03-create, 04-create-errors, 23-info-broken-by-parameter.
TORCH = Fields(
    _INPUT | {"scale": ("any", None), "test_split": ("float", None), "seed": ("int", None), "scale_min": ("int", None)},
    _MLLIB | {"from_repository": ("str", None)},
    _OUTPUT | {"keypoints": ("bool", False), "keypoint_threshold": ("float", 0.05000000074505806)},
)


class WrongField(Exception):
    """A value does not fit its field; the text is the real server's."""


def check_input(given: Json) -> None:
    """Check ``parameters.input``.

    Raises:
        WrongField: a value has the wrong type.
    """
    _check(_INPUT, given)


def check_output(given: Json) -> None:
    """Check ``parameters.output``.

    Raises:
        WrongField: a value has the wrong type.
    """
    _check(_OUTPUT, given)


def check(parameters: Json, fields: Fields) -> None:
    """Check all parameters of a call at once, as Torch does.

    Raises:
        WrongField: a value has the wrong type.
    """
    for name, members in (("input", fields.input), ("mllib", fields.mllib), ("output", fields.output)):
        given = object_at(parameters, name)
        _check(members, given)
        if name == "mllib":
            _check(_NET, object_at(given, "net"))


def object_at(value: Json, key: str) -> Json:
    """The object under that key; empty where there is nothing.

    Raises:
        WrongField: there is something else.
    """
    found = value.get(key, {})
    if isinstance(found, dict):
        return found
    raise WrongField(_NOT_AN_OBJECT)


def shown(parameters: Json, *, in_info: bool, fields: Fields = CAFFE) -> Json:
    """Stored parameters with the defaults of all known fields, as the server shows them; unknown fields are dropped.

    Args:
        parameters: the service's ``parameters``.
        in_info: ``GET /info`` shows some fields otherwise than ``GET /services`` (recordings/wire/01-info,
            02-service-create).
        fields: of the kind of server.

    Raises:
        WrongField: a stored value has the wrong type; then neither call can be answered.
    """
    parts = {}
    for name, members in (("input", fields.input), ("mllib", fields.mllib), ("output", fields.output)):
        given = section_of(parameters, name)
        _check(members, given)
        parts[name] = _with_defaults(members, given)
    net = section_of(parts["mllib"], "net")
    _check(_NET, net)
    parts["mllib"]["net"] = _with_defaults(_NET, net)
    if in_info:
        parts = {name: _with_whole_numbers(part) for name, part in parts.items()}
    elif not isinstance(parts["mllib"]["gpuid"], list):
        parts["mllib"]["gpuid"] = [parts["mllib"]["gpuid"]]
    return parts


def section_of(value: Json, key: str) -> Json:
    """The object under that key; empty where there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _with_whole_numbers(values: Json) -> Json:
    """Numbers that are whole without a point (recordings/torch/wire/15b-mixed-arrays)."""
    return {
        name: [_as_int_where_whole(part) for part in value] if isinstance(value, list) else _as_int_where_whole(value)
        for name, value in values.items()
    }


def _as_int_where_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_defaults(members: _Members, given: Json) -> Json:
    values = {name: given.get(name, default) for name, (_, default) in members.items()}
    values |= {
        name: _as_floats(given[name]) for name, (kind, _) in members.items() if kind == "floats" and name in given
    }
    return {name: value for name, value in values.items() if value is not None or name == "net"}


def _as_floats(numbers: list[float]) -> list[float]:
    """Kept as 32-bit floats (recordings/torch/wire/16-creation-wrong-types, 20-template-resnet18)."""
    return [float(np.float32(number)) for number in numbers]


def _check(members: _Members, given: Json) -> None:
    for name, value in given.items():
        if name in members:
            problem = _problem(members[name][0], value)
            if problem:
                raise WrongField(problem)


def _problem(kind: str, value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "int" and not whole:
        return _PREPARSE if isinstance(value, float) else "ERROR_INVALID_INTEGER"
    if kind == "float" and not (whole or isinstance(value, float)):
        return "ERROR_INVALID_FLOAT"
    if kind == "bool" and not isinstance(value, bool):
        return _NOT_A_BOOL
    if kind == "str" and not isinstance(value, str):
        return _PREPARSE
    if kind in ("list", "floats") and not isinstance(value, list):
        return _NOT_A_LIST
    if kind == "floats" and not all(isinstance(number, (int, float)) for number in value):
        return "ERROR_INVALID_FLOAT"
    return None
