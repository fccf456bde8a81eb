"""Which catalogue is searched where none is named: a file in the state says which was indexed last."""

from __future__ import annotations

import os
from pathlib import Path

from ddsim.catalogue import Where, place_named
from ddsim.config import Settings
from ddsim.search.places import place_of

_FILE = "current"


def was_indexed(settings: Settings) -> bool:
    """Whether anything was ever indexed under this configuration, whatever the catalogue."""
    return os.path.exists(settings.state / settings.name / _FILE)


def current_catalogue(settings: Settings) -> Where:
    """The catalogue to search in where none is named: the settings' own or, if that was never indexed, the last one."""
    if place_of(settings, settings.catalogue).was_indexed:
        return settings.catalogue
    try:
        return place_named((settings.state / settings.name / _FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return settings.catalogue


def note_current(folder: Path, catalogue: Where) -> None:
    """Note that a catalogue was indexed last, in the folder of all that are indexed under its configuration."""
    (folder / _FILE).write_text(str(catalogue), encoding="utf-8")
