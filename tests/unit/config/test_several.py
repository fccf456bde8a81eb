"""Configurations with several servers: what they come to, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ddsim.config import Settings, dump, load
from ddsim.errors import ConfigError

TWO = ["http://one:8080", "http://two:8080"]


def written(folder: Path, server: Any, **index: Any) -> Path:
    """A configuration with this server section."""
    raw = {
        "server": server,
        "network": {"def": "/m/net.prototxt", "weights": "/m/net.caffemodel", "nclasses": 5},
        "similarity": {"repository": "/data/similar", "extract_layer": "pool5"},
        "index": index,
    }
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(raw), "utf-8")
    return file


def settings(folder: Path, server: Any, **index: Any) -> Settings:
    """What it comes to."""
    return load(written(folder, server, **index))


def test_several_servers_keep_vectors_here(tmp_path: Path) -> None:
    """With urls the vectors are ddsim's own without a word, and nothing else differs."""
    found = settings(tmp_path, {"urls": TWO})
    assert found.server.addresses == tuple(TWO)
    assert found.server.shown == "http://one:8080 and http://two:8080"
    assert found.index.backend == "local"
    assert not found.server.embedded


def test_one_text_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses may come in one text, as a variable of the environment holds them."""
    monkeypatch.setenv("SERVERS", "http://one:8080/, http://two:8080")
    assert settings(tmp_path, {"urls": "${SERVERS}"}).server.addresses == tuple(TWO)


def test_one_of_them_is_one_server(tmp_path: Path) -> None:
    """A list with one address is that server."""
    found = settings(tmp_path, {"urls": TWO[:1]}, backend="local")
    assert (found.server.url, found.server.urls, found.server.addresses) == (TWO[0], (), (TWO[0],))


def test_they_are_written_as_they_are_read(tmp_path: Path) -> None:
    """What is dumped loads to the same, password included where the environment has it."""
    found = settings(tmp_path, {"urls": TWO, "user": "shop"})
    again = tmp_path / "again.yaml"
    again.write_text(dump(found), "utf-8")
    assert load(again).server == found.server
    assert "url:" not in dump(found)


def test_a_password_in_an_address_counts_for_all(tmp_path: Path) -> None:
    """It is taken out of the addresses, and shown nowhere."""
    found = settings(tmp_path, {"urls": ["http://shop:geheim@one:8080", "http://shop:geheim@two:8080"]})
    assert found.server.addresses == tuple(TWO)
    assert found.server.user == "shop"
    assert "geheim" not in dump(found) + repr(found)


@pytest.mark.parametrize("backend", ["server", "auto"])
def test_the_servers_own_index_is_refused(tmp_path: Path, backend: str) -> None:
    """With the reason, and what to write."""
    with pytest.raises(ConfigError, match=r"each of several servers has an index of its own.*write backend: local"):
        settings(tmp_path, {"urls": TWO}, backend=backend)
    with pytest.raises(ConfigError, match="index of its own"):
        settings(tmp_path, {"urls": TWO}).with_backend("server")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"urls": TWO, "url": "http://three:8080"}, "both url and urls"),
        ({"urls": []}, "urls is empty"),
        ({"urls": ""}, "urls is empty"),
        ({"urls": [TWO[0], TWO[0] + "/"]}, "names http://one:8080 twice"),
        ({"urls": [TWO[0], "two:8080"]}, "expected a server's address"),
        ({"urls": [TWO[0], 8080]}, "urls"),
        ({"urls": {"a": TWO[0]}}, "urls"),
        ({"urls": ["http://a:geheim@one:1", "http://b:geheim@two:1"]}, "different users or passwords"),
        ({"urls": ["http://a:geheim@one:1", "http://two:1"]}, "different users or passwords"),
        ({"urls": TWO, "token": "geheim", "user": "shop"}, "a token and a user"),
    ],
)
def test_wrong_ones_are_refused(tmp_path: Path, server: Any, words: str) -> None:
    """What is wrong is said, and no secret with it."""
    with pytest.raises(ConfigError, match=words) as caught:
        settings(tmp_path, server)
    assert "geheim" not in str(caught.value)
