"""The networks of one server: each in memory once, however many services use it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from weakref import WeakValueDictionary

from ddsim.embedded.files import Files
from ddsim.embedded.network import Network
from ddsim.embedded.onnx import OnnxNetwork
from ddsim.embedded.runtime import Hardware


class Networks:
    """Loads networks, and finds those that are loaded by the content of their files.

    A network stays as long as a service holds it. Safe to use from several threads.

    Args:
        threads: for each forward pass; None takes all cores.
        idle: seconds after which a network that nobody asks gives its memory back, until it is asked again; None never.
    """

    def __init__(self, threads: int | None = None, idle: float | None = None) -> None:
        self._threads = threads
        self._idle = idle
        self._lock = threading.Lock()
        self._caffe: WeakValueDictionary[tuple[str, bool], Network] = WeakValueDictionary()
        self._onnx: WeakValueDictionary[tuple[str, bool], OnnxNetwork] = WeakValueDictionary()

    def caffe(self, definition: Path, weights: Path, *, gpu: bool = False) -> Network:
        """A Caffe network.

        Raises:
            NetworkError: see :class:`ddsim.embedded.network.Network`.
        """
        files = Files(definition, weights)
        with self._lock:
            found = self._caffe.get((files.digest, gpu))
            if found is None:
                found = self._caffe[files.digest, gpu] = Network(definition, weights, Hardware(self._threads, gpu))
            found.files.also_at(definition, weights)
            return found

    def onnx(self, path: Path, *, gpu: bool = False) -> OnnxNetwork:
        """An ONNX network.

        Raises:
            NetworkError: see :class:`ddsim.embedded.onnx.OnnxNetwork`.
        """
        files = Files(path)
        with self._lock:
            found = self._onnx.get((files.digest, gpu))
            if found is None:
                found = self._onnx[files.digest, gpu] = OnnxNetwork(path, Hardware(self._threads, gpu))
            found.files.also_at(path)
            return found

    def release_idle(self) -> None:
        """Let networks that nobody has asked for a while give their memory back."""
        if self._idle is None:
            return
        before = time.monotonic() - self._idle
        with self._lock:
            networks: list[Network | OnnxNetwork] = [*self._caffe.values(), *self._onnx.values()]
            for network in networks:
                if network.asked < before:
                    network.release()
