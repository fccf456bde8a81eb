"""Whether so much of a catalogue is gone that a person should look first: it may be a disk that is not there."""

from __future__ import annotations

from ddsim.catalogue import ItemState, Manifest, Survey

# Of a small catalogue people take away a tenth and more as a matter of course.
_FEW = 5


def reason_to_stop(manifest: Manifest, lost: int, survey: Survey, limit: float, *, rebuild: bool) -> str | None:
    """Why a run should not go on; None where it may.

    Args:
        manifest: what is indexed.
        lost: how many items of it are gone from the folder.
        survey: what was found there.
        limit: the share of what is indexed that may be gone. A handful of pictures always may, unless a category that
            had some now is an empty folder, as mount points are.
        rebuild: whether everything is to be sent again.
    """
    if rebuild and survey.shut:
        return (
            f"{', '.join(sorted(survey.shut))} cannot be read now, and a rebuild would lose what is indexed of it. "
            "See to that first, or run `ddsim index --rebuild --allow-vanished`"
        )
    counts, categories = manifest.counts(), manifest.categories()
    indexed = counts[ItemState.INDEXED] + counts[ItemState.ADDED]
    emptied = [name for name in survey.empty if categories.get(name)]
    if lost <= limit * indexed or (lost < _FEW and not emptied):
        return None
    where = f"; empty now: {', '.join(emptied)}" if emptied else ""
    return (
        f"{lost} of {indexed} indexed pictures are gone{where}. Is a disk or share not mounted? Nothing was changed. "
        "If they are gone for good, run `ddsim index --allow-vanished` (catalogue.vanish_limit in the configuration "
        f"is {limit:g})"
    )
