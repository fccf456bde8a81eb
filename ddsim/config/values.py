"""The kinds of values that stand in settings: what is accepted, and what it is turned into."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
)

from ddsim.catalogue import Address, address_in, compiled, on_disk
from ddsim.deepdetect import INDEX_TYPE, service_name

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([kmg]i?b|)b?", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """Where settings come from, for the paths in them (the ``context`` of pydantic's validation).

    Attributes:
        folder: what relative paths are relative to.
        embedded: whether the server sees the same files as ddsim does.
    """

    folder: Path
    embedded: bool


def resolved(folder: Path, text: str) -> Path:
    """A path as settings write it, relative to their folder."""
    return Path(os.path.normpath(folder / os.path.expanduser(text)))


def _local_path(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected the path of a folder or file")
    folder = info.context.folder if isinstance(info.context, Origin) else Path.cwd()
    return on_disk(resolved(folder, value))


def _place(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Address):
        return value
    address = address_in(value) if isinstance(value, str) else None
    return _local_path(value, info) if address is None else address


def _server_path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    if value and isinstance(info.context, Origin) and info.context.embedded:
        return str(_local_path(value, info))
    if not value.startswith("/") or "\0" in value:
        raise ValueError(
            "expected an absolute path on the server, such as /opt/models/resnet_50: "
            "a relative one would be looked for wherever the server happened to be started"
        )
    return value


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or a bracket left open
        return False
    return usable and not (parts.query or parts.fragment or re.search(r"\s", value))


def _server_url(value: str) -> str:
    if not _is_url(value):
        raise ValueError("expected a server's address such as http://localhost:8080, or server: embedded")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    if not _is_url(value):
        raise ValueError("expected the database's address such as http://localhost:19530")
    return value.rstrip("/")


def _url_prefix(value: str) -> str:
    if not _is_url(value):
        raise ValueError("expected an address such as https://cdn.example/catalogue")
    return value.rstrip("/")


def _certificates(value: Any, info: ValidationInfo) -> Any:
    if value is True or value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("expected the path of a file of certificates, or true for what this machine trusts")
    return _local_path(value, info)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, int) else _as_tuple(value)


def _three_channels(values: tuple[float, ...]) -> tuple[float, ...]:
    # A Caffe server does not check the length and reads beyond a short list (recordings/wire/63), so it always gets 3.
    if len(values) not in (0, 1, 3):
        raise ValueError(f"expected 3 numbers, one a channel, or 1 for all of them; there are {len(values)}")
    return values * 3 if len(values) == 1 else values


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("expected a size such as 16MB, 500kB or 16777216")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _patterns(values: tuple[str, ...]) -> tuple[str, ...]:
    compiled(values)
    return values


def _index_type(value: str) -> str:
    if not INDEX_TYPE.fullmatch(value):
        raise ValueError("expected Flat, IVF<lists>,Flat, HNSW<links> (4 to 999) or PCA<dimensions>,Flat")
    return value


PatternList = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), AfterValidator(_patterns)]
LocalPath = Annotated[Path, BeforeValidator(_local_path)]
Place = Annotated[InstanceOf[Path] | InstanceOf[Address], BeforeValidator(_place), PlainSerializer(str)]
Certificates = Annotated[Path | None, BeforeValidator(_certificates)]
ServerPath = Annotated[str, BeforeValidator(_server_path)]
ServiceName = Annotated[str, AfterValidator(service_name)]
Channels = Annotated[tuple[float, ...], BeforeValidator(_as_tuple), AfterValidator(_three_channels)]
Word = Annotated[str, StringConstraints(min_length=1)]
Size = Annotated[int, BeforeValidator(_size)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
Categories: TypeAlias = dict[str, Word]
DeviceIds = Annotated[tuple[Annotated[int, Field(ge=-1)], ...], BeforeValidator(_one_or_more)]
IndexType = Annotated[str, AfterValidator(_index_type)]
Url = Annotated[str, AfterValidator(_server_url)]
Urls = Annotated[tuple[Url, ...], BeforeValidator(_as_tuple)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
UrlPrefix = Annotated[str, AfterValidator(_url_prefix)]
