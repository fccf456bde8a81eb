"""Real proxies before the page, for its tests: nginx and Caddy, configured as the README says or otherwise."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
PATIENCE_SECONDS = 30.0
NGINX = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{inside}
}}
"""
SITE = "server {{ listen 127.0.0.1:{port}; {inside} }}"
BALANCER = (Path(__file__).parents[2] / "deploy" / "balancer.conf").read_text("utf-8")
CADDY = """\
{{
    admin off
    auto_https off
    storage file_system {folder}
}}
http://127.0.0.1:{port} {{
{inside}
}}
"""


def snippet(language: str) -> str:
    """The README's block in that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(found)


def missing(reason: str) -> NoReturn:
    """Skip, but fail where CI wants everything to be there."""
    if os.environ.get("DDSIM_REQUIRE_PROXIES") == "1":
        pytest.fail(f"DDSIM_REQUIRE_PROXIES=1, but {reason}")
    pytest.skip(reason)


@contextmanager
def proxied(kind: str, inside: str, folder: Path, target: str) -> Iterator[str]:
    """Run a proxy before a page.

    Args:
        kind: ``nginx`` or ``caddy``.
        inside: what its configuration says of the one site; 127.0.0.1:8000 stands for the page.
        folder: for its files.
        target: the page's URL.

    Yields:
        the proxy's URL, without a slash at the end.
    """
    port = _free_port()
    inside = inside.replace("127.0.0.1:8000", target.removeprefix("http://"))
    if kind == "nginx":
        inside = SITE.format(port=port, inside=inside)
    with _running(kind, {"nginx": NGINX, "caddy": CADDY}[kind], inside, folder, port) as url:
        yield url


@contextmanager
def balanced(folder: Path, targets: Collection[str]) -> Iterator[str]:
    """Run nginx as docker-compose.yml has it, before these pages.

    Args:
        folder: for its files.
        targets: the pages' URLs.

    Yields:
        nginx' URL, without a slash at the end.
    """
    port = _free_port()
    ((page, how),) = re.findall(r"^ *server (page:8000) (.*);$", BALANCER, re.MULTILINE)
    servers = "; server ".join(f"{target.removeprefix('http://')} {how}" for target in targets)
    inside = BALANCER.replace(f"{page} {how}", servers).replace("listen 80;", f"listen 127.0.0.1:{port};")
    with _running("nginx", NGINX, inside, folder, port) as url:
        yield url


@contextmanager
def _running(kind: str, template: str, inside: str, folder: Path, port: int) -> Iterator[str]:
    program = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing(f"there is no {kind}: apt-get install {kind}")
    file = folder / "configuration"
    file.write_text(template.format(folder=folder, port=port, inside=inside))
    command = {
        "nginx": [program, "-e", "stderr", "-p", str(folder), "-c", str(file)],
        "caddy": [program, "run", "--adapter", "caddyfile", "--config", str(file)],
    }[kind]
    environment = os.environ | {"HOME": str(folder)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        try:
            _wait(running, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.communicate(timeout=PATIENCE_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def _wait(running: subprocess.Popen[str], port: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        assert running.poll() is None, running.stderr and running.stderr.read()
        door = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            door.request("GET", "/nothing")
            door.getresponse()
        except OSError:
            continue
        else:
            return
        finally:
            door.close()
    raise AssertionError("the proxy did not come up")
