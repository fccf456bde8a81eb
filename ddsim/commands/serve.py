"""`ddsim serve`: the web page."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import threading
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ddsim.catalogue import Where
from ddsim.commands.common import (
    DEFAULT_CONFIG,
    WRONG_USE,
    Typed,
    VerboseOption,
    err,
    given_catalogue,
    log_to_terminal,
    out,
    reported,
)
from ddsim.config import Settings, load
from ddsim.errors import CapabilityError, TransportError, install_hint
from ddsim.search import Collection, was_indexed

EPILOG = """
Examples:

  ddsim serve --config configs/demo.yaml --open    the demonstration, in the browser at once

  ddsim serve                                      the same after scripts/demo, or what ddsim index made

  ddsim serve --port 9000                          on 127.0.0.1:9000

  ddsim serve --host 0.0.0.0                       for everybody who reaches this machine: there is no login

  ddsim serve --root-path /visual --allow-host shop.example    behind a proxy on this machine, as
https://shop.example/visual/

  curl -F picture=@photo.jpg http://127.0.0.1:8000/api/search

The catalogue has to be indexed: see `ddsim index`. It may be indexed anew while the page is served.

Exit codes: 0 stopped by Ctrl-C, 2 wrong use, such as a port that is taken, 3 something needed is not installed.
"""

_CONNECTIONS = 512
_LAST_SECONDS = 5


_DEMO = Path("configs/demo.yaml")


@dataclass(frozen=True)
class Outside:
    """How the page is reached.

    Attributes:
        local: whether it listens on this machine alone.
        root_path: the path below which a proxy shows it.
        hosts: names under which it is reached, besides this machine's own.
        proxies: whose word is taken; None for this machine's.
        origins: other sites whose pages may use the API.
        metrics: whether figures are given.
    """

    local: bool
    root_path: str
    hosts: list[str]
    proxies: list[str] | None
    origins: list[str]
    metrics: bool


def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="DDSIM_CONFIG",
            help=f"Configuration file. By default {DEFAULT_CONFIG}, or {_DEMO} where only that was indexed.",
        ),
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(help="Folder of the reference pictures, if not the one that is searched by default.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Another site whose pages may use the API, such as https://shop.example; repeat it for more."
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(help="Path below which a proxy shows the page, such as /visual, if it does not say so itself."),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which the page is reached, such as shop.example; may be given again. By default any name"
            " with --host, and else only those of this machine."
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address or network of a proxy whose X-Forwarded-Host, -Proto and -Prefix are believed; may be given"
            " again. By default this machine."
        ),
    ] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Give figures for Prometheus at /metrics, to whoever reaches the page.")
    ] = False,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="Log every request and everything else as JSON, a line each.")
    ] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Serve the web page: upload a photo, see the most similar products."""
    log_to_terminal(verbose)
    if json_logs:
        with reported():
            _log_json()
    # Of product data that is wrong people should hear without asking.
    logging.getLogger("ddsim.web").setLevel(logging.INFO if verbose else logging.WARNING)
    local = _is_loopback(host)
    with reported():
        config = config or _default()
    typed = Typed(config, catalogue)
    with reported(typed=typed):
        where = given_catalogue(catalogue)
        settings = load(config)
        outside = Outside(local, root_path, allow_host or [], trusted_proxy, allow_origin or [], metrics)
        server = _server(settings, where, outside, verbose)
        _tell_what_is_there(settings, where, typed)
        try:
            door = _listening(host, port)
        except OSError as error:
            text = f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port or --host."
            err.print(text, markup=False)
            raise typer.Exit(WRONG_USE) from error
    if not local:
        err.print("[yellow]warning:[/] this page has no login: whoever reaches this machine can search and upload")
    url = _url(host, door)
    out.print(url, markup=False)
    err.print("Ctrl-C stops it", style="dim")
    # What does not match is told at once, not when somebody searches.
    server.config.app.state.products.matching()
    if browser:
        _open(url)
    # What `docker stop` and service managers send; like Ctrl-C it lets searches under way end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The library raises it once more when everything has ended, where it is not ignored.
    with suppress(KeyboardInterrupt), door:
        server.run(sockets=[door])
    err.print("stopped")


def _default() -> Path:
    """After the demonstration its page is what people want to see."""
    for candidate in (DEFAULT_CONFIG, _DEMO):
        if os.path.exists(candidate) and was_indexed(load(candidate)):
            return candidate
    return DEFAULT_CONFIG


def _tell_what_is_there(settings: Settings, catalogue: Where | None, typed: Typed) -> None:
    with Collection(settings, None, catalogue) as collection:
        try:
            items = sum(collection.records.categories().values())
        except TransportError as error:  # the page says so until the database is back
            err.print(f"[yellow]warning:[/] {escape(typed.completed(str(error)))}")
            return
        if not items:
            text = "nothing is indexed yet: run `ddsim index`; the page finds it then"
            err.print(f"[yellow]warning:[/] {escape(typed.completed(text))}")


def _server(settings: Settings, catalogue: Where | None, outside: Outside, verbose: bool) -> Any:
    try:
        import uvicorn

        from ddsim.web.app import create_app
        from ddsim.web.fronts import LOOPBACK_PROXIES, Front, checked_host
        from ddsim.web.patience import impatient
        from ddsim.web.security import LOOPBACK
    except ModuleNotFoundError as error:
        raise CapabilityError(f"the page needs {error.name}, which is not installed: {install_hint('web')}") from error
    allowed = {checked_host(name) for name in outside.hosts}
    app = create_app(
        settings,
        catalogue,
        hosts=LOOPBACK | allowed if outside.local or allowed else None,
        origins=outside.origins,
        metrics=outside.metrics,
        private=outside.local and not (allowed or outside.root_path),
        front=Front(outside.root_path, LOOPBACK_PROXIES if outside.proxies is None else outside.proxies),
    )
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=impatient(),
            log_config=None,  # the log of this command
            access_log=verbose,
            server_header=False,
            proxy_headers=False,  # the application's own matter, which has to see who connects
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_SECONDS,
            lifespan="on",
        )
    )


def _log_json() -> None:
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"--json-logs needs python-json-logger, which is not installed: {install_hint('web')}"
        ) from error
    handler = logging.StreamHandler()
    named = {"asctime": "time", "levelname": "level", "name": "logger"}
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=named))
    logging.getLogger().handlers = [handler]
    logging.getLogger("ddsim.web.watching").setLevel(logging.INFO)


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    door = socket.socket(family, kind, protocol)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen()
    except BaseException:
        door.close()
        raise
    return door


def _url(host: str, door: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    # A browser cannot go to "all addresses".
    name = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)  # noqa: S104  compared, not bound
    return f"http://{name}:{door.getsockname()[1]}/"


def _open(url: str) -> None:
    # Some browsers run in the terminal, and the call comes back when they are closed.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
