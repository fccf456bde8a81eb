"""Recorded events that sum up many calls: parallel creations, batches, parallel predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from caller import Caller
from recorded import IMAGES

#: Events that say something about time, or have a test of their own in test_concurrency.py.
WITHOUT_CHECK = (
    "restart",
    "alive",
    "SqueezeNet, ",
    "answers of the 36 predicts",
    # The real server writes the definition anew; this one never writes into a model.
    "deploy.prototxt in the repository",
)
_SIMULTANEOUS = 8
#: Vectors of one picture in different batches; the real server's are identical to the bit.
_BATCH_DIFFERENCE = 1e-4


def furniture() -> list[str]:
    """The twelve pictures that the recordings index."""
    words = ("bed", "chair", "lamp", "sofa", "table")
    return sorted(path.name for path in IMAGES.iterdir() if path.name.startswith(words))


def check(event: dict[str, Any], caller: Caller) -> list[str]:
    """Do what the event sums up and compare.

    Returns:
        differences; an event of an unknown kind is one.
    """
    name = event["event"]
    for beginning, one in _CHECKS.items():
        if name.startswith(beginning):
            return one(event, caller)
    return [] if name.startswith((*WITHOUT_CHECK, "files", "check")) else [f"nothing is known of the event {name!r}"]


def parallel(count: int, one: Callable[[Caller], Any], caller: Caller) -> list[Any]:
    """Run something at the same time, each with a way of its own to the server."""
    callers = [caller.another() for _ in range(count)]
    try:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, callers))
    finally:
        for each in callers:
            each.close()


def _race(event: dict[str, Any], caller: Caller) -> list[str]:
    """One creation wins; the others fail at the name, or find the service there when they come late."""
    creation = {
        "mllib": "caffe",
        "description": "test",
        "type": "supervised",
        "parameters": {
            "input": {"connector": "image", "width": 227, "height": 227},
            "mllib": {"nclasses": 1000},
            "output": {},
        },
        "model": {"repository": "/opt/models/squeezenet_v1.1"},
    }
    answers = parallel(_SIMULTANEOUS, lambda one: one.call("PUT", "/services/race", creation), caller)
    counts = Counter((status, answer["status"].get("dd_code")) for status, answer in answers)
    if counts[201, None] != 1 or counts.keys() - {(201, None), (500, 1007), (409, 1014)}:
        return [f"answers {counts} instead of {event['answers']}"]
    return []


def _batch(event: dict[str, Any], caller: Caller) -> list[str]:
    """Sixty pictures in passes of that size give the vectors of one pass."""
    names = furniture() * 5
    ids = [f"{i:02}" for i in range(len(names))]
    vectors = caller.extract("sim", names, ids, event["test_batch_size"])
    plain = caller.extract("sim", names, ids, None)
    if vectors.keys() != plain.keys() or len(vectors) != event["predictions"]:
        return [f"{len(vectors)} predictions"]
    difference = max(float(np.abs(np.subtract(vectors[uri], plain[uri])).max()) for uri in plain)
    return [] if difference <= _BATCH_DIFFERENCE else [f"differs by {difference}"]


def _extractions(event: dict[str, Any], caller: Caller) -> list[str]:
    """Extractions side by side give the vectors of one alone."""
    names = furniture()
    alone = {name: caller.extract("sim", [name], ["x"], None)["x"] for name in names}

    def all_of_them(one: Caller) -> list[bool]:
        return [one.extract("sim", [name], ["x"], None)["x"] == alone[name] for name in names]

    same = [ok for oks in parallel(8, all_of_them, caller) for ok in oks]
    return [] if all(same) and len(same) == event["calls"] else [f"{same.count(True)} of {len(same)} as alone"]


def _rounds(event: dict[str, Any], caller: Caller) -> list[str]:
    """Index, build and search from many sides: no error, and every row is there."""
    picture = furniture()[0]

    def ten_rounds(numbered: tuple[int, Caller]) -> list[int]:
        number, one = numbered
        statuses = []
        for i in range(10):
            output = {"index": True, "build_index": True}
            statuses.append(one.predict("sim", [picture], [f"{number}-{i}"], "fc1", output)[0])
            statuses.append(one.predict("sim", [picture], ["q"], "fc1", {"search": True})[0])
        return statuses

    callers = [caller.another() for _ in range(8)]
    try:
        with ThreadPoolExecutor(8) as pool:
            statuses = [status for each in pool.map(ten_rounds, enumerate(callers)) for status in each]
    finally:
        for each in callers:
            each.close()
    _, answer = caller.predict("sim", [picture], ["q"], "fc1", {"search": True, "search_nn": 200})
    rows = [row["uri"] for row in answer["body"]["predictions"][0]["nns"]]
    if set(statuses) != {200}:
        return [f"statuses {Counter(statuses)}"]
    found = (len(rows), len(set(rows)))
    return (
        [] if found == (event["rows_afterwards"], event["distinct_names"]) else [f"{found[0]} rows, {found[1]} names"]
    )


_CHECKS: dict[str, Callable[[dict[str, Any], Caller], list[str]]] = {
    "8 simultaneous PUT": _race,
    "batch": _batch,
    "8 threads, 12 extractions": _extractions,
    "8 threads, each 10 times": _rounds,
}
