"""What holds for all that is fetched from an address on the web, a single photo or a catalogue of them.

Which addresses may be asked, how far they may lead elsewhere, how much may come, and the words where something fails.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from ddsim.errors import ImageError, ImageUnavailable

#: An address may lead to another one so many times.
MOST_REDIRECTS = 5
#: What every request says. What is packed could be a thousand times as long as it says.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "ddsim"}
#: The schemes that are spoken, and their usual ports.
PORTS = {"http": 80, "https": 443}
_BUSY = (408, 425, 429)
# Where an IPv4 address is wrapped into one of IPv6 by a gateway (NAT64); the last four bytes are that address.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_address(text: str) -> bool:
    """Whether something is an address on the web rather than a path."""
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet at large, and so is any that is wrapped in it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None:
            return False  # tunnels to any address, and out of use
    return address.is_global and not address.is_multicast and not address.is_reserved


def private_words(host: str, address: str) -> str:
    """What is said of an address that is not public, and may not be asked."""
    named = f"{host} is" if host == address else f"{host} is {address},"
    return f"{named} of this machine or its own network"


def shown_url(url: str) -> str:
    """A picture's address as a message may quote it, be it as wrong as can be: without user and password.

    An ``@`` in the picture's name stays.
    """
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    return re.sub(r"^([^/]*//)[^/?#]*@" if usable else r"(?s)^([^/]*//)?.*@", r"\1***@", url)


def parts_of(url: str, asked: str) -> SplitResult:
    """The parts of an address.

    Args:
        url: what was asked for at first.
        asked: that, or where it has led.

    Raises:
        ImageError: it is none that may be asked, or leads from https to http.
    """
    try:
        parts = urlsplit(asked)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or a bracket left open
        usable = False
    if not usable or not asked.isprintable():
        what = "is no address such as https://example.com/photo.jpg" if asked == url else "redirects to no such address"
        raise ImageError(shown_url(url), what)
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise ImageError(shown_url(url), "redirects from https to http, which is not followed")
    return parts


def too_often(url: str) -> ImageError:
    """The error for what has led elsewhere more often than it may."""
    return ImageError(shown_url(url), f"redirected more than {MOST_REDIRECTS} times")


def check_status(url: str, status: int, reason: str | None) -> None:
    """Refuse any answer but 200.

    Raises:
        ImageUnavailable: it is one of a server in trouble, or too busy.
        ImageError: it is another one.
    """
    if status != 200:
        kind = ImageUnavailable if status >= 500 or status in _BUSY else ImageError
        raise kind(shown_url(url), f"the server there answers {status} {reason or ''}".rstrip())


def check_length(url: str, told: str | None, limit: int) -> int | None:
    """The length that an answer has by its own word; None where it says nothing.

    Raises:
        ImageError: it is more than the limit.
    """
    if told is None or not told.isdecimal():
        return None
    if int(told) > limit:
        raise too_long(url, limit)
    return int(told)


def too_long(url: str, limit: int) -> ImageError:
    """The error for what has more bytes than it may."""
    return ImageError(shown_url(url), f"more than the limit of {limit} bytes (upload.max_bytes)")


def reason_of(error: BaseException) -> str:
    """Why something cannot be fetched, from an error of the system or of any HTTP library, which wrap each other's."""
    found = list(causes_of(error))
    for one in found:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({one.verify_message})"
        if isinstance(one, http.client.IncompleteRead):
            return "it ended before all of it had come"
        if isinstance(one, TimeoutError):
            return "it cannot be fetched: no answer in time"
    said = next((one.strerror for one in found if isinstance(one, OSError) and one.strerror), None)
    words = said or str(found[-1]) or type(found[-1]).__name__
    return "it cannot be fetched: " + re.sub(r"//[^/]*@", "//***@", words)  # some errors quote the whole address


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: requests and urllib3 hide the cause in ``args`` and ``reason``.

    Not its ``__context__``: that may be an earlier failure which the caller is handling just now.
    """
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [*current.args, getattr(current, "reason", None), current.__cause__]
