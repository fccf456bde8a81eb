"""The JSON schema of configurations: what editors are told is what is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ddsim.config import SCHEMA, Settings, dump, fields, json_schema, load, shipped

CONFIGS = Path(__file__).parents[3] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml")) + sorted((CONFIGS / "experiments").glob("*.yaml"))
CHECK = jsonschema.Draft7Validator(json_schema())


def wrong(content: Any) -> bool:
    """Whether the schema finds a mistake."""
    return not CHECK.is_valid(content)


def test_the_shipped_file_is_the_schema() -> None:
    """`ddsim config schema > configs/ddsim.schema.json` was run after the last change of settings."""
    assert json.loads((CONFIGS / SCHEMA).read_text(encoding="utf-8")) == json_schema()


def test_it_is_a_schema() -> None:
    """By the rules of its own dialect."""
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(CONFIGS)) for file in FILES])
def test_shipped_configurations(file: Path) -> None:
    """Each is right by the schema that its first line names."""
    text = file.read_text(encoding="utf-8")
    named = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == CONFIGS / SCHEMA
    assert [error.message for error in CHECK.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("name", [name for name in shipped() if name not in ("photos.yaml", "demo.yaml")])
def test_complete_configurations(name: str, tmp_path: Path) -> None:
    """What `ddsim config show` prints is right by it, too."""
    assert [error.message for error in CHECK.iter_errors(yaml.safe_load(dump(load(shipped()[name]))))] == []


@pytest.mark.parametrize(
    "content",
    [
        {"server": "embedded", "network": "efficientnet-lite2", "similarity": {"extract_layer": "pool5"}},
        {"server": {"url": "${DDSIM_URL}"}, "network": {"nclasses": "${N:-1000}", "gpuid": 1, "mean": [1, 2, 3]}},
        {"classification": "trained", "categories": "categories/furniture.yaml", "index": None, "upload": None},
        {"classification": None, "catalogue": {"folder": "x", "exclude": ["*.tif"]}, "index": {"cache": "4GB"}},
        {"categories": {"n1": "lamp"}, "index": {"batch_bytes": 900_000, "threads": "${THREADS}"}},
        {"server": {"url": "https://x", "verify": True}, "upload": {"max_bytes": "1.5 MiB"}},
        {"matrix": {"layer": ["pool1"]}},
    ],
)
def test_what_may_be_written(content: dict[str, Any]) -> None:
    """Short forms, variables, sizes and sections without a key."""
    assert not wrong(content)


@pytest.mark.parametrize(
    "content",
    [
        {"catalog": "x"},
        {"similarity": {"extract_layr": "x"}},
        {"similarity": {}},
        {"index": {"backend": "locl"}},
        {"index": {"batch_size": 0}},
        {"index": {"batch_size": "many"}},
        {"index": {"cache": "large"}},
        {"upload": {"shrink": "yes"}},
        {"routing": {"share": 2}},
        {"trained": True},
        {"classification": "learned"},
        [],
    ],
)
def test_mistakes_are_found(content: Any) -> None:
    """Unknown keys and words, missing ones, and values of another kind."""
    assert wrong(content)


def test_every_key_is_explained() -> None:
    """An editor shows a sentence for each."""
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    values = [value for section in sections for value in section["properties"].values()]
    assert [value for value in values if not value.get("description") and "$ref" not in json.dumps(value)] == []
    assert all(section["description"] for section in sections)
    assert set(fields(Settings)) - {"trained"} <= set(schema["properties"])
