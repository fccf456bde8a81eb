"""A predict call on its way through a service, whatever library the service runs on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ddsim.embedded.payload import section
from ddsim.embedded.profile import Profile
from ddsim.embedded.reading import Item, Reader, read_data, read_items
from ddsim.embedded.replies import Json, not_embedded
from ddsim.embedded.repository import Allowed
from ddsim.embedded.service import InputSettings, Service


@dataclass(frozen=True)
class Call:
    """A predict call on the locked service.

    Attributes:
        service: found by the request's ``service``.
        request: the body as the typed container holds it.
        allowed: tells whether this server may read a path.
        profile: which DeepDetect answers.
        threads: how many of its pictures are read at a time.
    """

    service: Service
    request: Json
    allowed: Allowed
    profile: Profile
    threads: int

    def section(self, name: str) -> Json:
        """``parameters.input``, ``mllib`` or ``output``."""
        return section(self.request, "parameters", name)

    def read(self, inputs: InputSettings, *, honour_scale: bool = False) -> list[Item]:
        """The call's pictures, prepared, in the order of the request.

        Raises:
            Refusal: one of them cannot be read.
        """
        statistics = self.service.statistics
        begun = time.perf_counter()
        data, names = read_data(self.request)
        reader = Reader(inputs.preprocessing(self.service.mean), self.allowed, honour_scale)
        items = read_items(data, names, reader, self.threads)
        statistics.transform_ms += milliseconds_since(begun)
        return items


def milliseconds_since(start: float) -> float:
    """Milliseconds since a time of ``time.perf_counter``."""
    return (time.perf_counter() - start) * 1000


def in_answer_order(items: list[Item]) -> list[Item]:
    """The second half first: one of the two orders that a real server on two cores gives.

    Never the order of the request where it can be told apart, so that no client comes to rely on it
    (recordings/wire/09-classify-batch, recordings/torch/wire/08-batch).
    """
    half = (len(items) + 1) // 2
    return items[half:] + items[:half]


def first_of_equal_uris(items: list[Item]) -> list[Item]:
    """Results are kept by uri: of equal ones the first to be read stays (recordings/wire/09-classify-batch)."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.uri, item)
    return list(first.values())


def refuse_other_outputs(output: Json) -> None:
    """Refuse what only a real server does.

    Raises:
        Refusal: 400/1006.
    """
    for name in ("bool_binarized", "string_binarized", "rois", "template"):
        if output.get(name):
            raise not_embedded(f"output.{name}")
