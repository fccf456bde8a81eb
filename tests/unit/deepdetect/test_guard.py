"""ddsim.deepdetect.guard: what a client remembers of a service, and what it refuses because of it."""

from __future__ import annotations

import pytest

from ddsim.deepdetect.described import ServiceInfo
from ddsim.deepdetect.guard import Guard
from ddsim.errors import (
    ApiError,
    BadInput,
    BadParameter,
    InvalidRequest,
    InvalidResponse,
    ServerFault,
    ServerTimeout,
    UnsafeCall,
)


def guard(kind: str = "unsupervised", mllib: str = "caffe") -> Guard:
    """A guard of a service like this."""
    return Guard("sim", info=ServiceInfo(name="sim", type=kind, mllib=mllib))


def refused(kind: type[ApiError], dd_code: int) -> ApiError:
    """The server's refusal of a prediction."""
    return kind(400, dd_code, "no", method="POST", path="/predict")


def test_a_similarity_service_may_be_used() -> None:
    """Nothing is wrong with features, index and search of a fresh one."""
    fresh = guard()
    fresh.check_features()
    fresh.check_index("fc1")
    fresh.check_search("fc1")


def test_features_of_a_classification_service() -> None:
    """Caffe answers 500, so it is refused here (recordings 08, 20)."""
    with pytest.raises(InvalidRequest, match="classifies") as raised:
        guard("supervised").check_features()
    assert not isinstance(raised.value, UnsafeCall)


@pytest.mark.parametrize("check", ["check_index", "check_search"])
def test_index_of_a_classification_service(check: str) -> None:
    """Recording 29: the server dies."""
    with pytest.raises(UnsafeCall, match="classifies"):
        getattr(guard("supervised"), check)("fc1")


@pytest.mark.parametrize("mllib", ["ncnn", "tensorrt", "caffe2", ""])
def test_other_libraries_are_not_torch(mllib: str) -> None:
    """Only Torch is known to extract on a supervised service; of others nothing is."""
    with pytest.raises(UnsafeCall):
        guard("supervised", mllib).check_search("fc1")


def test_torch_has_no_other_type() -> None:
    """On Torch a supervised service gives features and holds an index (recordings torch 09, 50)."""
    torch = guard("supervised", "torch")
    torch.check_features()
    torch.check_index("last")
    torch.check_search("last")


def use(service: Guard, layer: str = "fc1", dimension: int = 16) -> Guard:
    """Use its index once, successfully."""
    with service.claimed(layer):
        service.used(dimension)
    return service


@pytest.mark.parametrize("check", ["check_index", "check_search"])
def test_another_layer_than_the_index_has(check: str) -> None:
    """Recording 39: wrong distances for good, or a read beyond the end."""
    used = use(guard())
    with pytest.raises(UnsafeCall, match="'fc1', not 'pool1'"):
        getattr(used, check)("pool1")
    getattr(used, check)("fc1")


@pytest.mark.parametrize("error", [ServerTimeout("slow"), refused(BadInput, 1005)], ids=repr)
def test_a_lost_use_decides_the_layer(error: Exception) -> None:
    """A call without an answer may have made the index, and an answered one may have been sent before."""
    service = guard()
    with pytest.raises(type(error)), service.claimed("fc1"):
        raise error
    with pytest.raises(UnsafeCall, match="'fc1', not 'pool1'"):
        service.check_index("pool1")


def test_an_unknown_layer_decides_nothing() -> None:
    """What was refused before the index was reached leaves the layer as it was."""
    service = guard()
    with pytest.raises(BadParameter), service.claimed("x"):
        raise refused(BadParameter, 1006)
    service.check_index("fc1")
    use(service)
    with pytest.raises(BadParameter), service.claimed("fc1"):
        raise refused(BadParameter, 1006)
    assert (service.layer, service.dimension) == ("fc1", 16)


def test_what_is_not_built_is_not_searched() -> None:
    """Recordings 23 and 24; adding goes on."""
    busy = guard()
    busy.unbuilt = True
    busy.check_index("fc1")
    with pytest.raises(UnsafeCall, match="build=True"):
        busy.check_search("fc1")


@pytest.mark.parametrize("check", ["check_index", "check_search"])
def test_an_index_that_failed_to_load(check: str) -> None:
    """Recordings 46 and 47: the next use kills the server; features alone are safe."""
    broken = guard()
    broken.engine = "broken"
    with pytest.raises(UnsafeCall, match="failed to load"):
        getattr(broken, check)("fc1")
    broken.check_features()


def test_vectors_that_change_their_length() -> None:
    """Another length than before means that another network answers under the name."""
    used = use(use(guard()))
    with pytest.raises(InvalidResponse, match="5 values, its index holds 16"):
        use(used, dimension=5)


@pytest.mark.parametrize(("index_too", "layer"), [(False, "fc1"), (True, None)])
def test_forgetting(index_too: bool, layer: str | None) -> None:
    """A service made anew starts anew and is asked about again; its index stays unless it was cleared."""
    old = use(guard())
    old.unbuilt, old.engine = True, "broken"
    old.forget(index_too=index_too)
    assert (old.layer, old.unbuilt, old.engine, old.stale) == (layer, False, "unknown", True)


def test_an_index_elsewhere() -> None:
    """Layer and length are those of one repository: in another one everything is new."""
    moved = use(guard())
    moved.info = ServiceInfo(name="sim", type="unsupervised", mllib="caffe", repository="/elsewhere")
    moved.check_search("pool1")
    use(moved, "pool1", 392)
    with pytest.raises(UnsafeCall, match="'pool1', not 'fc1'"):
        moved.check_index("fc1")


@pytest.mark.parametrize(("engine", "after"), [("loaded", "unknown"), ("unknown", "unknown"), ("broken", "broken")])
def test_doubt(engine: str, after: str) -> None:
    """A lost answer makes a loaded index doubtful, and heals neither a broken one nor what is unbuilt."""
    used = use(guard())
    used.unbuilt, used.engine = True, engine  # type: ignore[assignment]
    used.doubt()
    assert (used.engine, used.unbuilt, used.layer, used.stale) == (after, True, "fc1", True)
    assert used.info is not None


NAMELESS = ["std::bad_alloc", "vector::_M_range_check: __n (which is 0)", "./utils/db_lmdb.hpp:18 Check failed"]


def fault(words: str, status: int = 500) -> ServerFault:
    """The server fails with these words."""
    return ServerFault(status, 1007, words, method="POST", path="/predict")


@pytest.mark.parametrize("words", NAMELESS)
def test_a_search_that_met_a_row_without_a_name_can_be_made_again(words: str) -> None:
    """The index is loaded, others only have not built: the first use does not stick."""
    met = guard()
    met.failed(fault(words), searching=True)
    met.check_search("fc1")


@pytest.mark.parametrize(
    ("words", "searching"), [("Error in faiss::read_index", True), ("", True), ("std::bad_alloc", False)]
)
def test_any_other_fault_at_the_first_use_is_a_load_that_failed(words: str, searching: bool) -> None:
    """Recordings 46 and 47: the server dies of the next use."""
    met = guard()
    met.failed(fault(words), searching=searching)
    with pytest.raises(UnsafeCall, match="failed to load"):
        met.check_search("fc1")


def test_a_proxys_fault_says_nothing_of_the_index() -> None:
    """502 to 504 are not the server's."""
    met = guard()
    met.failed(fault("Bad Gateway", 502), searching=True)
    met.check_search("fc1")


def test_a_service_made_anew_is_not_broken_any_more() -> None:
    """Its description holds another word than that of the one that failed to load; the same one stays refused."""
    met = guard()
    met.failed(fault("Error in faiss::read_index"), searching=True)
    met.seen(ServiceInfo(name="sim", type="unsupervised", mllib="caffe"))
    with pytest.raises(UnsafeCall):
        met.check_index("fc1")
    met.seen(ServiceInfo(name="sim", type="unsupervised", mllib="caffe", description="ddsim {}"))
    met.check_index("fc1")


def test_a_build_by_others_shows_that_an_index_is_loaded() -> None:
    """What failed is used again then; anything else is as it was."""
    failed, loaded = guard(), guard()
    failed.engine, loaded.engine = "broken", "loaded"
    failed.built_by_others()
    loaded.built_by_others()
    failed.check_index("fc1")
    assert (failed.engine, loaded.engine) == ("unknown", "loaded")
