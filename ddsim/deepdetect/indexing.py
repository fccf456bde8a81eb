"""The server's index, added to and searched: the plans behind the client's methods of the same names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ddsim.deepdetect import wire
from ddsim.deepdetect.checks import check_layer, check_list, count
from ddsim.deepdetect.core import Core
from ddsim.deepdetect.guard import Guard
from ddsim.deepdetect.parts import Data, Named, cut, in_parts, in_requests, length, prepared
from ddsim.deepdetect.predicting import predict
from ddsim.deepdetect.results import SearchReply, Vectors
from ddsim.deepdetect.specs import check_index_type, check_uri
from ddsim.deepdetect.steps import Plan, holding
from ddsim.errors import ApiError, InvalidRequest, ServerUnreachable, ServiceNotFound
from ddsim.pictures import Picture, Upload


def add_to_index(
    core: Core,
    service: str,
    pictures: Mapping[str, Picture],
    layer: str,
    build: bool = True,
    index_type: str = "Flat",
    upload: Upload | None = None,
) -> Plan[Vectors]:
    """See :meth:`ddsim.Client.add_to_index`."""
    if not isinstance(pictures, Mapping) or not pictures:
        raise InvalidRequest("add_to_index: give the pictures by their uris, at least one: {uri: picture}")
    uris = [check_uri(uri) for uri in pictures]
    check_layer(layer)
    check_index_type(index_type)
    too_many = InvalidRequest(
        f"add_to_index: {len(uris)} pictures are more than one request may hold ({core.batch_size} pictures, "
        f"{core.batch_bytes} bytes); call it for each part, with build=True in the last"
    )
    if len(uris) > core.batch_size:
        raise too_many
    guard = yield from core.known(service)
    yield from core.check_similarity()
    made: list[Named] = []
    for uri, picture in zip(uris, pictures.values(), strict=True):
        made.append((uri, (yield from prepared(core, picture, upload))))
    if len(made) > 1 and sum(length(one) for _, one in made) > core.batch_bytes:
        raise too_many

    def send(ids: list[str], data: list[Data]) -> Plan[list[Vectors]]:
        last = build and ids[-1] == uris[-1]
        output: dict[str, Any] = {"index": True, "build_index": True} if last else {"index": True}
        with guard.claimed(layer), _unbuilt(guard, last):
            predictions = yield from predict(core, guard, ids, data, layer=layer, output=output | _made_as(index_type))
        vectors = wire.parse_vectors(predictions)
        guard.used(vectors.shape[1])
        return [vectors]

    def added() -> Plan[Vectors]:
        yield from core.refresh(guard)
        guard.check_index(layer)
        parts: list[Vectors] = []
        for batch in cut(core, made):
            parts += yield from in_parts(core, batch, send)
        return np.concatenate(parts)

    return (yield from holding(guard.lock, added()))


def search_index(
    core: Core,
    service: str,
    pictures: Iterable[Picture],
    layer: str,
    k: int = 10,
    index_type: str = "Flat",
    upload: Upload | None = None,
) -> Plan[list[SearchReply]]:
    """See :meth:`ddsim.Client.search_index`."""
    found = yield from search_rows(core, service, pictures, layer, k, index_type, upload)
    return [SearchReply.of(vector, rows) for vector, rows in found]


def search_rows(
    core: Core,
    service: str,
    pictures: Iterable[Picture],
    layer: str,
    k: int = 10,
    index_type: str = "Flat",
    upload: Upload | None = None,
) -> Plan[list[tuple[Vectors, list[tuple[str, float]]]]]:
    """See :meth:`ddsim.Client.search_rows`."""
    k = count("k", k)
    check_layer(layer)
    check_list(pictures)
    check_index_type(index_type)
    guard = yield from core.known(service)
    yield from core.check_similarity()
    output = {"search": True, "search_nn": k} | _made_as(index_type)

    def send(ids: list[str], data: list[Data]) -> Plan[list[tuple[Vectors, list[tuple[str, float]]]]]:
        predictions, vectors = yield from holding(guard.lock, searched(ids, data))
        return [(vector, wire.parse_rows(one)) for one, vector in zip(predictions, vectors, strict=True)]

    def searched(ids: list[str], data: list[Data]) -> Plan[tuple[list[Mapping[str, Any]], Vectors]]:
        yield from core.refresh(guard)
        guard.check_search(layer)
        with guard.claimed(layer):
            predictions = yield from predict(core, guard, ids, data, layer=layer, output=output)
        vectors = wire.parse_vectors(predictions)
        guard.used(vectors.shape[1])
        return predictions, vectors

    return (yield from in_requests(core, pictures, upload, send))


@contextmanager
def _unbuilt(guard: Guard, build: bool) -> Iterator[None]:
    """Keep account of what an index call leaves unbuilt; while nobody knows, it counts as unbuilt."""
    before, guard.unbuilt = guard.unbuilt, True
    try:
        yield
    except ServiceNotFound:
        raise
    except ServerUnreachable:
        guard.unbuilt = before
        raise
    except ApiError as error:
        # A call that fails before the index is reached indexed nothing. Where the build failed, the items may be in
        # (recording 38), and a proxy's 502 to 504 says nothing of what the server did.
        guard.unbuilt = before or error.status > 500 or (build and error.status == 500)
        raise
    guard.unbuilt = not build


def _made_as(index_type: str) -> dict[str, str]:
    return {} if index_type == "Flat" else {"index_type": index_type}
