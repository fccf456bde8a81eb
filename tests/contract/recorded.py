"""The recordings: exchanges with a real DeepDetect v0.25.0 (recordings/README.md, recordings/CHECKED.md).

Those below torch/ are with a real one of today, v0.29.0 with Torch (recordings/torch/CHECKED-TORCH.md).
"""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
IMAGES = RECORDINGS / "images"
WIRE = RECORDINGS / "wire"
TORCH_WIRE = RECORDINGS / "torch" / "wire"


@dataclass(frozen=True)
class Scenario:
    """One file of recordings/wire or recordings/torch/wire.

    Attributes:
        name: the file's name without .json.
        about: what it is about.
        died: whether the real server's process ended in it.
        exchanges: in order: exchanges, raw exchanges and events.
    """

    name: str
    about: str
    died: bool
    exchanges: list[dict[str, Any]]

    @property
    def restarts(self) -> bool:
        """Whether the server was restarted in the middle."""
        return any(exchange.get("event") == "restart" for exchange in self.exchanges)

    @property
    def lists_files(self) -> bool:
        """Whether the server's files were looked at."""
        return any(str(exchange.get("event")).startswith(("files", "check")) for exchange in self.exchanges)


def names(folder: Path = WIRE) -> list[str]:
    """All scenarios' names, in order."""
    return sorted(path.stem for path in folder.glob("*.json"))


@functools.cache
def load(name: str, folder: Path = WIRE) -> Scenario:
    """One scenario; not to be changed."""
    found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return Scenario(found["name"], found["about"], found.get("server_died", False), found["exchanges"])


@functools.cache
def image(name: str) -> str:
    """A recorded picture as base64."""
    return base64.b64encode((IMAGES / name).read_bytes()).decode()


def with_images(value: Any) -> Any:
    """A recorded request with its pictures put in."""
    if isinstance(value, dict):
        if set(value) == {"$image"}:
            return image(value["$image"])
        return {key: with_images(part) for key, part in value.items()}
    return [with_images(part) for part in value] if isinstance(value, list) else value
