"""The classification service of a configuration, there when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ddsim.config import Settings
from ddsim.deepdetect import Client, Label, ensure, shared
from ddsim.errors import ServiceNotFound
from ddsim.pictures import Picture


class Classifier:
    """Names what pictures show.

    Args:
        client: the server.
        settings: the configuration; it may be one without a classification service.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        spec = settings.classification_spec()
        self._spec = None if spec is None else shared(spec)
        self._ensured = False
        self._lock = threading.Lock()

    def labels(self, pictures: Sequence[Picture]) -> list[tuple[Label, ...]]:
        """The labels of each picture, most probable first; no labels where there is no service.

        Raises:
            ServiceConflict: the service is there with other settings.
            ApiError, TransportError: as the client raises.
        """
        if self._spec is None:
            return [()] * len(pictures)
        self._ensure()
        try:
            found = self._client.classify(self._spec.name, pictures, top=None)
        except ServiceNotFound:
            # A server that was restarted since has forgotten its services.
            self._ensured = False
            self._ensure()
            found = self._client.classify(self._spec.name, pictures, top=None)
        return [one.labels for one in found]

    def _ensure(self) -> None:
        # One thread creates it, the others find it there.
        with self._lock:
            if not self._ensured and self._spec is not None:
                ensure(self._client, self._spec)
                self._ensured = True
