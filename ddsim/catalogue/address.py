"""Catalogues that are no folders of this machine: their addresses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,}(?=[^/])")
#: Where pictures can be read from.
SCHEMES = ("s3", "gs", "https", "http")


class Address(str):
    """Where a catalogue is, such as ``s3://bucket/prefix`` or ``https://host/folder``; no slash at the end."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """One of :data:`SCHEMES`."""
        return self.partition(":")[0]


Where: TypeAlias = Path | Address
"""Where a catalogue is: a folder or a table of this machine, or an address."""


def address_in(text: str) -> Address | None:
    """The address that a text is; None where it is a path.

    A path that was made of an address, and has lost a slash, is that address again.

    Raises:
        ValueError: it is an address from which nothing can be read; the message quotes no password.
    """
    match = _SCHEME.match(text)
    if match is None:
        return None
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme not in SCHEMES:
        raise ValueError(f"{scheme}: addresses are not read; write a folder, or one of {', '.join(SCHEMES)}")
    address = f"{scheme}://{rest.rstrip('/')}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # a port that is none, or a bracket left open
        raise ValueError("this is no address; write it as in https://host/folder or s3://bucket/folder") from None
    if "@" in parts.netloc:
        place = "~/.netrc" if scheme in ("http", "https") else "the environment"
        raise ValueError(f"leave user and password out of the address: they are taken from {place}")
    if scheme in ("http", "https") and (not parts.hostname or port == 0 or parts.query or parts.fragment):
        raise ValueError("expected the address of a folder, such as https://host/folder, without ? and #")
    if not address.isprintable() or not parts.netloc or {".", ".."} & set(parts.path.split("/")):
        raise ValueError("this is no address of a folder: it has unprintable letters, or . and .. between its slashes")
    return Address(address)


def place_named(text: str) -> Where:
    """The catalogue that was written down as this text."""
    try:
        return address_in(text) or Path(text)
    except ValueError:
        return Path(text)
