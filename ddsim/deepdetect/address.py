"""A server's address and the secrets that people write into it, kept apart from the start."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

_HIDDEN = "***"


@dataclass(frozen=True)
class Credentials:
    """What a server, or a proxy before it, wants to see; never shown when printed.

    Attributes:
        user, password: for HTTP basic authentication.
        token: sent as a bearer token, in place of user and password.
    """

    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None

    def header(self) -> str | None:
        """The value of the Authorization header; None where there is nothing to send."""
        if self.token is not None:
            return f"Bearer {self.token.get_secret_value()}"
        if self.user is None and self.password is None:
            return None
        password = self.password.get_secret_value() if self.password else ""
        pair = f"{self.user or ''}:{password}".encode("utf-8", "surrogatepass")
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


def split_address(url: str) -> tuple[str, Credentials]:
    """Take ``user:password@`` out of an address.

    Raises:
        ValueError: it is no address at all; its text quotes nothing of it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("no address") from None
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, Credentials()
    user, colon, password = userinfo.partition(":")
    secret = SecretStr(unquote(password)) if colon else None
    return parts._replace(netloc=host).geturl(), Credentials(unquote(user) or None, secret)


def shown_address(url: str) -> str:
    """An address as a message may quote it, be it as wrong as can be: nothing before the last ``@``, no odd port."""
    safe = re.sub(r"(?s)^([^/]*//)?.*@", lambda match: f"{match[1] or ''}{_HIDDEN}@", url)
    # Who forgets the host writes http://user:password.
    return re.sub(r"(?s)^([^/]*//[^/:\[]*):(?!\d{1,5}(?:[/?#]|$)).+", rf"\1:{_HIDDEN}", safe)
