"""Whether catalogue, categories, labels and index go together; looks at files on this machine only."""

from __future__ import annotations

import os
from collections.abc import Collection as Words
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ddsim.catalogue import ItemState, Names
from ddsim.config import Settings
from ddsim.deepdetect import Client, Label
from ddsim.doctor.checks import Check, Note
from ddsim.doctor.folders import check_folder, check_losses, survey_of
from ddsim.errors import ConfigError
from ddsim.search import Collection
from ddsim.showing import counted
from ddsim.vectors import APPROXIMATE, GOOD, HOME, damage, database_records, least_pictures, recalled, why_not_trainable

_NAMED = 8


def check_catalogue(settings: Settings, labels: Sequence[Label] | None, note: Note) -> None:
    """The folder of reference pictures, its categories, and the labels that stand for them.

    Args:
        settings: the configuration.
        labels: what the classification service can answer; None where nobody knows.
        note: takes the results.
    """
    try:
        folders, survey = survey_of(settings)
    except ConfigError as error:
        hint = "put pictures into <category>/<picture> there, or name another folder under `catalogue:`"
        note(Check("catalogue", "warning", str(error), hint))
    else:
        pictures = counted(folders.total(), "picture")
        note(Check("catalogue", "ok", f"{settings.catalogue}: {pictures} in {_listed(sorted(folders))}"))
        check_folder(folders, survey, note)
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


def _check_labels(categories: Mapping[str, str], labels: Sequence[Label] | None, note: Note) -> None:
    if not categories:
        message = "no label is mapped to a category, so labels decide nothing"
        note(Check("labels", "warning", message, "name a file under `categories:`, such as categories/furniture.yaml"))
        return
    if labels is None:
        note(Check("labels", "skipped", f"mapped: {len(categories)}; which labels the server has is not known"))
        return
    names = [label.name.strip() for label in labels]
    if any(label.name != name for label, name in zip(labels, names, strict=True)):
        message = "the network's labels end in blanks or in a Windows line's end; they are compared without"
        hint = "`ddsim network export LABELS.txt FOLDER` writes the file as a server reads it"
        note(Check("labels", "warning", message, hint))
    # As in a search: a label, or its first word.
    known = set(names) | {name.partition(" ")[0] for name in names}
    unknown = [name for name in categories if name.strip() not in known]
    if unknown:
        message = f"the network does not have {len(unknown)} of the {len(categories)} mapped labels: {_listed(unknown)}"
        hint = (
            f"it has {_listed(sorted(names))}: correct `categories:`, or look whether corresp is this network's "
            "file of labels"
        )
        note(Check("labels", "warning", message, hint))
    else:
        pairs = [f"{label.strip()} -> {category}" for label, category in categories.items()]
        note(Check("labels", "ok", f"the network has all mapped labels ({len(categories)}): {_listed(pairs)}"))


def check_index_type(settings: Settings, note: Note) -> None:
    """Whether the catalogue has the pictures that the server's kind of index needs to be trained."""
    if settings.index.backend in ("local", "milvus") or least_pictures(settings.similarity.index_type) == 0:
        return
    try:
        pictures = sum(survey_of(settings)[0].values())
    except ConfigError:
        return  # said of the catalogue
    reason = why_not_trainable(settings.similarity.index_type, pictures)
    if reason:
        note(Check("index type", "failed", reason, "write index_type: Flat under `similarity:`"))
    else:
        trained = f"{settings.similarity.index_type} can be trained on {counted(pictures, 'picture')}"
        note(Check("index type", "ok", trained))


def check_index(settings: Settings, note: Note) -> None:
    """What is indexed under this configuration. Makes nothing where nothing ever was indexed."""
    hint = "run `ddsim index` with this configuration"
    if settings.index.backend == "milvus":
        _check_database(settings, note)
        if not os.path.isdir(settings.state / settings.name):
            return  # a machine that only searches
    if not os.path.isdir(settings.state / settings.name):
        note(Check("indexed", "warning", "nothing yet under this configuration", hint))
        return
    with Collection(settings, None) as collection:
        counts, home = collection.manifest.counts(), collection.manifest.get_meta(HOME)
        folder, built = collection.catalogue, collection.manifest.get_meta(APPROXIMATE)
        if folder == settings.catalogue and isinstance(folder, Path) and os.path.isdir(folder):
            with suppress(ConfigError):  # told above, with the catalogue
                check_losses(settings, collection, note)
    indexed, aside = counts[ItemState.INDEXED], counts[ItemState.QUARANTINED]
    waiting = sum(counts.values()) - indexed - aside
    if not indexed:
        note(Check("indexed", "warning", f"nothing of {folder} under these settings and this server", hint))
    else:
        note(Check("indexed", "ok", f"{indexed} of {folder} ({home})"))
        _check_recall(built, note)
    if waiting:
        note(Check("indexed", "warning", f"waiting to be indexed: {waiting}", "run `ddsim index`"))
    if aside:
        note(Check("indexed", "warning", f"put aside: {aside}", "`ddsim catalogue failures` says why"))


def check_damage(settings: Settings, client: Client, note: Note) -> None:
    """Whether the index on the server was torn by a server that ended; the index is not used for that."""
    if not os.path.isdir(settings.state / settings.name):
        return
    with Collection(settings, None) as collection:
        found = damage(client, settings, collection.manifest)
    if found is not None:
        note(Check("index files", "failed", *found))


def _check_database(settings: Settings, note: Note) -> None:
    """Whether the database is there, what it is, and what is in it under this configuration."""
    with database_records(settings) as records:
        version, collection = records.version(), records.collection
        note(Check("database", "ok", f"Milvus {version} at {settings.index.url}"))
        if collection is None:
            hint = "`ddsim index` makes one; machines that only search wait for that of another"
            note(Check("database", "warning", "no collection of this configuration is there", hint))
            return
        items = sum(records.categories().values())
        note(Check("database", "ok", f"collection {collection!r} answers, with {counted(items, 'item')}"))


def _check_recall(built: Mapping[str, Any] | None, note: Note) -> None:
    """How much of the nearest searches find that do not look at everything."""
    if built is None:
        return
    good = built["recall"] >= GOOD
    exact = "index_type: FLAT" if "index" in built else "approximate: never"
    hint = "" if good else f"write {exact} under `index:`, which compares all vectors"
    note(Check("approximate", "ok" if good else "warning", recalled(built), hint))


def _listed(names: Words[str]) -> str:
    shown = list(names)[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
