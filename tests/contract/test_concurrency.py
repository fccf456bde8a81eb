"""What recordings/wire/50-parallel and 51-delete-while-predicting sum up in events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from caller import Caller
from events import furniture
from servers import Running
from world import World

pytestmark = pytest.mark.enable_socket

_CREATION = {
    "mllib": "caffe",
    "type": "supervised",
    "parameters": {"input": {"connector": "image", "width": 32, "height": 32}, "mllib": {"nclasses": 5}},
    "model": {"repository": "/opt/models/tiny"},
}


def test_deletion_amid_predictions_leaves_only_answers_and_404(running: Running, world: World) -> None:
    """A deletion waits for the call at work; those after it get 404/1002, and nobody anything else."""
    caller = Caller(running.door, world)
    assert caller.call("PUT", "/services/cls", _CREATION)[0] == 201
    callers = [caller.another() for _ in range(6)]
    pictures = furniture()

    def until_it_is_gone(one: Caller) -> list[tuple[int, int | None]]:
        seen: list[tuple[int, int | None]] = []
        while not seen or seen[-1][0] == 200:
            status, answer = one.predict("cls", pictures, pictures, None, {})
            seen.append((status, answer["status"].get("dd_code")))
        return seen

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(until_it_is_gone, one) for one in callers]
        deleted = caller.call("DELETE", "/services/cls")[0]
        answers = {answer for future in futures for answer in future.result(timeout=30)}
    for one in callers:
        one.close()
    assert deleted == 200
    assert answers <= {(200, None), (404, 1002)}
    assert (404, 1002) in answers
