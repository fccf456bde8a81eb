"""A shop whose categories differ in colour, and whose classification service says what a test wants."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from homes import HOMES, StrictTap
from PIL import Image
from shop import Sent, Shop

from ddsim import Reply

#: Category -> its colour and its label, as the tiny network's label file has it.
COLOURS = {"bed": (30, 60, 200), "chair": (200, 180, 30), "lamp": (220, 40, 40), "sofa": (40, 190, 60)}
LABELS = {"chair": "n00000001 chair", "lamp": "n00000002 lamp", "bed": "n00000004 bed", "sofa": "n00000005 sofa"}
TABLE = {label.split()[0]: category for category, label in LABELS.items()}


def coloured(category: str, seed: int, spread: int = 20) -> Image.Image:
    """A picture of the network's own size in a category's colour, in patches that no other seed has."""
    chance = np.random.default_rng([seed, *category.encode()])
    patches = np.clip(np.array(COLOURS[category]) + chance.integers(-spread, spread + 1, (4, 4, 3)), 0, 255)
    return Image.fromarray(patches.astype(np.uint8)).resize((32, 32), Image.Resampling.NEAREST)


def colour_shop(root: Path, home: str = "server", **changes: Any) -> Shop:
    """An empty shop before a strict server, whose labels are mapped to categories."""
    index, profile = HOMES[home]
    base = {
        "similarity": {"extract_layer": "pool1"},
        "index": {"batch_size": 16, **index},
        "categories": TABLE,
        **changes,
    }
    return Shop(root, base, tap=StrictTap(profile=profile))


def fill(shop: Shop, sizes: Mapping[str, int], first: int = 0) -> list[str]:
    """That many pictures of each category, numbered from the first on."""
    uris = [(category, number) for category, size in sizes.items() for number in range(first, first + size)]
    for category, number in uris:
        shop.add_picture(f"{category}/{number:03d}.png", coloured(category, number))
    return [f"{category}/{number:03d}.png" for category, number in uris]


@dataclass
class Words:
    """Puts words into a classification service's mouth; a fault for a tap.

    Attributes:
        say: category -> probability for the base64 of a picture; None lets the network itself speak.
        asked: the pictures that it was asked about, as base64.
        failing: what it answers instead.
    """

    say: Callable[[str], Mapping[str, float] | None]
    asked: list[str] = field(default_factory=list)
    failing: Callable[[], Reply] | None = None

    def __call__(self, sent: Sent, carry_out: Callable[[], Reply]) -> Reply | None:
        """Answer what is asked of the classification service."""
        if not is_classification(sent):
            return None
        if self.failing is not None:
            return self.failing()
        self.asked += sent.json["data"]
        reply = carry_out()
        body = orjson.loads(reply.body)
        data = dict(zip(sent.json["ids"], sent.json["data"], strict=True))
        for prediction in body.get("body", {}).get("predictions", []):
            shares = self.say(data[prediction["uri"]])
            if shares is not None:
                said = sorted(shares.items(), key=lambda entry: -entry[1])
                prediction["classes"] = [{"prob": share, "cat": LABELS.get(name, name)} for name, share in said]
        return Reply(reply.status, orjson.dumps(body))


def is_classification(sent: Sent) -> bool:
    """Whether a request asks the classification service for labels."""
    return sent.path == "/predict" and sent.json["service"].startswith("shop-classes-") and "ids" in sent.json


def always(**shares: float) -> Callable[[str], Mapping[str, float]]:
    """Says the same of every picture."""
    return lambda _: shares


def truly(shop: Shop, share: float = 0.9) -> Callable[[str], Mapping[str, float] | None]:
    """Says of the catalogue's pictures what their folder is called."""

    def say(data: str) -> Mapping[str, float] | None:
        files = (path for path in shop.catalogue.rglob("*.png") if as_sent(path) == data)
        found = next(files, None)
        return None if found is None else {found.parent.name: share}

    return say


def as_sent(path: Path) -> str:
    """A picture of the network's own size, as it goes over the wire."""
    return base64.b64encode(path.read_bytes()).decode()


def speak(shop: Shop, say: Callable[[str], Mapping[str, float] | None]) -> Words:
    """From now on the shop's classification service says this."""
    words = Words(say)
    shop.tap.faults[:] = [words]
    return words


def exchanges(shop: Shop) -> Iterator[str]:
    """What was sent, in a word or two each, a service by its configured name."""
    for sent in shop.tap.sent:
        yield f"{sent.method} {sent.path}" + (f" {sent.json['service'][:-7]}" if sent.path == "/predict" else "")


def uris_of(found: Sequence[Any]) -> list[str]:
    """The names of what was found, in order."""
    return [one.uri for one in found]
