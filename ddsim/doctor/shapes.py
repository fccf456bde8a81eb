"""What the JSON of a v0.25.0 answer looks like. Each function says how one differs, in words; "" where it does not.

They hold for the recordings as well as for a live answer, so what they ask must not depend on pictures or network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Shape: TypeAlias = Callable[[Mapping[str, Any], Any], str]
"""The request's JSON (empty for calls without one) and the answer's -> what is wrong with the latter."""

# The same picture in another pass may differ in the last bits (recordings/torch/wire/14-test-batch-size).
_SAME = 1e-5
_INFO = ("version", "branch", "commit", "compile_flags", "services")
_SERVICE = ("name", "description", "mllib", "type", "parameters", "repository", "width", "height")


def anything(request: Mapping[str, Any], answer: Any) -> str:  # noqa: ARG001
    """Status and code say it all."""
    return ""


def info(request: Mapping[str, Any], answer: Any) -> str:  # noqa: ARG001
    """``GET /info``: a head without a status."""
    if "status" in answer:
        return "there is a status object"
    return _lacking(answer.get("head", {}), _INFO)


def service(request: Mapping[str, Any], answer: Any) -> str:  # noqa: ARG001
    """``GET /services/x``: what the service is, its name in lower case."""
    body = answer.get("body", {})
    name = str(body.get("name", ""))
    return _lacking(body, _SERVICE) or ("" if name == name.lower() else f"the name is shown as {name!r}")


def classes(request: Mapping[str, Any], answer: Any) -> str:
    """Labels for each id, most probable first, as many as asked for; one by default, all for -1."""
    found, problem = _predictions(request, answer)
    best = request.get("parameters", {}).get("output", {}).get("best", 1)
    for one in found:
        labels = one.get("classes") or [{}]
        probabilities = [label.get("prob", -1.0) for label in labels]
        if not all({"cat", "prob"} <= label.keys() for label in labels):
            problem = problem or "classes without cat or prob"
        if probabilities != sorted(probabilities, reverse=True):
            problem = problem or "classes are not sorted by prob"
        if best > 0 and len(labels) > best:
            problem = problem or f"{len(labels)} classes where {best} are asked for"
    return problem


def vectors(request: Mapping[str, Any], answer: Any) -> str:
    """Features for each id, all of one length."""
    found, problem = _predictions(request, answer)
    lengths = {len(one.get("vals", [])) for one in found}
    if 0 in lengths:
        return problem or "no vals"
    return problem or ("" if len(lengths) == 1 else f"vals of different lengths: {sorted(lengths)}")


def nothing(request: Mapping[str, Any], answer: Any) -> str:  # noqa: ARG001
    """No predictions at all, and no error."""
    found = answer.get("body", {}).get("predictions")
    return "" if found == [] else f"{len(found or [])} predictions where none come"


def indexed(request: Mapping[str, Any], answer: Any) -> str:
    """Features, and the word that the picture is indexed."""
    found, _ = _predictions(request, answer)
    problem = vectors(request, answer)
    return problem or ("" if all(one.get("indexed") is True for one in found) else "indexed: true is missing")


def no_neighbours(request: Mapping[str, Any], answer: Any) -> str:
    """Features, and no nns."""
    found, _ = _predictions(request, answer)
    return vectors(request, answer) or (
        "nns where there is nothing to find" if any("nns" in one for one in found) else ""
    )


def neighbours(request: Mapping[str, Any], answer: Any) -> str:
    """Neighbours, nearest first."""
    found, _ = _predictions(request, answer)
    problem = vectors(request, answer)
    for one in found:
        nns = one.get("nns")
        if not nns:
            problem = problem or "no nns"
        elif not all(near.keys() == {"uri", "dist"} for near in nns):
            problem = problem or "nns hold other keys than uri and dist"
        elif [near["dist"] for near in nns] != sorted(near["dist"] for near in nns):
            problem = problem or "nns are not sorted by dist"
    return problem


def itself_first(request: Mapping[str, Any], answer: Any) -> str:
    """Neighbours of a picture that is indexed: the first is at no distance."""
    problem = neighbours(request, answer)
    if problem:
        return problem
    (one,) = _predictions(request, answer)[0]
    energy = float(np.mean(np.square(np.asarray(one["vals"], np.float64)))) or 1.0
    nearest = one["nns"][0]["dist"]
    return "" if nearest <= _SAME * energy else f"the same picture is at distance {nearest:.4g}, not 0"


def found_names(answer: Any) -> list[str]:
    """The names of all neighbours, sorted."""
    found = answer.get("body", {}).get("predictions", [])
    return sorted(str(near.get("uri")) for one in found for near in one.get("nns", []))


def _predictions(request: Mapping[str, Any], answer: Any) -> tuple[list[dict[str, Any]], str]:
    found = answer.get("body", {}).get("predictions")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return [], "no list of predictions"
    # Of two equal ids one is answered; without ids pictures are numbered.
    wanted = set(request.get("ids") or map(str, range(len(request.get("data", [])))))
    names = sorted(str(one.get("uri")) for one in found)
    return found, "" if names == sorted(wanted) else f"answers for {names} instead of {sorted(wanted)}"


def _lacking(found: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    missing = [key for key in keys if key not in found]
    return f"{', '.join(missing)} missing" if missing else ""
