"""A DeepDetect-compatible server in Python, for machines without Docker, tests and demonstrations.

It runs Caffe model files in ONNX Runtime and searches with FAISS, and answers as a DeepDetect v0.25.0 does, or as the
other builds of :mod:`ddsim.embedded.profile` do, those with Torch on ONNX files; where the real process would end, it
answers 500 with dd_code :data:`WOULD_HAVE_DIED`. What it does otherwise on purpose is listed in
tests/contract/differences.py; besides, it refuses bodies over 64 MB, which a real server copies several times, requests
of web pages of other sites, and ``clear=lib`` goes by the names of the files alone, not of the folders above them.

Importing this package loads none of these libraries; using one of its names does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ddsim.errors import CapabilityError, install_hint

if TYPE_CHECKING:
    from ddsim.embedded.engine import Engine
    from ddsim.embedded.http import EmbeddedServer, serve
    from ddsim.embedded.inprocess import EmbeddedTransport
    from ddsim.embedded.replies import WOULD_HAVE_DIED, Answer

__all__ = ["WOULD_HAVE_DIED", "Answer", "EmbeddedServer", "EmbeddedTransport", "Engine", "serve"]

_HOMES = {
    "WOULD_HAVE_DIED": "replies",
    "Answer": "replies",
    "EmbeddedServer": "http",
    "EmbeddedTransport": "inprocess",
    "Engine": "engine",
    "serve": "http",
}
_EXTRAS = {"cv2": "OpenCV", "faiss": "FAISS", "onnx": "the package onnx", "onnxruntime": "ONNX Runtime"}


def __getattr__(name: str) -> Any:
    """Load a public name on first use.

    Raises:
        CapabilityError: a library that it needs is not installed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as problem:
        missing = (problem.name or "").split(".")[0]
        if missing not in _EXTRAS:
            raise
        raise CapabilityError(
            f"the embedded server needs {_EXTRAS[missing]}, which is not installed: {install_hint('embedded')}"
        ) from problem
