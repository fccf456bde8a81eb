"""The server, or several, with what they want to see of a user."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr, ValidationError, model_validator

from ddsim.config.part import Part
from ddsim.config.values import Certificates, Url, Urls, Word
from ddsim.deepdetect import Credentials, shown_address, split_address
from ddsim.errors import InvalidRequest


class Server(Part):
    """Where pictures are turned into vectors."""

    url: Url | None = "http://localhost:8080"
    """Address of a DeepDetect server; none means the server that is embedded in ddsim."""
    urls: Urls = ()
    """Addresses of several servers with the same network, in place of ``url``; all take the same user, password or
    token. Vectors are kept by ddsim then (``index.backend: local``)."""
    user: Word | None = None
    """Sent with ``password`` as HTTP basic authentication; both may stand in the address (user:password@host) too."""
    password: SecretStr | None = None
    """Never printed, and written nowhere. Better taken from the environment: ``${SOME_VARIABLE}``."""
    token: SecretStr | None = None
    """Sent as a bearer token in place of user and password; never printed, and written nowhere."""

    verify: Certificates = None
    """A file of certificates that an https server's is checked against; without it, or with ``true``, what this machine
    trusts, or the environment names (SSL_CERT_FILE, REQUESTS_CA_BUNDLE)."""

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, data: Any) -> Any:
        """Take user and password out of the addresses before anybody sees them there."""
        if not isinstance(data, dict):
            return data
        if data.get("urls") is not None:
            return _several(data)
        if not isinstance(data.get("url"), str):
            return data
        try:
            url, written = split_address(data["url"])
        except ValueError:
            return data  # the address is refused below
        return {**data, "url": url, **_given(written)}

    @model_validator(mode="after")
    def _one_way(self) -> Server:
        if self.token is not None and (self.user is not None or self.password is not None):
            raise ValueError("a token and a user or password are given: the server is sent one of them, leave one out")
        if self.embedded and self.credentials.header() is not None:
            raise ValueError("the embedded server takes no user, password or token: leave them out")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all servers; none for the embedded one."""
        return self.urls or (() if self.url is None else (self.url,))

    def one_by_one(self) -> tuple[Server, ...]:
        """Each of several servers as if it were the only one."""
        return tuple(self.model_copy(update={"url": url, "urls": ()}) for url in self.urls) or (self,)

    @property
    def shown(self) -> str:
        """The servers' addresses as a message names them."""
        return " and ".join(self.addresses) or "embedded"

    @property
    def certificates(self) -> str | None:
        """The file of ``verify``; None for what this machine trusts."""
        return None if self.verify is None else str(self.verify)

    @classmethod
    def at(cls, url: str) -> Server:
        """The server at an address, with a user and password in it kept apart.

        Raises:
            InvalidRequest: it is no address.
        """
        try:
            return cls.model_validate({"url": url})
        except ValidationError as error:
            raise InvalidRequest(
                f"server url {shown_address(url)!r}: expected something like http://localhost:8080"
            ) from error

    @property
    def credentials(self) -> Credentials:
        """What the server wants to see."""
        return Credentials(self.user, self.password, self.token)

    @property
    def embedded(self) -> bool:
        """Whether ddsim itself plays the server."""
        return self.url is None


def _given(written: Credentials) -> dict[str, Any]:
    return {key: value for key in ("user", "password") if (value := getattr(written, key)) is not None}


def _several(data: dict[str, Any]) -> dict[str, Any]:
    """The server section with several addresses; the first of them counts where one is asked for."""
    urls = data["urls"]
    urls = urls.replace(",", " ").split() if isinstance(urls, str) else urls
    if not isinstance(urls, (list, tuple)) or not all(isinstance(url, str) for url in urls):
        return data  # refused below
    if data.get("url") is not None:
        raise ValueError("both url and urls are given: leave one out")
    if not urls:
        raise ValueError("urls is empty: name the servers, or one of them by url")
    try:
        apart = [split_address(url) for url in urls]
    except ValueError:
        return data
    written = {_shown(credentials): credentials for _, credentials in apart}
    if len(written) > 1:
        raise ValueError("the servers in urls are given different users or passwords: write server.user and password")
    bare = [url.rstrip("/") for url, _ in apart]
    if twice := next((url for url in bare if bare.count(url) > 1), None):
        raise ValueError(f"urls names {shown_address(twice)} twice: leave one out")
    return {**data, "url": bare[0], "urls": bare if len(bare) > 1 else (), **_given(apart[0][1])}


def _shown(credentials: Credentials) -> tuple[str | None, str | None]:
    return credentials.user, credentials.password.get_secret_value() if credentials.password else None
