"""A user's own ONNX network, run by ONNX Runtime.

It stands in the place of the traced network (``.pt``) of a Torch service: ``torch.onnx.export`` writes one from the
same module.
"""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from ddsim.embedded.files import Files, NetworkError
from ddsim.embedded.runtime import LARGEST_PASS, Hardware, RuntimeFailure, Session

#: Tensors of these types are weights; whole numbers and booleans are shapes and axes.
_WEIGHTS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}


class OnnxNetwork:
    """A loaded network; safe to use from several threads at once.

    Attributes:
        files: what it was read from.
        asked: when it ran last, by ``time.monotonic``.
        parameters: how many numbers its weights are, biases and running statistics included.

    Args:
        path: the ``.onnx`` file.
        hardware: what it may use.

    Raises:
        NetworkError: it cannot be read, is damaged, or holds what ONNX Runtime cannot run.
    """

    def __init__(self, path: Path, hardware: Hardware | None = None) -> None:
        self.files = Files(path)
        self._hardware = hardware or Hardware()
        self._lock = threading.Lock()
        self.asked = time.monotonic()
        (data,) = self.files.read()
        self.parameters = self._counted(data)
        self._session: Session | None = self._load(data)

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU."""
        return self._loaded().on_gpu

    def forward(self, inputs: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
        """Run pictures through the network.

        Args:
            inputs: (n, c, h, w), preprocessed; n at least 1.
            batch: how many pictures to run at a time at most.

        Returns:
            (n, ...): the network's first output.

        Raises:
            NetworkError: ONNX Runtime cannot run it on such pictures.
        """
        self.asked = time.monotonic()
        session, step = self._loaded(), min(batch, LARGEST_PASS)
        outputs = []
        for start in range(0, len(inputs), step):
            part = inputs[start : start + step]
            try:
                outputs.append(session.run(session.outputs[:1], part)[0])
            except RuntimeFailure as problem:
                raise NetworkError(f"{self.files}: {problem}") from problem
            if len(outputs[-1]) != len(part):
                raise NetworkError(f"{self.files}: {len(outputs[-1])} results for {len(part)} pictures")
        return np.concatenate(outputs)

    def release(self) -> None:
        """Give back the memory of the weights; the next pass reads them from the file again."""
        with self._lock:
            self._session = None

    def _loaded(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = self._load(self.files.read()[0])
            return self._session

    def _load(self, data: bytes) -> Session:
        try:
            return Session(data, self._hardware)
        except RuntimeFailure as problem:
            raise NetworkError(f"{self.files}: ONNX Runtime refuses it: {problem}") from problem

    def _counted(self, data: bytes) -> int:
        """The number of weights, after checks of what ONNX Runtime does not refuse, or in words that help nobody."""
        try:
            graph = onnx.load_model_from_string(data).graph
        except (DecodeError, ValueError) as problem:
            raise NetworkError(f"{self.files}: it is no ONNX file, or a damaged one: {problem}") from problem
        constants = {tensor.name for tensor in graph.initializer}
        # Old files list the weights among the inputs, too.
        inputs = [one.name for one in graph.input if one.name not in constants]
        if len(inputs) != 1 or not graph.output:
            raise NetworkError(
                f"{self.files}: it has {len(inputs)} inputs and {len(graph.output)} outputs; expected one of each"
            )
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise NetworkError(
                    f"{self.files}: the numbers of tensor {tensor.name!r} lie in another file; "
                    "export it with external_data=False"
                )
        return sum(math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in _WEIGHTS)
