"""The server that settings name, as a client."""

from __future__ import annotations

from ddsim.config import Settings
from ddsim.deepdetect import Client, HttpTransport, Retries, Several, TimeLimits, Transport


def connect(
    settings: Settings,
    *,
    timeout: float | TimeLimits | None = None,
    retries: int | Retries | None = None,
    transport: Transport | None = None,
) -> Client:
    """Open a client to the configured server, or servers; close it when done.

    Args:
        settings: the configuration; it names the server, and says how pictures are prepared and batched.
        timeout: see :class:`ddsim.Client`.
        retries: see :class:`ddsim.Client`.
        transport: what carries calls to a server, in place of the configured one; see :class:`ddsim.Client`.

    Raises:
        CapabilityError: the settings want the embedded server and what it needs is not installed.
    """
    if transport is None and settings.server.urls:
        clients = {
            url: _client(settings, _http(settings, url), timeout, Retries(tries=1)) for url in settings.server.urls
        }
        return Several(clients, upload=settings.upload_options(), retries=retries)
    return _client(settings, transport if transport is not None else transport_to(settings), timeout, retries)


def _client(
    settings: Settings, transport: Transport, timeout: float | TimeLimits | None, retries: int | Retries | None
) -> Client:
    return Client(
        timeout=timeout,
        retries=retries,
        transport=transport,
        upload=settings.upload_options(),
        batch_size=settings.index.batch_size,
        batch_bytes=settings.index.batch_bytes,
    )


def transport_to(settings: Settings) -> Transport:
    """What carries exchanges to the configured server, the first where there are several.

    Raises:
        CapabilityError: the settings want the embedded server and what it needs is not installed.
    """
    if settings.server.url is not None:
        return _http(settings, settings.server.url)
    # Only here: whoever talks to a real server needs neither ONNX Runtime nor FAISS.
    from ddsim.embedded import EmbeddedTransport, Engine

    return EmbeddedTransport(Engine(threads=settings.index.threads))


def _http(settings: Settings, url: str) -> HttpTransport:
    return HttpTransport(url, credentials=settings.server.credentials, verify=settings.server.certificates)


def away(client: Client | None) -> list[str]:
    """A sentence for each of several servers that did not answer, while the others went on without it."""
    if not isinstance(client, Several):
        return []
    return [
        f"the server at {url} could not be used, and the others went on without it: {reason}"
        for url, reason in client.troubles.items()
    ]
