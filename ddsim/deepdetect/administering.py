"""Services created and deleted: the plans behind the client's methods of the same names."""

from __future__ import annotations

import posixpath
from typing import Literal, TypeAlias

from ddsim.deepdetect.core import Core, ask, attempted
from ddsim.deepdetect.guard import Guard
from ddsim.deepdetect.indexing import search_index
from ddsim.deepdetect.predicting import DUMMY
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.deepdetect.steps import Plan, holding
from ddsim.errors import ApiError, DDSimError, InvalidRequest, ServerFault, ServiceExists, UnsafeCall

Destroy: TypeAlias = Literal["lib", "full", "dir"]


def create_service(core: Core, spec: ServiceSpec) -> Plan[None]:
    """See :meth:`ddsim.Client.create_service`."""
    guard = core.guard(spec.name)
    body = spec.body()
    if spec.type == "unsupervised":
        yield from _check_repository(core, spec)
    yield from holding(guard.lock, _created(core, guard, f"/services/{spec.name}", body))


def _created(core: Core, guard: Guard, path: str, body: dict[str, object]) -> Plan[None]:
    try:
        yield from ask("PUT", path, body, core.limits.create)
    except ApiError as error:
        if not (yield from _lost_race(core, error, guard.name)):
            raise
        raise ServiceExists(
            409, 1014, "Service already exists (created at the same time)", method="PUT", path=path
        ) from error
    guard.forget()
    core.seen[guard.name] = str(body["description"])


def _check_repository(core: Core, spec: ServiceSpec) -> Plan[None]:
    wanted = posixpath.normpath(spec.repository)
    for other in (yield from core.info()).services:
        same = other.type == "unsupervised" and posixpath.normpath(other.repository) == wanted
        if same and other.name != spec.name:
            raise UnsafeCall(
                f"repository {spec.repository!r} belongs to the similarity service {other.name!r}: give "
                f"{spec.name!r} a repository of its own, or each service finds the names of the other's pictures"
            )


def _lost_race(core: Core, error: ApiError, name: str) -> Plan[bool]:
    # Of several creations at once all but one fail with 500/1007 or a bare 403 (recording 14).
    if not isinstance(error, ServerFault) and (error.status, error.dd_code) != (403, None):
        return False
    return (yield from attempted(core.service(name))) is None


def delete_service(
    core: Core, name: str, clear: Literal["index"] | None, layer: str | None, destroy_model_files: Destroy | None
) -> Plan[None]:
    """See :meth:`ddsim.Client.delete_service`."""
    if clear not in (None, "index") or destroy_model_files not in (None, "lib", "full", "dir"):
        raise InvalidRequest("delete_service: clear takes None or 'index', destroy_model_files lib, full or dir")
    if clear is not None and destroy_model_files is not None:
        raise InvalidRequest("delete_service: give either clear or destroy_model_files")
    guard = core.guard(name)
    yield from holding(guard.lock, _deleted(core, guard, clear or destroy_model_files, layer))


def _deleted(core: Core, guard: Guard, word: str | None, layer: str | None) -> Plan[None]:
    if word == "index":
        yield from _load_index(core, guard, layer)
    path = f"/services/{guard.name}" + (f"?clear={word}" if word else "")
    yield from ask("DELETE", path, None, core.limits.create)
    core.seen.pop(guard.name, None)
    guard.forget(index_too=word is not None)


def why_missing(core: Core, service: str) -> Plan[str]:
    """See :meth:`ddsim.Client.why_missing`."""
    others = {name: said for name, said in core.seen.items() if name != service.lower()}
    try:
        there = {one.name: one.description for one in (yield from core.info()).services}
    except DDSimError:
        others = there = {}
    if any(there.get(name) == said for name, said in others.items()):
        return "somebody removed it, or made it anew for another use"
    return "the server was restarted" if others else "the server was restarted, or somebody removed it"


def _load_index(core: Core, guard: Guard, layer: str | None) -> Plan[None]:
    """Have the server load a service's index, even where it seems to be: the server may be another one since."""
    if guard.engine == "broken" or (guard.unbuilt and guard.engine == "loaded"):
        return
    if guard.layer is not None:
        yield from core.refresh(guard)
        # What the index is made of, whatever the next one is to be made of.
        layer = guard.layer if guard.is_same_index() else layer
    if layer is None:
        raise InvalidRequest(
            f"delete_service({guard.name!r}, clear='index'): this client has not used the index yet; say by "
            "layer= which layer it is made of, as the server removes the files of a loaded index only"
        )
    yield from search_index(core, guard.name, [DUMMY], layer, k=1)
