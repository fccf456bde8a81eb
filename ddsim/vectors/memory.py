"""The cache as one index uses it: it saves forward passes, and no run fails for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from ddsim.catalogue import Manifest
from ddsim.config import Settings
from ddsim.deepdetect import Vectors
from ddsim.errors import ConfigError
from ddsim.vectors.cache import FOLDER, Cache
from ddsim.vectors.canary import canary_of
from ddsim.vectors.fingerprints import looks_alike, vector_key

_log = logging.getLogger(__name__)


class Memory:
    """Vectors of one network by their pictures' content.

    Args:
        cache: where they are; closed with this.
        key: of the network's vectors.
        limit: bytes that the cache may take.
        recalling: whether what is kept is used; otherwise it is only added to.
    """

    def __init__(self, cache: Cache, key: str, limit: int, *, recalling: bool) -> None:
        self._cache: Cache | None = cache
        self._key = key
        self._limit = limit
        self._recalling = recalling

    @classmethod
    def of(cls, settings: Settings, manifest: Manifest, *, recalling: bool = True) -> Memory | None:
        """The memory of a manifest's network, whose canary the manifest knows; None where none can be had."""
        canary, limit = canary_of(manifest), settings.index.cache
        if canary is None or not limit:
            return None
        try:
            cache = Cache(settings.state / FOLDER)
        except ConfigError as error:
            _log.warning("%s. Every picture is sent, whether or not it was before", error)
            return None
        made = cls(cache, vector_key(settings), limit, recalling=recalling)
        try:
            cache.recognise(made._key, looks_alike(settings), canary)
        except ConfigError as error:
            made._give_up(error)
        return made

    def recall(self, sha256: str) -> Vectors | None:
        """The vector of a picture with this content, shape (d,); None where it is not known. For any thread."""
        cache = self._cache
        if cache is None or not self._recalling:
            return None
        try:
            return cache.vectors(self._key, [sha256]).get(sha256)
        except ConfigError as error:
            self._give_up(error)
            return None

    def keep(self, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors by their pictures' content."""
        if self._cache is None or not vectors:
            return
        try:
            self._cache.keep_vectors(self._key, vectors)
            self._cache.trim(self._limit)
        except ConfigError as error:
            self._give_up(error)

    def close(self) -> None:
        """Let go of the cache."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def recall_all(self, hashes: Iterable[str]) -> dict[str, Vectors]:
        """The vectors that are known of pictures with such content, shape (d,) each."""
        cache = self._cache
        try:
            return {} if cache is None or not self._recalling else cache.vectors(self._key, hashes)
        except ConfigError as error:
            self._give_up(error)
            return {}

    def _give_up(self, error: ConfigError) -> None:
        _log.warning("%s. The run goes on without it", error)
        self.close()


def kept_by_content(settings: Settings, manifest: Manifest, hashes: Iterable[str]) -> dict[str, Vectors]:
    """What the cache has of an index's network, by the content of the pictures; nothing where there is no cache."""
    memory = Memory.of(settings, manifest)
    if memory is None:
        return {}
    try:
        return memory.recall_all(hashes)
    finally:
        memory.close()
