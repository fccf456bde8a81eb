"""ddsim.deepdetect.client: creating, describing and deleting services."""

from __future__ import annotations

from typing import Any

import pytest
from client_calls import index, search, spec

from ddsim import Client
from ddsim.errors import (
    ApiError,
    InvalidRequest,
    ServerFault,
    ServerTimeout,
    ServiceExists,
    ServiceNotFound,
    UnsafeCall,
)


def test_info(client: Client, transport: Any) -> None:
    """GET /info, typed."""
    info = client.info()
    assert [service.name for service in info.services] == list(transport.services)
    assert info.capabilities.similarity_engine == "faiss"
    assert [(sent.method, sent.path) for sent in transport.sent] == [("GET", "/info")]


def test_get_service(client: Client, transport: Any) -> None:
    """GET of a service under its lower-case name, with labels where asked."""
    assert client.get_service("SIM").type == "unsupervised"
    client.get_service("sim", labels=True)
    assert [sent.path for sent in transport.sent] == ["/services/sim", "/services/sim?labels=true"]


def test_get_service_that_is_not_there(client: Client) -> None:
    """404/1002 is ServiceNotFound."""
    with pytest.raises(ServiceNotFound, match="create it again"):
        client.get_service("nosuch")


def test_create_service(client: Client, transport: Any) -> None:
    """PUT with the body of the spec."""
    client.create_service(spec(name="NEW"))
    assert transport.sent[-1].method == "PUT"
    assert transport.sent[-1].path == "/services/new"
    assert transport.sent[-1].json == spec().body()


@pytest.mark.parametrize("first", [(500, 1007), (403, None)])
def test_create_service_at_the_same_time(client: Client, transport: Any, wire_answers: Any, first: Any) -> None:
    """All but one of several creations fail oddly; where the service is there then, it is ServiceExists (14)."""
    transport.script.append(wire_answers.refusal(*first, "logger with name 'new' already exists"))
    transport.services["new"] = {"name": "new"}
    with pytest.raises(ServiceExists) as raised:
        client.create_service(spec())
    assert (raised.value.status, raised.value.dd_code) == (409, 1014)


@pytest.mark.parametrize("first", [(500, 1007), (403, None), (400, 1006)])
def test_create_service_that_fails(client: Client, transport: Any, wire_answers: Any, first: Any) -> None:
    """A creation that failed for another reason stays what the server said."""
    transport.script.append(wire_answers.refusal(*first, "bad weights"))
    with pytest.raises(ApiError) as raised:
        client.create_service(spec())
    assert (raised.value.status, raised.value.dd_code) == first


def test_create_service_is_not_repeated(client: Client, transport: Any) -> None:
    """After a lost answer nobody knows whether the service is there."""
    transport.script.append(ServerTimeout("slow"))
    with pytest.raises(ServerTimeout):
        client.create_service(spec())
    assert len(transport.sent) == 1


def test_create_service_in_a_bad_folder(client: Client, transport: Any) -> None:
    """A repository that the server would mistake for a model file is refused before anything is sent."""
    with pytest.raises(UnsafeCall):
        client.create_service(spec(repository="/data/corresp", type="unsupervised"))
    assert transport.sent == []


@pytest.mark.parametrize("repository", ["/i/sim", "/i/sim/", "/i/x/../sim"])
def test_one_similarity_service_a_repository(client: Client, transport: Any, repository: str) -> None:
    """Recording 30: each of two would find the other's names, so the second is not created."""
    with pytest.raises(UnsafeCall, match="'sim'"):
        client.create_service(spec(repository=repository, type="unsupervised"))
    assert {sent.method for sent in transport.sent} == {"GET"}


def test_classification_may_share_a_repository(client: Client, transport: Any) -> None:
    """Only two indexes get in each other's way."""
    client.create_service(spec(repository="/i/sim"))
    client.create_service(spec(repository="/m/cls", type="unsupervised"))
    assert [sent.method for sent in transport.sent].count("PUT") == 2


def test_delete_service(client: Client, transport: Any) -> None:
    """By default no word that touches a file is sent."""
    client.delete_service("SIM")
    assert [(sent.method, sent.path) for sent in transport.sent] == [("DELETE", "/services/sim")]


def test_delete_service_that_is_not_there(client: Client, transport: Any, wire_answers: Any) -> None:
    """404 without a code is ServiceNotFound."""
    transport.script.append(wire_answers.refusal(404))
    with pytest.raises(ServiceNotFound):
        client.delete_service("sim")


@pytest.mark.parametrize("word", ["lib", "full", "dir", "INDEX", "mem", "", "1", "true", True, 1])
def test_no_clear_reaches_the_weights(client: Client, transport: Any, word: Any) -> None:
    """`clear` knows one word; those that delete weights need the parameter that says so."""
    with pytest.raises(InvalidRequest, match="clear"):
        client.delete_service("sim", clear=word)
    with pytest.raises(InvalidRequest, match="clear"):
        client.delete_service("sim", word)
    assert transport.sent == []


@pytest.mark.parametrize("word", ["lib", "full", "dir"])
def test_deleting_model_files_says_so(client: Client, transport: Any, word: Any) -> None:
    """The parameter for it is named for what it does, and sends the server's word."""
    client.delete_service("sim", destroy_model_files=word)
    assert transport.sent[-1].path == f"/services/sim?clear={word}"


@pytest.mark.parametrize("options", [{"destroy_model_files": "index"}, {"destroy_model_files": "x"}])
def test_deleting_model_files_by_another_word(client: Client, transport: Any, options: Any) -> None:
    """Unknown words are refused, since the server would do nothing and say it was well."""
    with pytest.raises(InvalidRequest):
        client.delete_service("sim", **options)
    with pytest.raises(InvalidRequest, match="either"):
        client.delete_service("sim", clear="index", destroy_model_files="lib", layer="fc1")
    assert transport.sent == []


def test_clearing_an_index_loads_it_first(client: Client, transport: Any) -> None:
    """The server removes the files of a loaded index only (recording 07), so a search goes first."""
    client.delete_service("sim", clear="index", layer="fc1")
    body, delete = transport.predicts[0], transport.sent[-1]
    assert body["parameters"]["output"] == {"search": True, "search_nn": 1}
    assert body["parameters"]["mllib"]["extract_layer"] == "fc1"
    assert (delete.method, delete.path) == ("DELETE", "/services/sim?clear=index")


def test_clearing_an_index_that_was_used(client: Client, transport: Any, draw: Any) -> None:
    """The layer is known then; it is loaded again all the same, for the server may have been restarted since."""
    index(client, draw)
    client.delete_service("sim", clear="index")
    assert "search" in transport.predicts[-1]["parameters"]["output"]
    assert transport.sent[-1].path == "/services/sim?clear=index"


def test_clearing_an_index_of_an_unknown_layer(client: Client, transport: Any) -> None:
    """Without a layer it cannot be loaded, and the server would clear nothing, silently."""
    with pytest.raises(InvalidRequest, match="layer="):
        client.delete_service("sim", clear="index")
    assert transport.sent == []


def test_clearing_what_is_not_built(client: Client, transport: Any, draw: Any) -> None:
    """What was just indexed is loaded for certain, and a search of it would be unsafe: none is sent."""
    index(client, draw, build=False)
    client.delete_service("sim", clear="index")
    assert len(transport.predicts) == 1
    assert transport.sent[-1].path == "/services/sim?clear=index"


def test_clearing_a_broken_index(client: Client, transport: Any, draw: Any, wire_answers: Any) -> None:
    """Deleting is the way out of an index that failed to load (recording 46c); nothing else touches it."""
    transport.script.append(wire_answers.refusal(500, 1007))
    with pytest.raises(ServerFault):
        search(client, draw)
    client.delete_service("sim", clear="index")
    assert len(transport.predicts) == 1
    search(client, draw)


def test_clearing_an_index_before_another_layer(client: Client, transport: Any, draw: Any) -> None:
    """An index is loaded by the layer it is made of, whatever the next one is to be made of (recording 39)."""
    index(client, draw)
    client.delete_service("sim")
    client.delete_service("sim", clear="index", layer="pool1")
    assert transport.predicts[-1]["parameters"]["mllib"]["extract_layer"] == "fc1"
    search(client, draw, layer="pool1")


def test_an_index_outlives_its_service(client: Client, transport: Any, draw: Any) -> None:
    """A service made anew on the same repository has the same index, of the same layer (recording 39b)."""
    index(client, draw)
    client.delete_service("sim")
    client.create_service(spec(name="sim", type="unsupervised", repository="/i/sim"))
    with pytest.raises(UnsafeCall, match="'fc1', not 'pool1'"):
        search(client, draw, layer="pool1")
    search(client, draw)


def test_another_repository_has_another_index(client: Client, transport: Any, draw: Any) -> None:
    """A service made anew elsewhere starts anew, with any layer and length of vectors."""
    index(client, draw, build=False)
    client.delete_service("sim")
    client.create_service(spec(name="sim", type="unsupervised", repository="/i/other"))
    transport.services["sim"]["repository"] = "/i/other"
    search(client, draw, layer="pool1")


@pytest.mark.parametrize("options", [{"clear": "index"}, {"destroy_model_files": "full"}])
def test_a_cleared_index_is_forgotten(client: Client, transport: Any, draw: Any, options: Any) -> None:
    """Where the files are gone, the next index may be of another layer."""
    index(client, draw)
    client.delete_service("sim", **options)
    search(client, draw, layer="pool1")
