"""What stands between ddsim and a server, in words: proxies of the environment, and what proxies answer themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from ddsim.deepdetect.address import shown_address
from ddsim.deepdetect.transport import Reply

TOO_LARGE = (
    "the server, or a proxy before it such as nginx (client_max_body_size), takes no request of this size; nothing of "
    "it was done: write a smaller index.batch_bytes (a single picture: upload.shrink), or let the proxy take more"
)
TOO_MANY = (
    "the server, or something before it, takes no more calls for now, and nothing of this one was done: call later, or "
    "less often (with several threads or servers at work, with fewer of them)"
)
_NO_SERVER = "a proxy answers, and no DeepDetect server behind it: is it running, and does the proxy know where?"
_WORDS = {
    401: (
        "a login is wanted, or this one is not right: write user and password into the server's address "
        "(https://user:password@host), or server.user, server.password or server.token into the configuration"
    ),
    403: "something before the server, such as a proxy or a firewall, refuses this call: ask whoever runs it",
    404: "something else than a DeepDetect server answers at this address: are its host, port and path right?",
    407: "the proxy wants a login: write user and password into the environment variable that names it",
    408: "a proxy gave up waiting for the request: let it wait longer, or write a smaller index.batch_bytes",
    413: TOO_LARGE,
    429: TOO_MANY,
    502: _NO_SERVER,
    503: _NO_SERVER,
    504: "a proxy gave up waiting for the server's answer, which may still come about: let it wait longer "
    "(proxy_read_timeout in nginx), or write a smaller index.batch_size",
}


def proxy_words(reply: Reply, path: str) -> str:
    """What an answer without DeepDetect's words means, and what to do.

    Args:
        reply: with a status of 300 or more.
        path: of the call.
    """
    location = reply.headers.get("location", "")
    if reply.status < 400 and location:
        return _moved(shown_address(location), path)
    if reply.status in (400, 497) and b"HTTPS" in reply.body.upper() and b"HTTP REQUEST" in reply.body.upper():
        return "this port speaks https: write https:// in the server's address"
    if reply.status >= 500:
        return _WORDS.get(reply.status, "")
    return _WORDS.get(reply.status, "is this a DeepDetect server?")


def _moved(location: str, path: str) -> str:
    base = location.removesuffix(path)
    if base != location and urlsplit(base).netloc:
        return f"it has moved: write {base} as the server's address"
    return f"it leads elsewhere, to {location}: is this a DeepDetect server, or does something before it want a login?"


@dataclass(frozen=True)
class Proxy:
    """A proxy that the environment names.

    Attributes:
        url: without a password.
        variable: which environment variable names it; empty where it comes from the system's settings.
    """

    url: str
    variable: str

    def words(self, url: str, reason: str) -> str:
        """What to say where it does not lead to a server."""
        host = urlsplit(url).hostname or ""
        named = f"which the environment variable {self.variable} names" if self.variable else "of the system's settings"
        return (
            f"no connection to {url} through the proxy {self.url}, {named} ({reason}): correct the variable, or, where "
            f"the server is reached without a proxy, set NO_PROXY={host}"
        )


def named_proxy(chosen: str, scheme: str) -> Proxy:
    """A proxy with the variable that names it.

    Args:
        chosen: its address.
        scheme: of the addresses that it is used for, http or https.
    """
    names = (f"{scheme}_proxy", "all_proxy")
    spellings = [spelling for name in names for spelling in (name, name.upper())]
    return Proxy(shown_address(chosen), next((name for name in spellings if os.environ.get(name)), ""))
