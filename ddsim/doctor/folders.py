"""What can be odd about a catalogue's folder: shares that are not there, litter, names that look the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import closing

from ddsim.catalogue import Kind, Survey, same_name
from ddsim.config import Settings
from ddsim.doctor.checks import Check, Note
from ddsim.search import Collection, reason_to_stop
from ddsim.sources import source_of

_NAMED = 5


def survey_of(settings: Settings) -> tuple[Counter[str], Survey]:
    """How many items each category of the folder has, and what was met besides.

    Raises:
        ConfigError: there is no such folder, or nothing in it.
    """
    survey = Survey()
    with closing(source_of(settings, settings.catalogue)) as source:
        return Counter(entry.category for entry in source.walk(survey)), survey


def check_folder(folders: Counter[str], survey: Survey, note: Note) -> None:
    """What the walk met.

    Args:
        folders: items of each category.
        survey: what was met besides.
        note: takes the results.
    """
    for uri, reason in sorted(survey.shut.items())[:_NAMED]:
        hint = "mount it, or see to the rights there; what is indexed of it stays meanwhile"
        note(Check("folder", "warning", f"{uri}: {reason}", hint))
    if survey.empty:
        note(Check("folder", "warning", f"empty categories: {_some(survey.empty)}", "is a share not mounted there?"))
    if loose := survey.met.get(Kind.LOOSE):
        message = f"passed over beside the category folders: {loose.count}, such as {_some(loose.examples)}"
        note(Check("folder", "warning", message, "move them into the folder of a category"))
    passed = {kind: survey.met[kind].count for kind in (Kind.LITTER, Kind.HIDDEN, Kind.EXCLUDED) if kind in survey.met}
    if passed:
        words = ", ".join(f"{count} {kind.value}" for kind, count in passed.items())
        note(Check("folder", "ok", f"passed over: {words}; `ddsim index --dry-run` has examples"))
    alike: dict[str, list[str]] = defaultdict(list)
    for name in folders:
        alike[same_name(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            message = f"{len(names)} folders look the same, {names[0]!r}, as their letters are written in several ways"
            note(Check("folder", "warning", message, "move their pictures into one of them"))


def check_losses(settings: Settings, collection: Collection, note: Note) -> None:
    """Whether a run would stop as too much of the catalogue is gone; by the numbers of pictures alone.

    Raises:
        ConfigError: the catalogue is not there.
    """
    folders, survey = survey_of(settings)
    there = {same_name(name): count for name, count in folders.items()}
    shut = {uri.partition("/")[0] for uri in survey.shut}
    known = collection.manifest.categories()
    lost = sum(max(0, count - there.get(same_name(name), 0)) for name, count in known.items() if name not in shut)
    limit = settings.reference.vanish_limit
    if reason := reason_to_stop(collection.manifest, lost, survey, limit, rebuild=False):
        note(Check("indexed", "warning", f"`ddsim index` would stop: {reason}", "mount what is missing"))


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
