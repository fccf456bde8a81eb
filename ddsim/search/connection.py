"""The server that settings name, as a client."""

from __future__ import annotations

from ddsim.config import Settings
from ddsim.deepdetect import Client, HttpTransport, Retries, TimeLimits, Transport


def connect(
    settings: Settings,
    *,
    timeout: float | TimeLimits | None = None,
    retries: int | Retries | None = None,
    transport: Transport | None = None,
) -> Client:
    """Open a client to the configured server; close it when done.

    Args:
        settings: the configuration; it names the server, and says how pictures are prepared and batched.
        timeout: see :class:`ddsim.Client`.
        retries: see :class:`ddsim.Client`.
        transport: what carries calls to a server, in place of the configured one; see :class:`ddsim.Client`.

    Raises:
        CapabilityError: the settings want the embedded server and what it needs is not installed.
    """
    return Client(
        settings.server.url or "http://localhost",
        timeout=timeout,
        retries=retries,
        transport=transport if transport is not None else transport_to(settings),
        upload=settings.upload_options(),
        batch_size=settings.index.batch_size,
        batch_bytes=settings.index.batch_bytes,
    )


def transport_to(settings: Settings) -> Transport:
    """What carries exchanges to the configured server.

    Raises:
        CapabilityError: the settings want the embedded server and what it needs is not installed.
    """
    if settings.server.url is not None:
        server = settings.server
        return HttpTransport(settings.server.url, credentials=server.credentials, verify=server.certificates)
    # Only here: whoever talks to a real server needs neither ONNX Runtime nor FAISS.
    from ddsim.embedded import EmbeddedTransport, Engine

    return EmbeddedTransport(Engine(threads=settings.index.threads))
