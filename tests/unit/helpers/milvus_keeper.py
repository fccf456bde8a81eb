"""Keeps a real Milvus while anybody uses it: a process of its own, started by :mod:`milvuses`.

    python milvus_keeper.py FOLDER

It starts the server, writes its address to FOLDER/url, and waits for the lock FOLDER/users, which every user shares:
the system gives it to the keeper when the last of them has let go or died. Then it ends the server and removes its
files.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

# Whoever wants the newest has to wait for a tick, and what is loaded is looked at once a second: here that is too long.
QUICK = {
    "proxy.timeTickInterval": 20,
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 50,
    "queryCoord.checkHandoffInterval": 500,
}
TOKEN = "root:Milvus"  # noqa: S105  the one that the server begins with


class Killable:
    """A server on a folder, which can be killed and started again on the same port; a context manager.

    Args:
        folder: where it keeps everything.
    """

    def __init__(self, folder: Path) -> None:
        from milvus import MilvusServerConfig

        self._folder = folder
        keys = MilvusServerConfig().configurable_items
        self._ports = {key: _free_port() for key in keys if key.endswith("_port")}
        self._peers = f"http://127.0.0.1:{_free_port()}"
        self._server: Any = None
        self.start()

    def __enter__(self) -> Killable:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._ports['proxy_port']}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        from milvus import MilvusServer, MilvusServerConfig

        config = MilvusServerConfig(data_dir=str(self._folder), **self._ports)
        # By its own way a port that was in use a moment ago counts as taken.
        config.try_bind_port = _bound
        # The store inside it takes its usual ports, whatever the others are, unless a file of its own says which.
        config.template_text = config.template_text.replace(
            "\netcd:\n", f"\netcd:\n  config:\n    path: {self._write_etcd()}\n", 1
        )
        for key, value in QUICK.items():
            config.set(key, value)
        config.set("authorization_enabled", True)
        self._server = MilvusServer(config)
        self._server.start()

    def _write_etcd(self) -> Path:
        own = f"http://127.0.0.1:{self._ports['etcd_port']}"
        facts = {
            "name": "default",
            "data-dir": self._folder / "data" / "etcd.data",
            "listen-client-urls": own,
            "advertise-client-urls": own,
            "listen-peer-urls": self._peers,
            "initial-advertise-peer-urls": self._peers,
            "initial-cluster": f"default={self._peers}",
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "etcd.yaml"
        file.write_text("".join(f"{key}: {value}\n" for key, value in facts.items()), encoding="utf-8")
        return file

    def kill(self) -> None:
        """End it with kill -9."""
        self._server.server_proc.kill()
        self._server.stop()


def _bound(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def keep(folder: Path) -> None:
    """Have a server until nobody uses it any more."""
    logging.disable(logging.CRITICAL)
    with (folder / "users").open("ab") as users, Killable(folder / "data") as server:
        draft = folder / "url.new"
        draft.write_text(server.url, encoding="utf-8")
        draft.replace(folder / "url")
        # Held until the server has ended: whoever comes meanwhile waits, and starts another one.
        fcntl.flock(users, fcntl.LOCK_EX)
        (folder / "url").unlink()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
