"""Compares an answer with the recorded one: same status and codes, same shape, numbers close to each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from doors import Seen

MIN_COSINE = 0.9999
PROBABILITY = 0.01
DISTANCE = 2e-3
#: OpenCV's cubic interpolation differs by one of 256 grey levels between its versions (recordings/CHECKED.md).
GREY_LEVEL = 1.0

#: dd_msg of other people's libraries; only that there is a text is compared.
_FOREIGN = (
    "./include/caffe",
    "/opt/deepdetect/src/backends",
    "src/caffe/util/upgrade_proto",
    "Error in ",
    "PytorchStreamReader failed",
    "TensorAccessor expected",
    "Libtorch error:The following operation failed",
    "Service Input Error: Could not read image(s): OpenCV(",
    "Service Input Error: Could not read image(s): Failed to connect",
    "Service Input Error: Could not read image(s): Could not resolve",
)
_BUILD = ("build-type", "version", "branch", "commit", "compile_flags", "deps_version")
_DURATIONS = ("time", "_duration", "_duration_s", "_duration_ms")


def problems(recorded: dict[str, Any], seen: Seen, *, over_http: bool, same_build: bool = True) -> list[str]:
    """How an answer differs from the recorded one; empty = as recorded.

    Args:
        recorded: an exchange's response.
        seen: the answer, paths translated to the recorded ones.
        over_http: whether there is an HTTP layer that could compress.
        same_build: whether the server should describe itself as the recorded one does.
    """
    found = []
    if recorded.get("closed"):
        return ["the recorded server died here"]
    if seen.status != recorded["status"]:
        found.append(f"status {seen.status} instead of {recorded['status']}: {seen.body[:300]!r}")
    if seen.reason != recorded.get("reason", ""):
        found.append(f"reason {seen.reason!r} instead of {recorded.get('reason', '')!r}")
    headers = recorded.get("headers", {})
    if (seen.headers.get("connection") == "close") != (headers.get("Connection") == "close"):
        found.append(f"the connection should {'' if headers.get('Connection') == 'close' else 'not '}be closed")
    if over_http and seen.headers.get("content-encoding") != headers.get("Content-Encoding"):
        found.append(f"Content-Encoding {seen.headers.get('content-encoding')}")
    if recorded.get("json") is not None:
        want, got = recorded["json"], seen.json()
        if not same_build:
            want, got = _without_build(want), _without_build(got)
        found += _differences("", want, got)
        found += _first_values(recorded.get("first_of_each_channel", []), seen)
    elif "text" in recorded and seen.body.decode() != recorded["text"]:
        found.append(f"text {seen.body[:200]!r} instead of {recorded['text']!r}")
    return found


def _without_build(answer: Any) -> Any:
    """``GET /info`` without what differs between builds of one release."""
    head = answer.get("head", {}) if isinstance(answer, dict) else {}
    if "compile_flags" not in head:
        return answer
    return answer | {"head": {key: value for key, value in head.items() if key not in _BUILD}}


def _first_values(want: list[float], seen: Seen) -> Iterator[str]:
    """The first value of each channel stands for the whole of an omitted input blob."""
    if not want or seen.status != 200:
        return
    values = seen.json()["body"]["predictions"][0]["vals"]
    got = values[:: len(values) // len(want)]
    if not np.allclose(want, got, atol=GREY_LEVEL):
        yield f"channels begin with {got} instead of {want}"


def _differences(path: str, want: Any, got: Any) -> Iterator[str]:
    key = path.rpartition(".")[2]
    if key == "vals":
        yield from _vectors(path, want, got)
    elif type(want) is not type(got):
        yield f"{path}: {got!r} instead of {want!r}"
    elif isinstance(want, dict):
        if want.keys() != got.keys():
            yield f"{path}: keys {sorted(got)} instead of {sorted(want)}"
        for name in want.keys() & got.keys():
            yield from _differences(f"{path}.{name}", want[name], got[name])
    elif isinstance(want, list):
        yield from _lists(path, key, want, got)
    elif isinstance(want, float):
        yield from _numbers(path, key, want, got)
    elif key == "dd_msg" and want.startswith(_FOREIGN):
        if not got:
            yield f"{path}: no text"
    elif want != got:
        yield f"{path}: {got!r} instead of {want!r}"


def _lists(path: str, key: str, want: list[Any], got: list[Any]) -> Iterator[str]:
    if len(want) != len(got):
        yield f"{path}: {len(got)} elements instead of {len(want)}"
    elif key == "predictions":
        yield from _by_name(path, "uri", _without_last(want), _without_last(got))
        if [entry.get("last") for entry in want] != [entry.get("last") for entry in got]:
            yield f"{path}: last is not where it was"
    elif key == "services":
        yield from _by_name(path, "name", want, got)
    elif key == "labels":
        if sorted(want) != sorted(got):
            yield f"{path}: {got} instead of {want}"
    elif key == "nns":
        yield from _neighbours(path, want, got)
    else:
        for i, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from _differences(f"{path}[{i}]", one, other)


def _without_last(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predictions without the mark of the last one: which one that is depends on the order."""
    return [{key: value for key, value in entry.items() if key != "last"} for entry in entries]


def _by_name(path: str, name: str, want: list[Any], got: list[Any]) -> Iterator[str]:
    wanted, found = ({entry[name]: entry for entry in entries} for entries in (want, got))
    if wanted.keys() != found.keys():
        yield f"{path}: {sorted(found)} instead of {sorted(wanted)}"
    for entry in wanted.keys() & found.keys():
        yield from _differences(f"{path}[{entry}]", wanted[entry], found[entry])


def _neighbours(path: str, want: list[Any], got: list[Any]) -> Iterator[str]:
    """Ascending distances; neighbours of equal distance may come in any order."""
    if Counter(entry["uri"] for entry in want) != Counter(entry["uri"] for entry in got):
        yield f"{path}: {[entry['uri'] for entry in got]} instead of {[entry['uri'] for entry in want]}"
        return
    if any(entry.keys() != {"uri", "dist"} for entry in got):
        yield f"{path}: other keys than uri and dist"
    for one, other in zip(want, got, strict=True):
        yield from _numbers(f"{path}.dist", "dist", one["dist"], other["dist"])
    by_name = [sorted((entry["uri"], entry["dist"]) for entry in entries) for entries in (want, got)]
    for (uri, distance), (_, found) in zip(*by_name, strict=True):
        yield from _numbers(f"{path}[{uri}].dist", "dist", distance, found)


def _numbers(path: str, key: str, want: float, got: float) -> Iterator[str]:
    if key.endswith(_DURATIONS):
        if (want < 0) != (got < 0):
            yield f"{path}: {got} instead of {want}"
        return
    if key == "prob":
        close = abs(want - got) <= PROBABILITY
    elif key == "dist":
        close = math.isclose(want, got, rel_tol=DISTANCE, abs_tol=1e-6)
    else:
        close = math.isclose(want, got, rel_tol=1e-6)
    if not close:
        yield f"{path}: {got} instead of {want}"


def _vectors(path: str, want: Any, got: Any) -> Iterator[str]:
    length = want["$omitted_vals"] if isinstance(want, dict) else len(want)
    if not isinstance(got, list) or len(got) != length or not all(isinstance(value, float) for value in got):
        yield f"{path}: not {length} floats"
    elif isinstance(want, list):
        one, other = np.array(want), np.array(got)
        cosine = float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) or 1.0))
        if cosine < MIN_COSINE or not np.allclose(np.linalg.norm(one), np.linalg.norm(other), rtol=0.01):
            yield f"{path}: cosine {cosine}"
