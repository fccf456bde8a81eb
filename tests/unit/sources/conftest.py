"""Places of pictures for the tests of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from elsewhere import Serving, Storage, Web, on_a_socket


@pytest.fixture
def serving(loopback: None) -> Iterator[Serving]:
    """Puts places on sockets."""
    with ExitStack() as stack:
        yield lambda place: stack.enter_context(on_a_socket(place))


@pytest.fixture
def web(serving: Serving) -> Web:
    """A web server."""
    made = Web()
    serving(made)
    return made


@pytest.fixture
def storage(serving: Serving) -> Storage:
    """A service like Google's."""
    made = Storage()
    serving(made)
    return made


@pytest.fixture
def s3(loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, bytes]], Any]]:
    """Fills bucket ``shop`` of a service like Amazon's; gives what may change it, and has its address."""
    import boto3
    import requests
    from moto.server import ThreadedMotoServer

    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url)

    def fill(objects: dict[str, bytes]) -> Any:
        client.create_bucket(Bucket="shop")
        for key, content in objects.items():
            client.put_object(Bucket="shop", Key=key, Body=content)
        client.url = url
        return client

    yield fill
    requests.post(f"{url}/moto-api/reset", timeout=30).close()  # its servers share what they hold
    client.close()
    server.stop()
