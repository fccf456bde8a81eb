"""ddsim.deepdetect.described: what a server says of itself is read leniently."""

from __future__ import annotations

from typing import Any

import pytest

from ddsim.deepdetect.described import Info, parse_info, parse_service
from ddsim.errors import InvalidResponse


def test_info_is_read() -> None:
    """Version, flags and services; keys that no recording has are kept."""
    info = parse_info(
        {"head": {"version": "v9", "compile_flags": "X=ON", "new": 1, "services": [{"name": "a", "newer": 2}]}}
    )
    assert (info.version, info.services[0].name) == ("v9", "a")
    assert (info.model_extra, info.services[0].model_extra) == ({"new": 1}, {"newer": 2})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", (False, False, False, None)),
        ("USE_CAFFE=ON USE_CAFFE2=OFF USE_TORCH=OFF USE_SIMSEARCH=ON USE_FAISS=ON", (True, False, True, "faiss")),
        ("USE_CAFFE=OFF USE_CAFFE2=ON", (False, False, False, None)),
        ("USE_TORCH=ON USE_SIMSEARCH=OFF USE_ANNOY=OFF USE_FAISS=ON", (False, True, False, None)),
        ("USE_CAFFE=ON USE_SIMSEARCH=ON USE_ANNOY=ON USE_FAISS=OFF", (True, False, True, "annoy")),
        ("USE_SIMSEARCH=ON", (False, False, True, None)),
    ],
)
def test_capabilities(flags: str, expected: tuple[Any, ...]) -> None:
    """Only USE_SIMSEARCH tells of similarity search; an engine alone does not (recording torch 01)."""
    found = Info(compile_flags=flags).capabilities
    assert (found.caffe, found.torch, found.similarity_search, found.similarity_engine) == expected


@pytest.mark.parametrize(
    "payload",
    [None, [], "x", 3, {}, {"head": None}, {"head": []}, {"head": {"services": "x"}}, {"head": {"services": [{}]}}],
)
def test_info_of_something_else(payload: Any) -> None:
    """JSON of another shape is an InvalidResponse."""
    with pytest.raises(InvalidResponse):
        parse_info(payload)


@pytest.mark.parametrize(
    "payload", [None, {}, {"body": "x"}, {"body": {"name": 3}}, {"body": {"name": "a", "width": "w"}}]
)
def test_service_of_something_else(payload: Any) -> None:
    """JSON of another shape is an InvalidResponse."""
    with pytest.raises(InvalidResponse):
        parse_service(payload)
