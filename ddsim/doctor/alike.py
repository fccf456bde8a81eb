"""Whether several servers compute the same vectors, as they have to when they share the work on one catalogue."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ddsim.config import Settings
from ddsim.deepdetect import SAME_FILES, Canary, differing, right_one
from ddsim.doctor.checks import Check
from ddsim.search import Collection
from ddsim.vectors import canary_of

_NAME = "same vectors"


def check_alike(settings: Settings, found: Mapping[str, Canary | None]) -> dict[str, Check]:
    """A check for each of several servers; the one that differs is named, and fails.

    Args:
        settings: the configuration; where something is indexed, what goes with it tells who is right.
        found: address -> what that server makes of the drawn pictures, None where it was not tried or could not say.
    """
    drawn = {url: canary for url, canary in found.items() if canary is not None}
    if len(drawn) < 2:
        reason = "fewer than two servers have given vectors"
        return {url: Check(_NAME, "skipped", f"not compared: {reason}") for url in found}
    right = right_one(drawn, _kept(settings))
    alike = [url for url, canary in drawn.items() if canary.same_as(right)]
    return {url: _check(url, canary, right, alike) for url, canary in found.items()}


def _check(url: str, canary: Canary | None, right: Canary, alike: list[str]) -> Check:
    if canary is None:
        return Check(_NAME, "skipped", "not compared: this server has given no vectors")
    others = [one for one in alike if one != url]
    if url not in alike:
        return Check(_NAME, "failed", differing({url: canary}, right, others), SAME_FILES)
    if not others:
        return Check(_NAME, "ok", "those of three drawn pictures are as in the index, and no other server gives them")
    return Check(_NAME, "ok", f"those of three drawn pictures are as on {' and '.join(others)}")


def _kept(settings: Settings) -> Canary | None:
    """What goes with the vectors that are kept on this machine, where there are any."""
    if not os.path.isdir(settings.state / settings.name):
        return None
    with Collection(settings, None) as collection:
        return canary_of(collection.manifest)
