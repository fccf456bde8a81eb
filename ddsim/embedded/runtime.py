"""ONNX Runtime: what runs the networks, on how many cores or on a GPU."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _state

#: Pictures in one forward pass: larger ones are no faster and take more memory.
LARGEST_PASS = 16

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
#: Nothing is written to the terminal: everything that goes wrong is raised.
_FATAL = 4
#: ONNX Runtime's own exceptions have no root in common.
_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    *(RuntimeError, ValueError, MemoryError),
)


class RuntimeFailure(Exception):
    """ONNX Runtime refuses a network or its input; the message is its own, in one line."""


@dataclass(frozen=True)
class Hardware:
    """What networks may use.

    Attributes:
        threads: for one forward pass; None takes all cores that this process may run on.
        gpu: run on an NVIDIA GPU where the package ``onnxruntime-gpu`` is installed and finds one.
    """

    threads: int | None = None
    gpu: bool = False


def cores() -> int:
    """How many cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def gpu_available() -> bool:
    """Whether the installed ONNX Runtime is one for NVIDIA GPUs."""
    return _CUDA in onnxruntime.get_available_providers()


class Session:
    """A loaded model. Safe to use from several threads at once.

    Args:
        proto: a serialized ONNX model.
        hardware: what it may use.
        weights: numbers of the model's constants that are not in it; they are not used any more afterwards.

    Raises:
        RuntimeFailure: the model cannot be loaded.
    """

    def __init__(
        self, proto: bytes, hardware: Hardware, weights: Mapping[str, NDArray[np.float32]] | None = None
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = hardware.threads or cores()
        options.log_severity_level = _FATAL
        # Threads that wait in a loop are no faster, and take the cores from those that decode pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if weights:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(blob) for blob in weights.values()]
            options.add_external_initializers(list(weights), values)
        try:
            self._session = onnxruntime.InferenceSession(proto, options, providers=_providers(hardware.gpu))
        except _ERRORS as problem:
            raise RuntimeFailure(_words(problem)) from problem
        _trim()

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU."""
        return _CUDA in self._session.get_providers()

    @property
    def outputs(self) -> list[str]:
        """The names of what it gives."""
        return [one.name for one in self._session.get_outputs()]

    def run(self, outputs: Sequence[str], pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """One forward pass.

        Args:
            outputs: names of what is wanted.
            pictures: (n, c, h, w), the model's only input.

        Raises:
            RuntimeFailure: the model cannot be run on such pictures.
        """
        name = self._session.get_inputs()[0].name
        try:
            return list(self._session.run(list(outputs), {name: np.ascontiguousarray(pictures)}))
        except _ERRORS as problem:
            raise RuntimeFailure(_words(problem)) from problem


def _providers(gpu: bool) -> list[Any]:
    if gpu and gpu_available():
        # Without its shorter floats, so that a GPU gives the vectors that the index was made of.
        return [(_CUDA, {"use_tf32": "0"}), _CPU]
    return [_CPU]


def _trim() -> None:
    """Have the C library give back what loading took and is free again: up to twice the weights."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _words(problem: BaseException) -> str:
    return " ".join(str(problem).split())
