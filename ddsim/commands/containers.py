"""`ddsim up`, `down`, `status` and `logs`: the DeepDetect server in Docker, for people without the compose file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from ddsim.commands.common import (
    SERVER_TROUBLE,
    JsonOption,
    VerboseOption,
    err,
    log_to_terminal,
    out,
    print_json,
    reported,
)
from ddsim.containers import (
    MEMORY,
    NAME,
    PORT,
    VOLUME,
    ContainerStatus,
    DeepDetectContainer,
    Engine,
    EngineError,
    more,
    numbered,
)
from ddsim.containers import down as remove
from ddsim.containers import status as look
from ddsim.errors import InvalidRequest
from ddsim.showing import counted, printable

UP_EPILOG = """
Examples:

  ddsim up                               DeepDetect v0.25.0 on 127.0.0.1:8080

  ddsim up --port 9000                   then tell the others: export DDSIM_URL=http://127.0.0.1:9000

  ddsim up --gpu                         the image for NVIDIA GPUs

  ddsim up --servers 3                   on ports 8080 to 8082; server: {urls: [...]} in a configuration uses them

  DDSIM_DEEPDETECT_IMAGE=mirror.example/deepdetect_cpu:v0.25.0 ddsim up

The same container as `docker compose up -d` in a checkout makes, with the same volume: use either. A server that is up
already is kept.

Exit codes: 0 the server answers, 2 wrong use, 3 no engine or image, a port that is taken, a server that does not start.
"""
DOWN_EPILOG = """
Examples:

  ddsim down                             stop the server; models and indexes stay in their volume

  ddsim down --volumes                   remove every index of that server as well

Exit codes: 0 nothing of it is left, 3 trouble with Docker.
"""
STATUS_EPILOG = """
Examples:

  ddsim status

  ddsim status --json | jq -r .url

Exit codes: 0 the server answers, 3 it does not.
"""
LOGS_EPILOG = """
Examples:

  ddsim logs                             the last 100 lines

  ddsim logs -n 20 --follow              and what comes next, until Ctrl-C

Exit codes: 0 all well, 3 no such container, 130 Ctrl-C.
"""

_LAST_PORT = 65535
NameOption = Annotated[str, typer.Option(envvar="DDSIM_CONTAINER", help="The container's name.")]
VolumeOption = Annotated[str, typer.Option(envvar="DDSIM_VOLUME", help="The volume for models and indexes.")]


@contextmanager
def _engine() -> Iterator[Engine]:
    with closing(Engine(pulling=_tell_of_pulling)) as engine:
        yield engine


def _tell_of_pulling(image: str) -> None:
    err.print(f"pulling {image}: some GB, the first time only", markup=False)


def up(
    port: Annotated[int, typer.Option(min=1, max=_LAST_PORT, envvar="DDSIM_PORT", help="Port to listen on.")] = PORT,
    address: Annotated[
        str, typer.Option(envvar="DDSIM_ADDRESS", help="Address to listen on; the server has no login.")
    ] = "127.0.0.1",
    image: Annotated[
        str | None, typer.Option(help="Image, if not DeepDetect v0.25.0. Also by DDSIM_DEEPDETECT_IMAGE.")
    ] = None,
    memory: Annotated[str, typer.Option(envvar="DDSIM_MEMORY", help="How much memory it may use.")] = MEMORY,
    volume: VolumeOption = VOLUME,
    name: NameOption = NAME,
    gpu: Annotated[bool, typer.Option("--gpu", help="Use NVIDIA GPUs.")] = False,
    servers: Annotated[
        int, typer.Option(min=1, max=99, help="How many servers to start, on ports one after the other.")
    ] = 1,
    wait: Annotated[float, typer.Option(min=0, help="How many seconds to wait until the server answers.")] = 120.0,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Start the DeepDetect server in Docker and wait until it answers."""
    log_to_terminal(verbose)
    with reported():
        if port + servers - 1 > _LAST_PORT:
            raise InvalidRequest(f"--servers {servers} from --port {port} on: ports end at {_LAST_PORT}")
    with reported(), _engine() as engine:
        told: list[tuple[bool, ContainerStatus]] = []
        for number in range(1, servers + 1):
            server = DeepDetectContainer(
                image,
                name=numbered(name, number),
                address=address,
                port=port + number - 1,
                volume=volume,
                memory=memory,
                gpu=gpu,
                wait=wait,
                engine=engine,
            )
            told.append((server.up(), look(engine, numbered(name, number))))
    if not server.is_private:
        err.print("[yellow]warning:[/] this server has no login: whoever reaches it can use and delete its services")
    if json:
        shown = [_as_json(found) for _, found in told]
        print_json(shown[0] if servers == 1 else {"servers": shown})
        return
    for made, found in told:
        out.print(f"{'started' if made else 'runs already'}: ", end="")
        _print(found)
    if servers > 1:
        urls = ", ".join(found.url or "" for _, found in told)
        out.print(f"in a configuration: server: {{urls: [{urls}]}}", markup=False)


def down(
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Also remove the volume, with every index of this server.")
    ] = False,
    volume: VolumeOption = VOLUME,
    name: NameOption = NAME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    *,
    context: typer.Context,
) -> None:
    """Stop the servers and remove their containers; the volume stays."""
    log_to_terminal(verbose)
    with reported():
        source = context.get_parameter_source("volume")
        # The environment may name it for all commands.
        if not volumes and source is not None and source.name == "COMMANDLINE":
            raise InvalidRequest("--volume names what --volumes removes: add --volumes, or leave it out to keep it")
        with _engine() as engine:
            removed = remove(engine, name, volume if volumes else None)
    if json:
        print_json({"removed": removed})
    else:
        out.print(f"removed: {', '.join(removed)}" if removed else "nothing to remove", markup=False)


def status(name: NameOption = NAME, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Say whether the server runs, or the servers, and which services they have."""
    log_to_terminal(verbose)
    with reported(), _engine() as engine:
        found = [look(engine, one) for one in (name, *more(engine, name))]
    if json:
        shown = [_as_json(one) for one in found]
        print_json(shown[0] if len(shown) == 1 else {"servers": shown})
    else:
        for one in found:
            _print(one)
    if any(one.version is None for one in found):
        raise typer.Exit(SERVER_TROUBLE)


def logs(
    lines: Annotated[int, typer.Option("-n", min=0, help="How many lines to print, from the end.")] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing what the server says, until Ctrl-C.")
    ] = False,
    name: NameOption = NAME,
    verbose: VerboseOption = False,
) -> None:
    """Print what the server said."""
    log_to_terminal(verbose)
    with reported(), _engine() as engine:
        container = engine.find(name)
        if container is None:
            raise EngineError(f"no container {name}: `ddsim up` makes one")
        rest = ""
        for piece in engine.logs(container, lines, follow):
            *whole, rest = (rest + piece).split("\n")
            for line in whole:
                out.print(printable(line), markup=False)
        if rest:
            out.print(printable(rest), markup=False)


def _print(found: ContainerStatus) -> None:
    if found.state == "absent":
        out.print(f"no container {found.name}: `ddsim up` makes one", markup=False)
        return
    answer = f"DeepDetect {found.version}" if found.version is not None else "does not answer"
    out.print(f"{answer} at {found.url or 'no port'}", style="bold", markup=False)
    restarts = f", restarted {counted(found.restarts, 'time')}" if found.restarts else ""
    out.print(f"  container {found.name}: {found.state}{restarts}, image {found.image}", markup=False)
    out.print(
        f"  volume {found.volume}" if found.volume else "  no volume: indexes go with the container", markup=False
    )
    if found.version is not None:
        out.print(f"  services: {', '.join(map(printable, found.services)) or 'none'}", markup=False)


def _as_json(found: ContainerStatus) -> dict[str, object]:
    return {**asdict(found), "services": list(found.services), "answers": found.version is not None}
