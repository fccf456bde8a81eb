"""What a server's raw words mean: checks of Caffe, libtorch and FAISS that failed, in words of a configuration.

They are matched for people alone: the class of an error follows from its codes, and the raw words stay in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAMES = (
    "a name in the server's index cannot be read: it is empty, has a ^ in it, or its rows were never built; "
    "index anew into a new repository"
)
_TYPE = 'a parameter has a type that the server does not take, such as 5.0 or "5" for the number 5'
_TORCH_FILE = (
    "the network's file in {repository} is no traced network (.pt), or is damaged: save it again with torch.jit.trace"
)

# The first that is found counts.
_SAYINGS: tuple[tuple[str, str], ...] = (
    # Files of a Caffe network.
    (r"util/io\.cpp:55 .*\(fd\) != \(-1\)", "there is no definition {def} on the server, or it may not be read"),
    (r"util/io\.cpp:\d+ .*\(fd\) != \(-1\)", "there are no weights {weights} on the server, or they may not be read"),
    (r"ReadProtoFromBinaryFile", "the weights {weights} are no .caffemodel, or were cut short on their way"),
    (r"ReadProtoFromTextFile", "the definition {def} is no definition of a Caffe network"),
    (r"registry\.count\(type\)", "the definition {def} has a layer of a type that the server does not know"),
    (
        r"Fatal Caffe error",
        "definition and weights do not go together, or the definition is one for training or has an old head: def "
        "{def}, weights {weights}; `ddsim network export FILE FOLDER` writes a definition as a server reads it",
    ),
    (
        r"first layer is required to be of MemoryData",
        "the network's definition begins with another layer than MemoryData: `ddsim network export FILE FOLDER` "
        "writes it as a server takes it",
    ),
    (r"^no model in (\S+)", "there are no weights: the server looked for a .caffemodel in {1}; name them with weights"),
    (
        r"no deploy file in (\S+)",
        "there is no definition: the server looked for deploy.prototxt in {1}; name it with def",
    ),
    (
        r"^stoi$",
        "the file of labels {corresp} has a line without a number before its label: `ddsim network export FILE FOLDER` "
        "writes it as a server reads it",
    ),
    # What a network takes and gives.
    (
        r"data_transformer\.cpp.*\(channels\)",
        "pictures have another number of channels than the network takes: look at bw, and at the first layer of def",
    ),
    (
        r"data_transformer\.cpp",
        "pictures are sent in another size than the network takes: width and height must be those of the first layer "
        "of its definition",
    ),
    (
        r"!has_new_data_",
        "the call before this one asked for a layer that the network does not have, and left its pictures behind; "
        "the next call works again",
    ),
    (
        r"unknown extract layer (.+)$",
        "the network has no layer {1}: layer names stand in its deploy.prototxt, and `ddsim network layers FILE` lists "
        "them; networks of Torch have last and final",
    ),
    (r"nclasses == 0", "the number of the network's labels is not said: write nclasses"),
    (r"(mean|std) vector be of size the number of channels \((\d+)\)", "{1} needs one number for each of {2} channels"),
    (r"scale input parameter", "scale is not a number such as 0.0039"),
    (r"Crop width", "crop_width is larger than width"),
    (r"LSTM/autoencoder", "the definition in {repository} is of a kind of network that gives no labels"),
    # Where a service lives.
    (
        r"destination model directory (\S*) is not writable",
        "there is no folder {repository} on the server, or the server may not write into it: make it there, or write "
        "create_repository: true",
    ),
    (r"file exists with same name as repository", "repository is a file: {repository}; name a folder"),
    (r"boost::filesystem.*Permission denied", "the server may not look at {repository}"),
    (r"logger with name '([^']*)' already exists", "a service cannot be called {1}: the server uses that name itself"),
    # What a server was built with.
    (r"failed to locate model template", "the server has no template {template}: look at template and templates"),
    (r"invalid torch model template", "the server has no template {template}, such as resnet50 is one"),
    (r"GPU is not available", "the server finds no GPU: leave gpu: true out, or start the server's image for GPUs"),
    (r"fp16 inference", "numbers of 16 bits are for GPUs alone: leave datatype out"),
    (r"unknown datatype", "datatype is none that the server knows"),
    (r"backend was removed", "the server is of today and has no Caffe any more: use v0.25.0, or mllib: torch"),
    (r"PyTorch worker", "this kind of network is switched off in this server: use mllib: torch or caffe"),
    # Torch.
    (
        r"needs either: traced net",
        "there is no network in {repository}: put a traced one (.pt) there, or name a template",
    ),
    (r"Only one of these must be provided", "there is a traced network in {repository}, and a template: leave one out"),
    (r"finetune a model using a native template", "with a template the weights in {repository} must be a .npt file"),
    (r"PytorchStreamReader", _TORCH_FILE),
    (r"Method \S+ not found in traced", "the traced network cannot do what is asked of it: trace it anew"),
    (
        r"TorchScript interpreter|TensorAccessor",
        "the traced network cannot take these pictures, or gives something else than a number for each label: look at "
        "width, height and what it was traced with",
    ),
    # FAISS and names.
    (r"could not parse index string (\S+)", "index_type {1} is none that FAISS knows, such as Flat or IVF1024,Flat"),
    (r"read_index", "the file of the server's index is damaged: run `ddsim index --rebuild`"),
    (r"'k > 0'", "fewer than one neighbour is asked for"),
    (r"larger than max_size", "the number of neighbours asked for is no number that a server can count"),
    (r"^stod$|_M_range_check", _NAMES),
    (r"^std::bad_alloc$|db_lmdb", "what the server's index holds is not built yet, or the server lacks memory"),
    # Requests.
    (r"in get<T>\(\)|ERROR_INVALID_|oatpp::parser|^Is\w+\(\)$|^false$|must be a boolean value", _TYPE),
    (r"Could not read image\(s\): Failed to connect|Could not resolve host", "the server cannot fetch the picture"),
    (
        r"Could not read image|imdecode",
        "the server cannot read the picture: it is not there for the server, or no picture that OpenCV knows",
    ),
    (r"missing data", "no picture is in the request"),
)
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _SAYINGS)
_SHOWN = 200


def meaning(said: str, sent: Mapping[str, Any] | None = None) -> str:
    """What a server's words come to, in those of a configuration; empty where they need no translation.

    Args:
        said: the server's ``dd_msg``.
        sent: the JSON of the call, whose names are put in.
    """
    for pattern, words in _COMPILED:
        if (found := pattern.search(said)) is not None:
            groups = {str(number): group for number, group in enumerate(found.groups(), 1)}
            return _filled(words, {**_facts(sent or {}), **groups})
    return ""


def _filled(words: str, facts: Mapping[str, str]) -> str:
    """What is not known is left out, with the blank before it."""
    return re.sub(r" ?\{(\w+)\}", lambda name: f" {facts[name[1]][:_SHOWN]}" if name[1] in facts else "", words).strip()


def _facts(sent: Mapping[str, Any]) -> dict[str, str]:
    model, network = sent.get("model"), (sent.get("parameters") or {}).get("mllib")
    facts = {key: str(value) for part in (model, network) if isinstance(part, Mapping) for key, value in part.items()}
    return {"repository": "the service's repository", **facts}
