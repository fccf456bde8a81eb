"""Replays a recorded scenario of the Torch server: statuses, codes and shapes, and what does not depend on weights."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import compare
import numpy as np
from caller import Caller
from doors import Seen, SocketDoor
from events import parallel
from numpy.typing import NDArray
from replay import Replay
from torch_world import restore
from world import listing

from ddsim.embedded import WOULD_HAVE_DIED

#: Vectors of one picture in passes of different sizes; the real server's differ by 4e-7 (14-test-batch-size).
_PASSES = 1e-5
#: How far means of all pixels, and one pixel, may be apart, as a part of the largest number: one grey level of a pixel
#: in 216 with another version of OpenCV, and what an equalized histogram makes of such differences.
_MEAN, _PIXEL = 0.002, 0.012
_CREATION = {
    "mllib": "torch",
    "parameters": {"input": {"connector": "image", "width": 32, "height": 32}, "mllib": {"nclasses": 5}},
    "model": {"repository": "/opt/models/torch-cnn"},
}


@dataclass
class TorchReplay(Replay):
    """One scenario in the making.

    Attributes:
        alone: (service, uri, whether it has features) -> the prediction of a call with this picture alone.
        together: the same with predictions of calls with several, since the last check.
    """

    alone: dict[tuple[str, str, bool], Any] = field(default_factory=dict)
    together: list[tuple[tuple[str, str, bool], Any]] = field(default_factory=list)

    def _one(self, exchange: dict[str, Any]) -> list[str]:
        if "request" not in exchange:
            return super()._one(exchange)
        request, recorded = exchange["request"], exchange["response"]
        if request["method"] == "PUT" and self.scenario.name == "17-delete":
            restore(self.world, "/opt/models/torch-cnn")
        seen = self._send(request)
        if recorded.get("closed"):
            return _death(seen)
        self._remember(request, seen)
        bare = Seen(seen.status, json.dumps(_blanked(seen.json())).encode(), seen.reason, seen.headers)
        expected = recorded | ({"json": _counted(_blanked(recorded["json"]))} if "json" in recorded else {})
        found = compare.problems(expected, bare, over_http=isinstance(self.door, SocketDoor))
        return found + (_pixels(recorded["json"], seen.json()) if str(self.repository).endswith("pixels") else [])

    def _remember(self, request: dict[str, Any], seen: Seen) -> None:
        if request["path"] != "/predict" or seen.status != 200:
            return
        service = request["json"]["service"]
        for entry in seen.json()["body"]["predictions"]:
            key = (service, entry["uri"], "vals" in entry)
            if len(request["json"]["data"]) == 1:
                self.alone[key] = entry
            else:
                self.together.append((key, entry))

    def _event(self, event: dict[str, Any]) -> list[str]:
        if event["event"] == "listing":
            return self._listing(event["path"], event["files"])
        if event["event"] == "check":
            together, self.together = self.together, []
            return [problem for each in together for problem in self._unlike_alone(*each)]
        if "calls_each" in event:
            return _side_by_side(event, Caller(self.door, self.world))
        return _race(Caller(self.door, self.world)) if "race" in event.get("what", "") else []

    def _listing(self, path: str, files: list[str] | None) -> list[str]:
        folder = self.world.path(path)
        if path == "/opt/models":
            return [] if files and all((folder / name).is_dir() for name in files) else [f"{files} are not there"]
        got = listing(folder) if folder.is_dir() else None
        want = None if files is None else [name.replace(".pt", ".onnx") for name in files]
        return [] if want == got else [f"{got} instead of {want}"]

    def _unlike_alone(self, key: tuple[str, str, bool], entry: Any) -> list[str]:
        """Whether a picture among others gets another answer than by itself."""
        if key not in self.alone:
            return []
        want, got = (_numbers(each) for each in (self.alone[key], entry))
        same = want.shape == got.shape and np.allclose(want, got, atol=_PASSES)
        return [] if same else [f"{key}: not as alone"]


def _numbers(prediction: Any) -> NDArray[np.float64]:
    return np.array(prediction.get("vals") or [each["prob"] for each in prediction["classes"]])


def _death(seen: Seen) -> list[str]:
    status = seen.json()["status"]
    answered = (seen.status, status.get("dd_code"))
    return [] if answered == (500, WOULD_HAVE_DIED) else [f"{answered} where the recorded server died"]


def _blanked(value: Any) -> Any:
    """An answer without what depends on the network's weights."""
    if isinstance(value, dict):
        cat = {"cat": "some" if value["cat"] else ""} if "cat" in value else {}
        kept = {key: _blanked(part) for key, part in value.items() if key != "prob"}
        return kept | ({"prob": 0.5} if "prob" in value else {}) | cat
    return [_blanked(part) for part in value] if isinstance(value, list) else value


def _counted(value: Any) -> Any:
    """A recorded answer whose vectors say their lengths only."""
    if isinstance(value, dict):
        return {
            key: {"$omitted_vals": len(part)} if key == "vals" and isinstance(part, list) else _counted(part)
            for key, part in value.items()
        }
    return [_counted(part) for part in value] if isinstance(value, list) else value


def _pixels(want: Any, got: Any) -> list[str]:
    """Compare the numbers of a network that has no weights."""
    entries = [answer.get("body", {}).get("predictions", []) for answer in (want, got)]
    found = []
    for one, other in zip(*entries, strict=True):
        pair = [_numbers(entry) for entry in (one, other)]
        largest = np.abs(pair[0][np.isfinite(pair[0])]).max(initial=0.0)
        halves = zip(*(np.array_split(numbers, 2) for numbers in pair), (_MEAN, _PIXEL), strict=True)
        if not all(np.allclose(*half, rtol=0.0, atol=allowed * largest, equal_nan=True) for *half, allowed in halves):
            found.append(f"{pair[1]} instead of {pair[0]}")
    return found


def _side_by_side(event: dict[str, Any], caller: Caller) -> list[str]:
    """Calls from many threads get what one alone gets."""
    names = ["chair1.jpg", "lamp1.jpg", "sofa1.jpg"]

    def ask(one: Caller) -> Any:
        _, answer = one.predict(event["service"], names, names, "last", {})
        predictions = answer.get("body", {}).get("predictions", [])
        return {entry["uri"]: entry["vals"] for entry in predictions}

    alone = ask(caller)
    answers = parallel(event["threads"], lambda one: [ask(one), ask(one)], caller)
    same = len(alone) == len(names) and all(each == alone for pair in answers for each in pair)
    return [] if same else ["not as alone"]


def _race(caller: Caller) -> list[str]:
    answers = parallel(8, lambda one: one.call("PUT", "/services/race", _CREATION), caller)
    counts = Counter((status, answer["status"].get("dd_code")) for status, answer in answers)
    lost = {(500, 1007), (409, 1014)}
    return [] if counts[201, None] == 1 and counts.keys() <= {(201, None)} | lost else [f"answers {counts}"]
