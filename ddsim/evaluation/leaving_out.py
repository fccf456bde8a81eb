"""Pictures that are left out of an evaluation: for all rows alike, and with a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from ddsim.evaluation.sending import Outcome

# Pictures named in that sentence at most.
_SHOWN = 5


def refused(outcome: Outcome, photos: int) -> dict[str, str]:
    """Content hash -> why this extraction has no value of a picture, which is then left out for all rows alike.

    One that cannot do with most of the pictures fails itself, instead of leaving nothing for the others.
    """
    if outcome.failed is not None:
        return {}
    if 2 * len(outcome.unreadable) > photos:
        first = next(iter(outcome.unreadable.values()))
        outcome.failed = f"{len(outcome.unreadable)} of {photos} pictures cannot be used with it: {first}"
        return {}
    return outcome.unreadable


def warning(left_out: Mapping[str, str]) -> tuple[str, ...]:
    """What is said of pictures that are left out: uri -> why."""
    if not left_out:
        return ()
    named = [f"{uri} ({reason})" for uri, reason in sorted(left_out.items())[:_SHOWN]]
    if len(left_out) > _SHOWN:
        named.append(f"and {len(left_out) - _SHOWN} more")
    head = "1 picture is" if len(left_out) == 1 else f"{len(left_out)} pictures are"
    return (f"{head} left out, for all rows alike: {', '.join(named)}",)
