"""What is allowed in settings and probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ddsim.caffe import PrototxtError, read_definition
from ddsim.config.services import Service
from ddsim.config.settings import Settings


def advice(settings: Settings) -> list[str]:
    """Sentences for the person who wrote them; none where all looks as it should."""
    return list(dict.fromkeys(_advice(settings)))


def _advice(settings: Settings) -> Iterator[str]:
    for part in (settings.similarity, settings.classification):
        # A service in its network's own folder takes the mean that lies there.
        named = part is not None and part.mllib == "caffe" and part.definition is not None
        if part is not None and named and not part.mean and not _has_mean(settings, part):
            yield (
                f"no mean is subtracted from pictures for {part.definition}. Most Caffe networks have one, "
                "and find less without: write mean: under network:, such as [104, 117, 123], or [0, 0, 0] where this "
                "one wants none"
            )


def _has_mean(settings: Settings, part: Service) -> bool:
    """Whether the definition subtracts one itself, as far as it is here to be looked at."""
    if not settings.server.embedded or part.definition is None:
        return False
    try:
        return bool(read_definition(Path(part.definition).read_text("utf-8", "surrogateescape")).mean)
    except (OSError, PrototxtError):
        return False
