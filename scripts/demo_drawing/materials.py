"""What things are made of: curated colours, materials, and the small textures that bring them to life."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Choice = TypeVar("Choice")

FABRICS: dict[str, Colour] = {
    "terracotta": (200, 104, 74),
    "teal": (40, 120, 124),
    "mustard": (222, 168, 60),
    "navy": (48, 68, 110),
    "blush": (228, 178, 166),
    "forest": (52, 96, 76),
    "linen": (228, 216, 194),
    "plum": (120, 64, 98),
    "sky": (136, 178, 206),
    "charcoal": (76, 78, 86),
    "sage": (150, 170, 130),
    "burgundy": (140, 46, 58),
    "cobalt": (52, 92, 170),
    "camel": (192, 146, 98),
    "coral": (232, 122, 98),
    "pearl": (190, 192, 196),
    "olive": (124, 124, 66),
    "lilac": (172, 154, 202),
    "mint": (162, 208, 186),
    "rust": (164, 80, 44),
    "lemon": (240, 214, 104),
    "petrol": (28, 82, 98),
    "rose": (206, 112, 132),
    "ivory": (244, 238, 224),
}
WOODS: dict[str, Colour] = {
    "oak": (206, 164, 112),
    "walnut": (116, 78, 54),
    "ash": (232, 212, 180),
    "cherry": (164, 88, 56),
    "wenge": (70, 52, 46),
    "teak": (180, 122, 70),
    "maple": (240, 222, 190),
    "mahogany": (120, 52, 40),
}
PAINTS: dict[str, Colour] = {
    "white": (244, 242, 238),
    "black": (48, 48, 52),
    "red": (204, 62, 54),
    "sage": (148, 168, 138),
    "ocean": (46, 112, 150),
    "saffron": (236, 176, 52),
    "powder": (232, 184, 178),
    "bottle": (38, 84, 66),
}
METALS: dict[str, Colour] = {
    "brass": (206, 166, 88),
    "chrome": (206, 210, 216),
    "black": (56, 56, 62),
    "copper": (206, 128, 92),
    "gunmetal": (112, 116, 126),
    "white": (240, 240, 238),
}


@dataclasses.dataclass(frozen=True)
class Material:
    """A surface: its kind, its colour (0..255), and where it has one its pattern in a second colour.

    `gloss` is the strength of the highlight, `glow` how much it shines of itself, `scale` the size of its grain.
    """

    kind: str
    colour: Colour
    second: Colour | None = None
    pattern: str = ""
    gloss: float = 0.0
    glow: float = 0.0
    scale: float = 1.0


def wood(name: str, *, scale: float = 1.0) -> Material:
    """Return oiled wood with visible grain."""
    return Material("wood", WOODS[name], gloss=0.10, scale=scale)


def paint(name: str) -> Material:
    """Return smooth lacquer."""
    return Material("plain", PAINTS[name], gloss=0.22)


def metal(name: str) -> Material:
    """Return polished or coated metal."""
    return Material("metal", METALS[name], gloss=0.35 if name in ("black", "white") else 0.75)


def fabric(colour: Colour, *, kind: str = "weave", pattern: str = "", second: Colour | None = None) -> Material:
    """Return upholstery: `kind` is "weave", "velvet", "boucle" or "leather"."""
    gloss = {"leather": 0.42, "velvet": 0.16}.get(kind, 0.0)
    return Material(kind, colour, second=second, pattern=pattern, gloss=gloss)


def shade(colour: Colour, glow: float) -> Material:
    """Return the lit stuff of a lamp shade."""
    return Material("weave", colour, glow=glow, scale=0.6)


def glass(tint: Colour = (206, 226, 226)) -> Material:
    """Return thick, tinted glass, drawn milky rather than see-through."""
    return Material("glass", tint, gloss=0.9)


def stone(colour: Colour) -> Material:
    """Return polished marble."""
    return Material("stone", colour, gloss=0.4)


def cane(colour: Colour) -> Material:
    """Return wickerwork."""
    return Material("cane", colour, gloss=0.06)


def pick(random: RandomState, choices: Sequence[Choice]) -> Choice:
    """Return one of the choices."""
    return choices[int(random.randint(len(choices)))]


def tinted(colour: Colour, random: RandomState, amount: float = 9.0) -> Colour:
    """Return the colour moved a little, so that no two products share it exactly."""
    red, green, blue = (float(np.clip(part + random.uniform(-amount, amount), 0, 255)) for part in colour)
    return red, green, blue


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return the blend of two colours with so large a share of the other."""
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(one, other, strict=True))
    return red, green, blue


def smooth(values: NDArray[np.float64], across: int, down: int) -> NDArray[np.float64]:
    """Blur a tile with wrap-around, twice a box of the given reach."""
    for axis, reach in ((1, across), (0, down)):
        for _ in range(2 if reach else 0):
            values = np.mean([np.roll(values, k, axis=axis) for k in range(-reach, reach + 1)], axis=0)
    return values


@functools.lru_cache(maxsize=1)
def textures() -> dict[str, NDArray[np.float32]]:
    """Return 256 x 256 tiles of values about -1..1 that wrap at their edges: (along the grain, across it)."""
    random = RandomState(7)
    size = 256
    along, across = np.mgrid[0:size, 0:size].astype(float)

    def even(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((values - values.mean()) / (2 * values.std()))

    slow = even(smooth(random.rand(size, size), 12, 40))
    rings = np.sin(2 * np.pi * (across / 32 + 0.9 * slow))
    fibre = even(smooth(random.rand(size, size), 0, 18))
    cloud = even(smooth(random.rand(size, size), 16, 16))
    grainy = even(smooth(random.rand(size, size), 1, 1))
    blobs = even(smooth(random.rand(size, size), 3, 3))
    veins = 1 - 2 * np.exp(-((np.abs(even(smooth(random.rand(size, size), 20, 20)) + 0.35 * blobs) / 0.16) ** 1.2))
    cross = np.where((along // 4 + across // 4) % 2, 1.0, -1.0) * 0.5
    wicker = np.where((along // 16 + across // 16) % 2, np.cos(along * np.pi / 4), np.cos(across * np.pi / 4))
    tiles = {
        "wood": 0.45 * rings + 0.5 * fibre,
        "weave": 0.6 * cross + 0.35 * grainy,
        "velvet": 0.8 * cloud + 0.15 * grainy,
        "boucle": np.clip(blobs, -1, 1),
        "leather": 0.5 * cloud + 0.3 * blobs,
        "stone": 0.5 * cloud + 0.9 * veins,
        "cane": wicker,
    }
    return {kind: np.asarray(tile, np.float32) for kind, tile in tiles.items()}
