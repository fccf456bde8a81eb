"""What a run is to do, and what it would do: looked at before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass

from ddsim.catalogue import Change, Plan, Survey
from ddsim.errors import InvalidRequest
from ddsim.search.holdings import Holdings
from ddsim.search.vanishing import reason_to_stop
from ddsim.showing import Value


@dataclass(frozen=True)
class IndexOptions:
    """What an indexing run does beyond sending what is new or changed.

    Attributes:
        retry_failed: try the pictures again that could not be indexed before.
        rebuild: start with an empty index and send everything again.
        audit: check the index afterwards.
        allow_vanished: go on however much of the catalogue is gone.
        take_over: in a database, take the place of another state folder's index, which is removed once this one is
            whole.

    Raises:
        InvalidRequest: one of them is neither True nor False.
    """

    retry_failed: bool = False
    rebuild: bool = False
    audit: bool = True
    allow_vanished: bool = False
    take_over: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool):
                raise InvalidRequest(f"IndexOptions: {name}={value!r} must be True or False")


@dataclass(frozen=True, repr=False)
class Outlook(Value):
    """What a run would do.

    Attributes:
        changes: how many items became what since the last run.
        survey: what was met in the folder besides items.
        stop: why the run would stop before anything is sent; None where it would not.
    """

    changes: dict[Change, int]
    survey: Survey
    stop: str | None


def outlook(held: Holdings, options: IndexOptions) -> Outlook:
    """Look at what a run would do, without doing it.

    Raises:
        ConfigError: there is no catalogue.
    """
    survey = Survey()
    with planned(held, options, survey) as plan:
        return outlook_of(held, plan, survey, options)


def planned(held: Holdings, options: IndexOptions, survey: Survey) -> Plan:
    """Compare the catalogue with the manifest; the survey hears what is met.

    Raises:
        ConfigError: there is no catalogue.
    """
    entries = held.source.walk(survey)
    plan = held.manifest.plan(
        entries,
        held.source.digest,
        retry_failed=options.retry_failed,
        shut=survey.shut,
        anew=held.settings.index.backend == "milvus",
        readers=held.source.readers or 1,
    )
    survey.shut |= plan.unavailable
    return plan


def outlook_of(held: Holdings, plan: Plan, survey: Survey, options: IndexOptions) -> Outlook:
    """What a run would do that follows this plan."""
    stop = None
    if not options.allow_vanished:
        limit = held.settings.reference.vanish_limit
        stop = reason_to_stop(held.manifest, plan.lost, survey, limit, rebuild=options.rebuild)
    return Outlook(dict(plan.counts), survey, stop)
