"""Everything at once, for a while: threads on one client, runs of two processes, rebuilds, searches, and the page.

Each actor is a function that does one thing and says how it went; it is called again and again, by one or more threads,
until the time is over or one of them has found something wrong.
"""

from __future__ import annotations

import io
import itertools
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from calls import LAYER, PICTURES, Scene, labels, neighbours, numbers
from PIL import Image
from processes import PATIENCE, Processes, Server
from stocktaking import check, configure, draw

from ddsim import Client, DDSimError, ImageSearch, load

THREADS = 16
#: In a hundred runs that many send everything again.
_REBUILDS = 30
#: Never touched, so that searches for them have one right answer.
STABLE = ("bed/000.png", "chair/000.png", "table/000.png")
#: Done, some pictures are bad, another run is at work, the server or the index is busy.
_FINE = {0: "done", 1: "done", 2: "busy", 3: "busy"}
_SAME = 1e-4
#: What a process may have more of at the end than after a third of the time: connections come and go.
_FILES, _MEGABYTES = 60, 300


class Soak:
    """A shop, its server and its page; a context manager.

    Args:
        folder: an empty one.
        backend: ``server`` or ``local``.

    Attributes:
        counts: (actor, how it went) -> how often.
        wrong: what should not have happened.
    """

    def __init__(self, folder: Path, backend: str) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.wrong: list[BaseException] = []
        self._folder = folder
        self._backend = backend
        self._closing = ExitStack()
        self._over = threading.Event()
        self._drawing = threading.Lock()
        self._numbers = itertools.count()

    def __enter__(self) -> Soak:
        self._processes = self._closing.enter_context(Processes())
        catalogue = self._folder / "catalogue"
        catalogue.mkdir()
        draw(catalogue)
        self._catalogue = catalogue
        self._server = Server(self._processes, self._folder, trap=None, poison=self._poison())
        self.config = configure(self._folder, catalogue, self._server.port, self._backend)
        self._client = self._closing.enter_context(Client(f"http://127.0.0.1:{self._server.port}"))
        self._wanted = self._furnished()
        self.settle()
        self._search = self._closing.enter_context(ImageSearch(load(self.config)))
        self._page = self._served()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def run(self, seconds: float) -> None:
        """Let all of them do what they do, for so long.

        Raises:
            AssertionError: something was wrong, or a process has more files or memory than it had.
        """
        actors = {
            "client": (self.ask, THREADS),
            "index": (self.index, 2),
            "search": (self.search, 2),
            "page": (self.look, 2),
        }
        threads = [
            threading.Thread(target=self._again, args=(name, act))
            for name, (act, count) in actors.items()
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        self._over.wait(seconds / 3)
        before = self._sizes()
        self._over.wait(2 * seconds / 3)
        after = self._sizes()
        self._over.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"{thread.name} hangs"
        if self.wrong:
            raise self.wrong[0]
        for name, (files, megabytes) in after.items():
            assert files <= before[name][0] + _FILES, f"{name} has {files} files open, and had {before[name][0]}"
            assert megabytes <= before[name][1] + _MEGABYTES, f"{name} takes {megabytes} MB, {before[name][1]} before"

    def settle(self) -> None:
        """One last run, undisturbed; then every picture is found, and once."""
        assert self._run() == 1, (self._folder / "index-settle.err").read_text()
        check(self.config)

    def _again(self, name: str, act: Callable[[random.Random], str]) -> None:
        dice = random.Random(next(self._numbers))  # noqa: S311  what to do next is no secret
        while not self._over.is_set():
            try:
                self.counts[name, act(dice)] += 1
            except BaseException as error:  # noqa: BLE001  reported by run
                self.wrong.append(error)
                self._over.set()

    # What they do

    def ask(self, dice: random.Random) -> str:
        """A call of the client that all sixteen threads share, on services that nobody changes."""
        call = dice.choice(sorted(self._wanted))
        assert self._asked(call) == self._wanted[call], call
        return "right"

    def _asked(self, call: str) -> Any:
        client = self._client
        if call == "classify":
            return labels(client.classify("cls", PICTURES, top=2))
        if call == "extract":
            return numbers(client.extract("sim", PICTURES, layer=LAYER))
        return neighbours(client.search_index("sim", PICTURES, layer=LAYER, k=3))

    def index(self, dice: random.Random) -> str:
        """Change the catalogue, and bring the index up to date, while another process does the same."""
        with self._drawing:
            self._change(dice)
        rebuild = dice.randrange(100) < _REBUILDS
        status = self._run(*(["--rebuild"] if rebuild else []), name=threading.current_thread().name)
        assert status in _FINE, f"a run ended with {status}"
        return ("rebuilt" if rebuild else "done") if _FINE[status] == "done" else "busy"

    def _change(self, dice: random.Random) -> None:
        path = self._catalogue / "sofa" / f"soak-{dice.randrange(20)}.png"
        if path.exists() and dice.randrange(2):
            path.unlink()
        else:
            pixels = np.random.default_rng(next(self._numbers)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            fresh = path.with_suffix(".part")
            Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(fresh, "PNG")
            fresh.replace(path)

    def search(self, dice: random.Random) -> str:
        """Search for a picture that is in the catalogue all the time: it is found first, and nothing twice."""
        uri = dice.choice(STABLE)
        try:
            found = self._search.query(self._catalogue / uri, k=20, route=False).neighbours
        except DDSimError as error:
            return f"refused: {type(error).__name__}"
        uris = [one.uri for one in found]
        assert uris[:1] == [uri], f"{uri} finds {uris[:3]}"
        assert len(set(uris)) == len(uris), f"doubled: {uris}"
        assert found[0].distance < _SAME
        return "right"

    def look(self, dice: random.Random) -> str:
        """Use the page: a search by upload, a picture, its health."""
        what = dice.choice(["search", "search", "healthz", "catalogue", "picture"])
        if what == "search":
            return self._uploaded(dice.choice(STABLE))
        path = {"healthz": "/healthz", "catalogue": "/api/catalogue", "picture": f"/pictures/{STABLE[0]}"}[what]
        answer = requests.get(self._page + path, timeout=PATIENCE)
        assert answer.status_code in (200, 503), f"{path}: {answer.status_code} {answer.text[:300]}"
        return str(answer.status_code)

    def _uploaded(self, uri: str) -> str:
        photo = io.BytesIO((self._catalogue / uri).read_bytes())
        files = {"picture": ("photo.png", photo, "image/png")}
        answer = requests.post(f"{self._page}/api/search", files=files, timeout=PATIENCE)
        assert answer.status_code in (200, 503), f"search: {answer.status_code} {answer.text[:300]}"
        if answer.status_code == 200:
            shown = [one["uri"] for one in answer.json()["neighbours"]]
            assert len(set(shown)) == len(shown), f"doubled: {shown}"
            if answer.json()["all"] or uri.partition("/")[0] in answer.json()["searched"]:
                assert shown[:1] == [uri], f"{uri} shows {shown[:3]}"
        return str(answer.status_code)

    # The scene

    def _poison(self) -> Path:
        """The picture that the server refuses."""
        poison = self._folder / "poison"
        poison.write_bytes((self._folder / "catalogue" / "lamp" / "000.png").read_bytes())
        return poison

    def _furnished(self) -> dict[str, Any]:
        Scene(self._client, self._folder, models=self._folder / "models").furnish()
        return {call: self._asked(call) for call in ("classify", "extract", "search")}

    def _run(self, *options: str, name: str = "settle") -> int:
        out, err = (self._folder / f"index-{name}.{stream}" for stream in ("out", "err"))
        pid = self._processes.start("index", ["--config", self.config, *options], stdout=out, stderr=err)
        return self._processes.wait(pid)[pid]

    def _served(self) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        log = self._closing.enter_context((self._folder / "page.log").open("wb"))
        command = [sys.executable, "-m", "ddsim", "serve", "--config", str(self.config), "--port", str(port)]
        self._serving = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._closing.callback(self._serving.wait, PATIENCE)
        self._closing.callback(self._serving.terminate)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE)
            except requests.ConnectionError:
                assert time.monotonic() < end, (self._folder / "page.log").read_text()
                assert self._serving.poll() is None, (self._folder / "page.log").read_text()
                self._over.wait(0.05)
            else:
                return f"http://127.0.0.1:{port}"

    def _sizes(self) -> dict[str, tuple[int, int]]:
        """Files and megabytes of the server, of the page, and of this process."""
        watched = {"server": self._server.pid, "page": self._serving.pid, "client": None}
        found = {name: psutil.Process(pid) for name, pid in watched.items()}
        return {name: (one.num_fds(), one.memory_info().rss // 2**20) for name, one in found.items()}
