"""`ddsim server`: the embedded DeepDetect-compatible server on a port."""

from __future__ import annotations

import ipaddress
import signal
from pathlib import Path
from typing import Annotated

import typer

from ddsim.commands.common import WRONG_USE, VerboseOption, err, log_to_terminal, reported
from ddsim.showing import printable

EPILOG = """
Examples:

  ddsim server                         on 127.0.0.1:8080, files below the current folder

  ddsim server --port 9000 --root /srv/models

  ddsim server --profile torch-v0.29   as today's official server: ONNX networks, no similarity search

  curl http://127.0.0.1:8080/info

Exit codes: 0 stopped by Ctrl-C, 2 wrong use, such as a port that is taken.
"""


# Those of ddsim.embedded.profile, which is imported when the server runs; a test compares the two.
_PROFILES = ("v0.25.0", "no-simsearch", "torch-v0.29", "torch-v0.28")


def _known(profile: str) -> str:
    if profile not in _PROFILES:
        raise typer.BadParameter(f"{profile!r} is none of {', '.join(_PROFILES)}")
    return profile


def server(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    root: Annotated[
        Path,
        typer.Option(
            exists=True, file_okay=False, help="The server sees only models and repositories inside this folder."
        ),
    ] = Path(),
    allow_paths: Annotated[
        bool, typer.Option("--allow-paths", help="Let requests name pictures on this machine's disk, below --root.")
    ] = False,
    profile: Annotated[
        str, typer.Option(callback=_known, help=f"Which DeepDetect to stand in for: {', '.join(_PROFILES)}.")
    ] = _PROFILES[0],
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Cores that a network may use; by default all.")
    ] = None,
    idle: Annotated[
        int | None,
        typer.Option(min=1, help="Seconds after which a network that nobody asks frees its memory; by default never."),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a DeepDetect-compatible server without Docker: Caffe networks in ONNX Runtime, similarity search in FAISS."""
    log_to_terminal(verbose)
    with reported():
        from ddsim.embedded import EmbeddedServer, Engine

        engine = Engine(root=root, allow_paths=allow_paths, profile=profile, threads=threads, idle=idle)
        try:
            door = EmbeddedServer(engine, host, port)
        except OSError as error:
            text = f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port or --host."
            err.print(text, markup=False)
            raise typer.Exit(WRONG_USE) from error
    if not _is_loopback(host):
        err.print("[yellow]warning:[/] this server has no login: whoever reaches it can use and delete its services")
    # What `docker stop` and service managers send; like Ctrl-C it lets calls under way end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with door:
        try:
            err.print(f"listening on {door.url} (Ctrl-C stops it)", markup=False)
            err.print(f"it sees models and repositories below {printable(str(root.resolve()))} only", markup=False)
            door.wait()
        except KeyboardInterrupt:
            err.print("stopping")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
