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
import sys
from pathlib import Path

# Whoever wants the newest has to wait for a tick, and what is loaded is looked at once a second: here that is too long.
QUICK = {
    "proxy.timeTickInterval": 20,
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 50,
    "queryCoord.checkHandoffInterval": 500,
}
TOKEN = "root:Milvus"  # noqa: S105  the one that the server begins with


def keep(folder: Path) -> None:
    """Have a server until nobody uses it any more."""
    from milvus import MilvusServer, MilvusServerConfig

    logging.disable(logging.CRITICAL)
    config = MilvusServerConfig(data_dir=str(folder / "data"))
    for key, value in QUICK.items():
        config.set(key, value)
    config.set("authorization_enabled", True)
    server = MilvusServer(config)
    try:
        server.start()
        draft = folder / "url.new"
        draft.write_text(f"http://127.0.0.1:{server.listen_port}", encoding="utf-8")
        draft.replace(folder / "url")
        with (folder / "users").open("ab") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            (folder / "url").unlink()
            server.stop()
            shutil.rmtree(folder / "data", ignore_errors=True)
    finally:
        server.stop()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
