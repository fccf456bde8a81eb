"""One catalogue, indexed by runs that are killed one after another, together with their server."""

from __future__ import annotations

import bisect
import itertools
import json
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from points import Point
from processes import Processes, Server
from proxy import Proxy
from stocktaking import BAD, REFUSED, check, configure, good

#: How a run ends that did all there is to do: some pictures cannot be indexed.
DONE = 1


@dataclass
class Tally:
    """What a campaign was, and what it cost.

    Attributes:
        points: the kills that happened.
        runs: indexing runs, the last one included.
        resent: of each kill, how many pictures had to be sent again for it.
        gave_up: runs that ended with exit code 3, as their server was dead.
    """

    points: list[Point] = field(default_factory=list)
    runs: int = 0
    resent: list[int] = field(default_factory=list)
    gave_up: int = 0


class Campaign:
    """Processes in a folder; a context manager.

    Args:
        processes: starts them.
        folder: empty; everything is kept there, but for the catalogue.
        catalogue: the pictures.
        backend: the home of the vectors.
        index: what else is said of it.
    """

    def __init__(self, processes: Processes, folder: Path, catalogue: Path, backend: str, **index: str) -> None:
        self.tally = Tally()
        self._processes = processes
        self._folder = folder
        self._catalogue = catalogue
        self._log = folder / "sent.jsonl"
        self._traps = {role: folder / f"trap-{role}" for role in ("index", "server")}
        self._orders = itertools.count()
        poison = folder / "poison"
        poison.write_bytes((catalogue / REFUSED).read_bytes())
        self.server = Server(processes, folder, trap=self._traps["server"], poison=poison)
        self.proxy = Proxy(self.server.port)
        self.config = configure(folder, catalogue, self.proxy.port, backend, **index)
        self._indexer = 0
        self._armed: Point | None = None
        self._positions: list[int] = []  # of the log, at each kill
        self.striking = threading.Lock()
        self.fallen = False

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as closing:
            closing.callback(self._end_all)
            closing.enter_context(self.proxy)

    def strike(self, draw: Callable[[], Point], wanted: int) -> None:
        """Run the indexer again and again, each time into kills, until there were so many or its work is done."""
        while len(self.tally.points) < wanted and self.run(lambda: draw() if self._lacks(wanted) else None) != DONE:
            pass

    def finish(self) -> None:
        """Run the indexer to its end, and see that everything is there."""
        assert self.run(lambda: None) == DONE
        self._check_report(json.loads(self._output("out")))
        check(self.config)
        self._check_words()
        self.tally.resent = self._resent()

    def run(self, draw: Callable[[], Point | None]) -> int:
        """One run of the indexer, with a new point whenever one was struck; its exit code, negative for a signal."""
        self.tally.runs += 1
        for stream in ("out", "err"):
            self._stream(stream).unlink(missing_ok=True)
        deaths = self.server.deaths
        self._arm(draw())
        self._indexer = self._processes.start(
            "index",
            ["--config", self.config, "--json"],
            stdout=self._stream("out"),
            stderr=self._stream("err"),
            trap=self._traps["index"],
            log=self._log,
        )
        status = self._watch(draw)
        self._check_end(status, died=self.server.deaths > deaths)
        return status

    # Kills

    def _lacks(self, wanted: int) -> bool:
        return len(self.tally.points) < wanted

    def _arm(self, point: Point | None) -> None:
        self._armed, self.fallen = point, False
        if point is None:
            return
        if point.in_exchange:
            self.proxy.arm(point.place, point.n, _Blow(self, point))
            return
        order = {"id": next(self._orders), "point": point.place, "when": point.when, "n": point.n}
        trap = self._traps[point.victim]
        draft = trap.with_suffix(".new")
        draft.write_text(json.dumps(order))
        draft.replace(trap)

    def _watch(self, draw: Callable[[], Point | None]) -> int:
        """Wait for the indexer's end; have a server that dies meanwhile started again."""
        while True:
            ended = self._processes.wait(self._indexer, self.server.pid)
            if self._indexer in ended:
                break
            with self.striking:  # a blow of the proxy's starts it again by itself, when it should
                self._settle()
                self.server.start_again()
                self._arm(draw())
        self.proxy.disarm()
        with self.striking:
            self._settle()
            self.server.start_again()
        for trap in self._traps.values():
            trap.unlink(missing_ok=True)
        return ended[self._indexer]

    def _settle(self) -> None:
        """Count the point that was armed if it was struck. Nothing is sent after it yet."""
        point, self._armed = self._armed, None
        if point is None or not (self.fallen if point.in_exchange else not self._traps[point.victim].exists()):
            return
        self.tally.points.append(point)
        self._positions.append(len(self._lines()))

    def kill(self, victim: str) -> None:
        """End them with kill -9."""
        if victim != "server":
            self._processes.kill(self._indexer)
        if victim != "index":
            self.server.kill()

    def stop(self, victim: str) -> None:
        """Hold them with SIGSTOP."""
        if victim != "server":
            self._processes.send(self._indexer, signal.SIGSTOP)
        if victim != "index":
            self.server.stop()

    def _end_all(self) -> None:
        self.server.kill()
        if self._indexer:
            self._processes.kill(self._indexer)

    # What must be so

    def _check_end(self, status: int, *, died: bool) -> None:
        errors = self._output("err")
        assert "Traceback" not in errors, errors
        assert not self.proxy.deadly, self.proxy.deadly
        # Bad pictures make it 1. A server that dies during a call that may not be repeated ends a run with 3.
        allowed = {DONE, -signal.SIGKILL} | ({3} if died else set())
        assert status in allowed, f"exit code {status}: {errors} {self._output('out')}"
        if status == 3:
            self.tally.gave_up += 1
            # It may have said before that it waits for a server that was dead when it began.
            assert any(line.startswith("error:") for line in errors.splitlines()), errors

    def _check_report(self, report: dict[str, Any]) -> None:
        assert report["finished"] is True
        assert report["indexed"] == len(good(self._catalogue))
        assert sorted(one["uri"] for one in report["failed"]) == sorted(BAD)
        assert report["audit"]["checked"] > 0
        assert report["audit"]["problems"] == []

    def _check_words(self) -> None:
        said = self.server.said()
        assert "Traceback" not in said, said
        assert not self.proxy.deadly, self.proxy.deadly

    # What it cost

    def _lines(self) -> list[dict[str, list[str]]]:
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def _resent(self) -> list[int]:
        """What was sent twice was lost by the first kill after it was sent first.

        A batch may leave while the last server to be killed is dying: that kill lost it.
        """
        sent: dict[str, int] = {}
        cost = [0] * len(self._positions)
        last = len(self._positions) - 1
        for number, line in enumerate(self._lines()):
            for uri in line.get("sent", ()):
                if uri in sent:
                    cost[min(bisect.bisect_right(self._positions, sent[uri]), last)] += 1
                sent[uri] = number
            for uri in line.get("refused", ()):  # nothing of such a batch was taken
                del sent[uri]
        return cost

    def _stream(self, name: str) -> Path:
        return self._folder / f"index.{name}"

    def _output(self, name: str) -> str:
        return self._stream(name).read_text(encoding="utf-8")


class _Blow:
    """A point in an exchange; called by the proxy."""

    def __init__(self, campaign: Campaign, point: Point) -> None:
        self._campaign = campaign
        self._point = point
        self._striking = ExitStack()

    def begin(self) -> None:
        if self._point.stopped:
            self._campaign.stop(self._point.victim)

    def fall(self) -> bool:
        campaign, victim = self._campaign, self._point.victim
        self._striking.enter_context(campaign.striking)
        campaign.fallen = True
        if self._point.slow and victim != "index":
            campaign.proxy.close_door()
        campaign.kill(victim)
        if victim == "server" and not self._point.slow:
            campaign.server.start_again()
        return True

    def end(self) -> None:
        with self._striking:
            if self._point.slow and self._point.victim != "index":
                self._campaign.server.start_again()
                self._campaign.proxy.open_door()
