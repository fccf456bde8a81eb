"""ddsim.config.database: what may be written of a database that keeps vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ddsim import ConfigError, Settings, load
from ddsim.config import dump


def loaded(tmp_path: Path, **index: Any) -> Settings:
    """Settings with this for an index."""
    service = {"def": "/m/deploy.prototxt", "weights": "/m/x.caffemodel", "nclasses": 5}
    similarity = {"repository": "/i/x", "extract_layer": "fc1"}
    raw = {"server": "http://localhost:8080", "network": service, "similarity": similarity, "index": index}
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load(file)


def test_a_milvus_is_named_with_address_and_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out has a default; the token is shown nowhere, and comes from the environment when read again."""
    settings = loaded(tmp_path, backend="milvus", url="http://db:19530", token="root:geheim")  # noqa: S106  of nobody
    index = settings.index
    assert (index.url, index.index_type, index.consistency) == ("http://db:19530", "auto", "strong")
    assert index.token is not None
    assert index.token.get_secret_value() == "root:geheim"
    text = dump(settings)
    assert "geheim" not in text
    assert "geheim" not in repr(settings)
    monkeypatch.setenv("DDSIM_MILVUS_TOKEN", "root:geheim")
    again = tmp_path / "again.yaml"
    again.write_text(text, encoding="utf-8")
    assert load(again).index == index


def test_user_and_password_may_stand_in_the_address(tmp_path: Path) -> None:
    """They are taken out of it before anybody sees them there."""
    index = loaded(tmp_path, backend="milvus", url="http://root:w%40rd@db:19530").index
    assert index.url == "http://db:19530"
    assert index.token is not None
    assert index.token.get_secret_value() == "root:w@rd"


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({"backend": "milvus"}, "index.url: missing: the address of the Milvus"),
        (
            {"backend": "milvus", "url": "localhost:19530"},
            "expected the database's address such as http://localhost:19530",
        ),
        ({"backend": "milvus", "url": "db/x.db"}, "expected the database's address"),
        ({"backend": "milvus", "url": "http://u:secret@db:x"}, "expected the database's address"),
        ({"backend": "milvus", "url": "http://u:secret@db", "token": "t"}, "leave one of them out"),
        (
            {"backend": "milvus", "url": "http://db", "collection": "a-b"},
            "'a-b' given, expected letters without accents",
        ),
        (
            {"backend": "milvus", "url": "http://db", "collection": "lämp"},
            "digits and '_', no digit first, 100 at most",
        ),
        (
            {"backend": "milvus", "url": "http://db", "token": "${NO_SUCH_VARIABLE}"},
            "NO_SUCH_VARIABLE is not set: set it",
        ),
        ({"backend": "milvus", "url": "tcp://db:19530"}, "expected the database's address"),
        ({"backend": "milvus", "url": "http://db", "index_type": "IVF"}, "index.index_type"),
        ({"backend": "milvus", "url": "http://db", "pca": 9}, "index.pca: the database compares vectors as they are"),
        ({"backend": "local", "url": "http://db"}, "index.url: it belongs to backend: milvus"),
        ({"backend": "server", "consistency": "bounded"}, "index.consistency: it belongs to backend: milvus"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, index: dict[str, Any], expected: str) -> None:
    """The key and what is wrong with it, and never what is secret."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, **index)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_home_that_there_is_not(tmp_path: Path) -> None:
    """It is refused with those that there are, also where a program chooses it."""
    with pytest.raises(ConfigError, match="'disk' given, expected one of server, local, milvus, auto"):
        loaded(tmp_path).with_backend("disk")  # type: ignore[arg-type]


def test_other_homes_leave_the_database_out(tmp_path: Path) -> None:
    """`--backend local` and experiments take a configuration for a database without what belongs to that."""
    settings = loaded(tmp_path, backend="milvus", url="http://db:19530", metric="cosine")
    assert settings.with_backend("local").index.url is None
