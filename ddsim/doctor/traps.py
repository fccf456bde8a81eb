"""The server's known traps as a table: which apply to a server, what each means, and what ddsim does about it.

A trap is *proven* where a recording shows it; the others were read in the server's source, or in reports of its users.
The table makes this file long; in two it would be no easier to read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ddsim.doctor.facts import (
    Facts,
    always,
    annoy,
    caffe,
    caffe_index,
    exact,
    grows,
    not_on_the_server,
    old_torch,
    runs_torch,
    torch,
    without_caffe,
    without_search,
)

Harm = Literal["ends the server", "loses or mixes up data", "answers wrongly, or not at all"]
KILLS: Harm = "ends the server"
SPOILS: Harm = "loses or mixes up data"
MISLEADS: Harm = "answers wrongly, or not at all"

_SOURCE = "server source"


@dataclass(frozen=True)
class Trap:
    """One thing that goes wrong on a server without a word of warning.

    Attributes:
        name: what it is called.
        harm: the worst that it does.
        applies: whether a server has it.
        meaning: one sentence.
        workaround: what ddsim does about it.
        source: the recording that shows it, such as ``recordings/wire/28-ids-too-few``, or where else it is known from.
        on: whether the work-around is on; some depend on the configuration.
    """

    name: str
    harm: Harm
    applies: Callable[[Facts], bool]
    meaning: str
    workaround: str
    source: str
    on: Callable[[Facts], bool] = always

    @property
    def proven(self) -> bool:
        """Whether a recording shows it."""
        return self.source.startswith("recordings/")


def _wire(name: str) -> str:
    return f"recordings/wire/{name}"


def _recorded_torch(name: str) -> str:
    return f"recordings/torch/wire/{name}"


TRAPS: tuple[Trap, ...] = (
    Trap(
        "too-few-ids",
        KILLS,
        always,
        "A call with fewer ids than pictures ends the process.",
        "every picture gets an id",
        _wire("28-ids-too-few"),
    ),
    Trap(
        "mixed-arrays-torch",
        KILLS,
        torch,
        "An array that mixes whole and broken numbers, or types, ends the process.",
        "numbers go as floats, lists hold one type",
        _recorded_torch("15b-mixed-arrays"),
    ),
    Trap(
        "mixed-arrays",
        KILLS,
        caffe,
        "An array that mixes whole and broken numbers ends official builds.",
        "numbers go as floats, lists hold one type",
        _SOURCE,
    ),
    Trap(
        "empty-build",
        KILLS,
        grows,
        "Building an index to which nothing was added ends the process.",
        "adding and building go in one call",
        _wire("26-sim-build-after-reload"),
    ),
    Trap(
        "search-on-classifier",
        KILLS,
        caffe_index,
        "A similarity search on a classification service ends the process.",
        "refused before it is sent",
        _wire("29-supervised-search"),
    ),
    Trap(
        "broken-index",
        KILLS,
        grows,
        "After an index failed to load, the next call to it ends the process.",
        "only kinds of index that work; none is used after it failed",
        _wire("46-sim-bad-index-type"),
    ),
    Trap(
        "empty-chain",
        KILLS,
        always,
        "A chain call without calls in it ends the process.",
        "chains are not used",
        _wire("15b-chain-empty"),
    ),
    Trap(
        "whole-request-at-once",
        KILLS,
        caffe,
        "All pictures of a call go through the network at once: memory runs out.",
        "the size of a pass goes with every call",
        "reports of users",
    ),
    Trap(
        "unbuilt-rows",
        SPOILS,
        grows,
        "A search that meets rows which are not built yet fails, or worse.",
        "searches wait until everything is built",
        _wire("23-sim-search-unbuilt"),
    ),
    Trap(
        "append-only",
        SPOILS,
        grows,
        "The index only grows: a picture added twice is there twice, none goes.",
        "a manifest of what is valid; `ddsim index --rebuild` clears up",
        _wire("21-sim-index-search"),
    ),
    Trap(
        "unsaved-rows",
        SPOILS,
        grows,
        "What was added and not built is gone when the server ends.",
        "built at every checkpoint; what was lost is sent again",
        _wire("21-sim-index-search"),
    ),
    Trap(
        "shared-folder",
        SPOILS,
        grows,
        "Two similarity services on one folder find each other's names.",
        "refused; every index has a folder of its own",
        _wire("30-sim-two-services-one-repository"),
    ),
    Trap(
        "unchecked-length",
        SPOILS,
        grows,
        "Vectors of another layer go into an index and stay, with wrong distances.",
        "an index takes one layer; lengths are compared",
        _wire("39-sim-dimension"),
    ),
    Trap(
        "spoiling-names",
        SPOILS,
        grows,
        "Names with ^, NUL or nothing in them make every search that hits them fail.",
        "refused before they are sent",
        _wire("34-sim-name-caret"),
    ),
    Trap(
        "clear-takes-weights",
        SPOILS,
        always,
        "Clearing a service deletes the network that lies in its folder.",
        "an index never shares a folder with a network",
        _wire("07-service-get-delete"),
    ),
    Trap(
        "forgotten-services",
        SPOILS,
        always,
        "A server that restarts has no services any more.",
        "they are created again when needed",
        _wire("21-sim-index-search"),
    ),
    Trap(
        "no-similarity-search",
        MISLEADS,
        without_search,
        "Indexing and searching are ignored in silence: built without them.",
        "ddsim keeps the vectors (index.backend: local or auto)",
        _recorded_torch("11-simsearch-off"),
        not_on_the_server,
    ),
    Trap(
        "closed-index",
        MISLEADS,
        annoy,
        "An Annoy index takes nothing more once it is built.",
        "ddsim keeps the vectors (index.backend: local or auto)",
        _SOURCE,
        not_on_the_server,
    ),
    Trap(
        "no-caffe",
        MISLEADS,
        without_caffe,
        "Caffe networks, bundled ones too, cannot be run.",
        "a configuration with mllib: torch",
        _recorded_torch("02-removed-backends"),
        runs_torch,
    ),
    Trap(
        "silent-clear",
        MISLEADS,
        grows,
        "Clearing an index that is not loaded does nothing, and answers well.",
        "a search loads it first",
        _wire("07b-delete-and-recreate"),
    ),
    Trap(
        "too-few-for-lists",
        MISLEADS,
        grows,
        "An IVF index with fewer pictures than lists finds nothing, in silence.",
        "index_type: Flat; the audit after each run",
        _wire("45-sim-index-types"),
        exact,
    ),
    Trap(
        "shuffled-answers",
        MISLEADS,
        always,
        "A batch is answered in any order, and of two equal ids one is dropped.",
        "answers are joined by id, and ids differ",
        _wire("09-classify-batch"),
    ),
    Trap(
        "poisoned-batch",
        MISLEADS,
        always,
        "One picture that cannot be read fails its whole batch.",
        "the batch is halved until that picture is alone",
        _wire("38-sim-index-errors"),
    ),
    Trap(
        "unknown-layer",
        MISLEADS,
        caffe,
        "After a layer that is not there the next call fails, whatever it is.",
        "one call of no importance takes it",
        _wire("20-sim-extract"),
    ),
    Trap(
        "created-unusable",
        MISLEADS,
        always,
        "A service is created although its network is missing.",
        "a trial prediction follows",
        _wire("04-service-repository"),
    ),
    Trap(
        "confusing-folders",
        MISLEADS,
        caffe,
        "A folder named like a model file is taken for one.",
        "refused in configurations",
        _wire("04c-directory-name-corresp"),
    ),
    Trap(
        "racing-creations",
        MISLEADS,
        always,
        "Of several creations of one name all but one fail with a server's error.",
        "taken for what it is: the service exists",
        _wire("14-create-race"),
    ),
    Trap(
        "broken-info",
        MISLEADS,
        always,
        "A service with a parameter of the wrong type breaks GET /info for all.",
        "parameters are checked before they are sent",
        _wire("13-info-broken-by-parameter"),
    ),
    Trap(
        "undecoded-names",
        MISLEADS,
        always,
        "Names of services are not decoded, and some are taken.",
        "letters, digits, '_', '.' and '-' only; taken ones refused",
        _wire("12-service-names"),
    ),
    Trap(
        "body-of-get",
        MISLEADS,
        always,
        "A body in GET or DELETE is read as the next request.",
        "they go without one",
        _wire("11-http-layer"),
    ),
    Trap(
        "reads-paths-and-urls",
        MISLEADS,
        always,
        "A picture's data may name a file of the server, or an address to fetch.",
        "pictures go as base64, unless ServerPath or Url is used",
        _wire("10-predict-data-errors"),
    ),
    Trap(
        "lost-std",
        MISLEADS,
        torch,
        "A std given at creation is shown, and not used.",
        "it goes with every call",
        _recorded_torch("13-input-parameters"),
    ),
    Trap(
        "invented-classes",
        MISLEADS,
        torch,
        "Asked for more labels than there are, the server invents some.",
        "asked for no more than nclasses",
        _recorded_torch("06-best-too-large"),
    ),
    Trap(
        "whole-scale",
        MISLEADS,
        torch,
        "A scale that is a whole number is refused.",
        "it goes as a float",
        _recorded_torch("15-wrong-types"),
    ),
    Trap(
        "not-finite",
        MISLEADS,
        torch,
        "Answers may hold NaN and Infinity, which are no JSON.",
        "they are read all the same; the audit reports them",
        _recorded_torch("12c-not-finite"),
    ),
    Trap(
        "mixed-features",
        MISLEADS,
        old_torch,
        "Pictures that go through together get each other's features (before v0.29).",
        "noticed, and then they go one by one",
        _SOURCE,
    ),
)


def traps_of(facts: Facts) -> tuple[Trap, ...]:
    """The traps of a server, the worst first."""
    return tuple(trap for trap in TRAPS if trap.applies(facts))
