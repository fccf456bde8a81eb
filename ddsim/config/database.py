"""The settings of a database that keeps vectors, and what has to go together with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, model_validator

from ddsim.config.part import Part
from ddsim.config.values import DatabaseUrl
from ddsim.config.yamlfile import Key
from ddsim.deepdetect import split_address

#: What is left out where the vectors are not in a database.
DATABASE_DEFAULTS: dict[str, Any] = {
    "url": None,
    "token": None,
    "collection": None,
    "index_type": "auto",
    "consistency": "strong",
    "timeout": 30.0,
}


class DatabaseSettings(Part):
    """The part of ``index`` that only ``backend: milvus`` reads."""

    url: DatabaseUrl | None = None
    """Address of the Milvus that keeps the vectors, such as http://localhost:19530 (``milvus`` only)."""
    token: SecretStr | None = None
    """What the database wants to see: ``user:password``, or a key; never printed, and written nowhere. Better taken
    from the environment: ``${SOME_VARIABLE}`` (``milvus`` only)."""
    collection: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")] | None = None
    """What the collection's name there begins with; by default ``ddsim_`` and the configuration's name (``milvus``
    only)."""
    index_type: Literal["auto", "FLAT", "HNSW", "DISKANN"] = "auto"
    """How the database searches: ``FLAT`` compares with every vector, the others with some; ``auto``: ``FLAT`` below
    50,000 pictures, ``HNSW`` from there on (``milvus`` only)."""
    consistency: Literal["strong", "bounded", "session", "eventually"] = "strong"
    """What a search is sure to see: ``strong`` all that was added before, which costs up to the database's tick of
    200 ms; the others answer at once, and may be some seconds behind (``milvus`` only)."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds that the database has for one answer (``milvus`` only)."""

    @model_validator(mode="before")
    @classmethod
    def _token_apart(cls, data: Any) -> Any:
        """Take user and password out of the address before anybody sees them there."""
        if not isinstance(data, dict) or not isinstance(data.get("url"), str):
            return data
        try:
            url, written = split_address(data["url"])
        except ValueError:
            return data  # the address is refused below
        if written.user is None and written.password is None:
            return data
        if data.get("token") is not None:
            raise ValueError("a token is given, and a user or password in url: leave one of them out")
        password = written.password.get_secret_value() if written.password else ""
        return {**data, "url": url, "token": f"{written.user or ''}:{password}"}


def database_rules(index: DatabaseSettings, backend: str) -> Iterator[tuple[Key, str]]:
    """What of these settings does not go together with the home of the vectors: key path and reason."""
    if backend == "milvus":
        if index.url is None:
            yield ("index", "url"), "missing: the address of the Milvus, such as http://localhost:19530"
        return
    given = [key for key, default in DATABASE_DEFAULTS.items() if getattr(index, key) != default]
    for key in given:
        yield ("index", key), "it belongs to backend: milvus: write that too, or leave it out"
