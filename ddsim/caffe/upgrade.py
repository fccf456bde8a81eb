"""Definitions as they were written before 2014, turned into those of today.

A real server does the same by itself when it loads a network.
"""

from __future__ import annotations

from ddsim.caffe.prototxt import Message, PrototxtError, quoted

#: Types that are not called the same but for capitals and underscores.
_IRREGULAR = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
_REGULAR = (
    *("ACCURACY", "CONCAT", "CONTRASTIVE_LOSS", "CONVOLUTION", "DATA", "DECONVOLUTION", "DROPOUT", "DUMMY_DATA"),
    *("ELTWISE", "EUCLIDEAN_LOSS", "EXP", "FLATTEN", "HINGE_LOSS", "IM2COL", "IMAGE_DATA", "INFOGAIN_LOSS"),
    *("INNER_PRODUCT", "MEMORY_DATA", "MULTINOMIAL_LOGISTIC_LOSS", "POOLING", "POWER", "SIGMOID"),
    *("SIGMOID_CROSS_ENTROPY_LOSS", "SILENCE", "SLICE", "SOFTMAX", "SPLIT", "THRESHOLD", "WINDOW_DATA"),
)
_TYPES = _IRREGULAR | {name: name.title().replace("_", "") for name in _REGULAR}
#: For training alone, in a form that today's definitions write otherwise.
_DROPPED = {"blobs_lr", "weight_decay", "param", "blob_share_mode"}


def upgraded(net: Message) -> Message:
    """The definition with ``layer { type: "Convolution" }`` where it has ``layers { type: CONVOLUTION }``.

    Args:
        net: as :func:`ddsim.caffe.parse` gives it; one of today comes back as it is.

    Raises:
        PrototxtError: it is older still, mixes both forms, or has a type that Caffe never had.
    """
    if not net.messages("layers"):
        return net
    if net.messages("layer"):
        raise PrototxtError("it has both 'layer {' and 'layers {'; write all of them as 'layer {'")
    return Message([("layer", _layer(value)) if key == "layers" else (key, value) for key, value in net.fields])


def _layer(old: str | Message) -> Message:
    if not isinstance(old, Message) or old.messages("layer"):
        raise PrototxtError(
            "it is in Caffe's oldest format ('layers { layer {'); convert it with upgrade_net_proto_text"
        )
    kind = old.text("type")
    if kind not in _TYPES:
        raise PrototxtError(f"layer {old.text('name')!r}: Caffe's old format has no type {kind!r}")
    kept = [(key, value) for key, value in old.fields if key not in _DROPPED and key != "type"]
    return Message([*kept, ("type", quoted(_TYPES[kind]))])
