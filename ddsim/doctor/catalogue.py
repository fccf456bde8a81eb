"""Whether catalogue, categories, labels and index go together; looks at files on this machine only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection as Words
from collections.abc import Sequence

from ddsim.catalogue import ItemState, Names, walk
from ddsim.config import Settings
from ddsim.deepdetect import Label
from ddsim.doctor.checks import Check, Note
from ddsim.errors import ConfigError
from ddsim.search import Collection
from ddsim.vectors import HOME

_NAMED = 8


def check_catalogue(settings: Settings, labels: Sequence[Label] | None, note: Note) -> None:
    """The folder of reference pictures, its categories, and the labels that stand for them.

    Args:
        settings: the configuration.
        labels: what the classification service can answer; None where nobody knows.
        note: takes the results.
    """
    try:
        folders = Counter(entry.category for entry in walk(settings.catalogue))
    except ConfigError as error:
        hint = "put pictures into <category>/<picture> there, or name another folder under `catalogue:`"
        note(Check("catalogue", "warning", str(error), hint))
    else:
        pictures = f"{folders.total()} pictures" if folders.total() != 1 else "1 picture"
        note(Check("catalogue", "ok", f"{pictures} in {_listed(sorted(folders))}"))
        if settings.classification and settings.categories:
            _check_categories(set(settings.categories.values()), folders, note)
    if settings.classification:
        _check_labels(settings.categories, labels, note)


def _check_categories(mapped: set[str], folders: Words[str], note: Note) -> None:
    there, meant = Names(folders), Names(mapped)
    missing = sorted(name for name in mapped if there.find(name) is None)
    unmapped = sorted(name for name in folders if meant.find(name) is None)
    if missing:
        message = f"labels stand for categories without a folder: {_listed(missing)}"
        note(Check("categories", "warning", message, "make these folders, or take them out of `categories:`"))
    if unmapped:
        message = f"no label stands for these folders: {_listed(unmapped)}"
        note(Check("categories", "warning", message, "add labels for them to `categories:`, if the network has any"))
    if not missing and not unmapped:
        note(Check("categories", "ok", f"labels stand for all {len(mapped)} of them"))


def _check_labels(categories: Words[str], labels: Sequence[Label] | None, note: Note) -> None:
    if not categories:
        message = "no label is mapped to a category, so labels decide nothing"
        note(Check("labels", "warning", message, "name a file under `categories:`, such as categories/furniture.yaml"))
    elif labels is None:
        note(Check("labels", "skipped", f"mapped: {len(categories)}; which labels the server has is not known"))
    else:
        # As in a search: a label, or its first word.
        known = {label.name for label in labels} | {label.name.partition(" ")[0] for label in labels}
        unknown = [name for name in categories if name not in known]
        if unknown:
            message = (
                f"the network does not have {len(unknown)} of the {len(categories)} mapped labels: {_listed(unknown)}"
            )
            hint = "correct them under `categories:`, or look whether corresp is this network's file of labels"
            note(Check("labels", "warning", message, hint))
        else:
            note(Check("labels", "ok", f"the network has all mapped labels ({len(categories)})"))


def check_index(settings: Settings, note: Note) -> None:
    """What is indexed under this configuration. Makes nothing where nothing ever was indexed."""
    hint = "run `ddsim index` with this configuration"
    if not (settings.state / settings.name).is_dir():
        note(Check("indexed", "warning", "nothing yet under this configuration", hint))
        return
    with Collection(settings, None) as collection:
        counts, home = collection.manifest.counts(), collection.manifest.get_meta(HOME)
        folder = collection.catalogue
    indexed, aside = counts[ItemState.INDEXED], counts[ItemState.QUARANTINED]
    waiting = sum(counts.values()) - indexed - aside
    if not indexed:
        note(Check("indexed", "warning", f"nothing of {folder} under these settings and this server", hint))
    else:
        note(Check("indexed", "ok", f"{indexed} of {folder} ({home})"))
    if waiting:
        note(Check("indexed", "warning", f"waiting to be indexed: {waiting}", "run `ddsim index`"))
    if aside:
        note(Check("indexed", "warning", f"put aside: {aside}", "`ddsim catalogue failures` says why"))


def _listed(names: Words[str]) -> str:
    shown = list(names)[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
