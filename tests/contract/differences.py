"""Every deliberate difference between the embedded server and the recorded DeepDetect v0.25.0.

The replay of an exchange named here must differ from the recording: a difference that no longer occurs fails the test,
so that this list stays true. Nothing here applies to a live server.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: Folders of which only that they are there is compared: names are kept in LMDB files there, and otherwise here.
NOT_LOOKED_INTO = ("names.bin/",)

_ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        name: what it is called.
        reason: why it is meant so.
        where: scenario -> positions in its ``exchanges``.
        socket_only: it shows only where there is an HTTP layer.
        applies: whether it shows on this machine.
        not_live: the requests are never sent to a live server: it could die of them, or they name the recorded one's
            port.
    """

    name: str
    reason: str
    where: dict[str, tuple[int, ...]]
    socket_only: bool = False
    applies: bool = True
    not_live: bool = False


DIFFERENCES = (
    Difference(
        "answers-instead-of-dying",
        "Where the real process ends and takes every service with it, 500 with dd_code 1900 says so; nothing is lost.",
        {
            "15b-chain-empty": (0,),
            "26-sim-build-after-reload": (6,),
            "28-ids-too-few": (1,),
            "28b-ids-too-few-supervised": (1,),
            "28c-ids-too-few-paths": (1,),
            "29-supervised-search": (1,),
            "37b-sim-index-uris-too-few": (1,),
            "46-sim-bad-index-type": (3,),
            "46b-sim-bad-index-type-index": (2,),
            "45-sim-index-types": (22,),
            "47-sim-corrupt-index": (5,),
            "52-sim-recreate-same-process": (10,),
        },
    ),
    Difference(
        "mixed-arrays",
        "The recorded build (NDEBUG) makes something of arrays of mixed types; the official images die of them, which "
        "is what a client must be warned of. The DELETE after a creation that failed so finds nothing.",
        {
            "03-service-create-errors": (50, 51),
            "08-classify": (30,),
            "10-predict-data-errors": (27, 31),
            "63-golden-preprocessing": (11,),
        },
        not_live=True,
    ),
    Difference(
        "fetches-no-urls",
        "A server for tests and demonstrations calls no other machines; the code is that of a URL that cannot be had.",
        {"10-predict-data-errors": (12, 13)},
        not_live=True,
    ),
    Difference(
        "says-where-no-gpu-is",
        "A creation with gpu: true works as in the recorded build without CUDA, which says nothing of it.",
        {"03-service-create-errors": (57,)},
    ),
    Difference(
        "no-templates",
        "output.template renders Mustache; nobody who uses ddsim needs it.",
        {"16-template-network": (1,)},
    ),
    Difference(
        "reads-bodies-of-get",
        "The real server leaves the body of a GET or DELETE in the stream, where the next request is expected.",
        {"11-http-layer": (10, 12)},
    ),
    Difference(
        "continues-correctly",
        "100 Continue ends with the blank line that the real server forgets.",
        {"11-http-layer": (24,)},
        socket_only=True,
    ),
    Difference(
        "long-headers",
        "Answered where the real server resets the connection at 16 KiB.",
        {"11-http-layer": (27,)},
        socket_only=True,
    ),
    Difference(
        "no-blob-memory",
        "data_mem_test counts the bytes of Caffe's blobs after the first predict; there are none here.",
        {
            "05-service-explicit-paths": (8,),
            "07-service-get-delete": (31, 37, 43),
            "11-http-layer": (16, 17),
        },
    ),
    Difference(
        "statistics-after-failures",
        "As no-blob-memory; also, the real server counts a network's weights twice after it was loaded again, and here "
        "the call with a mixed array was refused before it counted. A live server is never sent that call.",
        {"08-classify": (45,)},
        not_live=True,
    ),
    Difference(
        "missing-weights",
        "The real server gives a layer without weights random values, new ones at every load; here it is refused.",
        {"04-service-repository": (11, 12)},
    ),
    Difference(
        "rest-of-cut-off-jpeg",
        "Both accept a cut-off JPEG, but newer versions of OpenCV fill in what is missing otherwise.",
        {"10-predict-data-errors": (17,)},
    ),
    Difference(
        "cubic-rounding",
        "Newer OpenCV's cubic interpolation differs by one grey level at most, which moves close classes (SqueezeNet).",
        {"60-golden-classify": (3,)},
    ),
    Difference(
        "own-names",
        "Of two services on one repository each finds the other's names in the real server; here each has its own.",
        {"30-sim-two-services-one-repository": (8,)},
    ),
    Difference(
        "approximate-index",
        "An IVF index searched in part depends on the clusters that this version of FAISS finds.",
        {"45-sim-index-types": (2,)},
    ),
    Difference(
        "no-memory-mapped-file",
        "index_mmap.faiss, which the real server writes for IVF indexes, is not needed here.",
        {"45-sim-index-types": (4,)},
    ),
    Difference(
        "root-may-everything",
        "Recorded as an ordinary user; root is kept from nothing by file modes.",
        {"06-service-readonly-model": (0, 7)},
        applies=_ROOT,
    ),
)


#: The same for the profile torch-v0.29 and recordings/torch/wire. Where that server's process ended, the replay itself
#: demands 500 with dd_code 1900.
TORCH_DIFFERENCES = (
    Difference(
        "no-torch-templates",
        "Templates (resnet18...) are built into Torch, and come with random weights; here a network is a file.",
        {
            "04-create-errors": (16,),
            "19-concurrent": (4, 5),
            "19c-parallel-or-serial": (0, 1, 3, 4),
            "20-template-resnet18": (0, 1, 2, 3, 4, *range(6, 16), *range(17, 22)),
            "21-template-resnet50": (0, 1, 2, 3, 4, 5, 6),
        },
    ),
    Difference(
        "no-training",
        "Training, and finetuning with the random layer that it adds, belong to a real server.",
        {"10-finetuning-head": (0, 1, 2, 3), "22-http-layer": (9, 12, 13)},
    ),
    Difference(
        "pictures-only",
        "The connectors for texts, tables and videos are refused, so that /info lists fewer services.",
        {"03-create": (14, 15, 16, 28)},
    ),
    Difference(
        "other-inventions",
        "With best or nclasses too large the real server reads what lies in memory behind the classes; here as many "
        "classes are invented as were asked for.",
        {"06-best-too-large": (3, 5), "07-nclasses-too-large": (1, 5)},
    ),
    Difference(
        "names-in-a-folder-stay",
        "In a folder that holds a file that is no picture the real server shifts the names; here they stay.",
        {"08-batch": (27,)},
    ),
    Difference(
        "no-bit-strings",
        "bool_binarized and string_binarized are refused; nobody who uses ddsim needs them.",
        {"09-extract-layer": (15, 16)},
    ),
    Difference(
        "reads-bodies-of-get",
        "The real server leaves the body of a GET in the stream, where the next request is expected.",
        {"22-http-layer": (2,)},
        socket_only=True,
    ),
)


def expected(scenario: str, *, over_http: bool, of: tuple[Difference, ...] = DIFFERENCES) -> dict[int, str]:
    """Positions of a scenario that must differ, with the difference's name."""
    return {
        position: difference.name
        for difference in of
        if difference.applies and (over_http or not difference.socket_only)
        for position in difference.where.get(scenario, ())
    }


def unsent(scenario: str) -> frozenset[int]:
    """Positions that must not be sent to a live server."""
    return frozenset(
        position for difference in DIFFERENCES if difference.not_live for position in difference.where.get(scenario, ())
    )
