"""Puts a product before the camera: which product, which view, which light."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import RandomState
from PIL import Image

from . import beds, chairs, lamps, sofas, tables
from .lighting import Stage, compose
from .look import Look
from .render import Camera, Light
from .rooms import Room, room, studio
from .solids import Solid, rod

SIZE = 320
_SUPERSAMPLING = 2
_STYLES: Mapping[str, tuple[Callable[[Look], list[Solid]], ...]] = {
    "chair": chairs.STYLES,
    "lamp": lamps.STYLES,
    "table": tables.STYLES,
    "bed": beds.STYLES,
    "sofa": sofas.STYLES,
}
CATEGORIES = tuple(_STYLES)


def model(category: str, product: int) -> list[Solid]:
    """Return the solids of a product; the same for the same number, whatever was drawn before.

    Raises:
        ValueError: the category is not one of `CATEGORIES`.
    """
    if category not in _STYLES:
        raise ValueError(f"unknown category {category!r}: expected one of {', '.join(CATEGORIES)}")
    styles = _STYLES[category]
    style = product % len(styles)
    return styles[style](Look(_random(category, product, 0), style, product // len(styles)))


def draw(
    category: str, product: int, view: int, *, size: int = SIZE, supersampling: int = _SUPERSAMPLING
) -> Image.Image:
    """Draw one view of a product.

    Args:
        category: One of `CATEGORIES`.
        product: The product's number, from 0.
        view: 1 is the catalogue's picture in a studio; every number above it is another room, angle and light.
        size: Width and height of the picture in pixels.
        supersampling: How many times larger the picture is drawn before it is reduced.

    Returns:
        An RGB picture, the same pixels for the same arguments.

    Raises:
        ValueError: the category is unknown, or the view is less than 1.
    """
    if view < 1:
        raise ValueError(f"view {view} of {category} {product}: views are numbered from 1")
    solids = model(category, product)
    random = _random(category, product, view)
    hanging = min(float(solid.points[:, 2].min()) for solid in solids) > 0.3
    fine = size * supersampling
    stage = _studio(solids, random, fine, hanging) if view == 1 else _room(solids, random, fine, hanging)
    if hanging:
        solids = [*solids, _cord(solids)]
    pixels = np.asarray(np.clip(compose(solids, stage), 0, 255), np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS)


def _cord(solids: list[Solid]) -> Solid:
    """Return what a hanging lamp's topmost part needs to reach a ceiling out of sight."""
    highest = max(solids, key=lambda solid: float(solid.points[:, 2].max()))
    top, radius = float(highest.points[:, 2].max()), float(np.ptp(highest.points[:, 0])) / 2
    return rod((0, 0, top - 0.02), (0, 0, top + 2), radius, highest.material)


def _random(category: str, product: int, view: int) -> RandomState:
    """Return a random source of the picture's own; RandomState's numbers are the same in every numpy."""
    return RandomState(zlib.crc32(f"{category}-{product}-{view}".encode()))


def _framed(
    solids: list[Solid], yaw: float, pitch: float, size: int, fill: float, shift: tuple[float, float]
) -> Camera:
    """Return a camera that shows the product `fill` frames large, its middle `shift` frames off the centre."""
    points = np.concatenate([solid.points for solid in solids])
    seen = Camera(yaw, pitch).project(points)
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    scale = fill * size / float((high - low).max())
    middle = (low + high) / 2 * scale
    return Camera(
        yaw, pitch, scale, (size * (0.5 + shift[0]) - float(middle[0]), size * (0.5 + shift[1]) - float(middle[1]))
    )


def _studio(solids: list[Solid], random: RandomState, size: int, hanging: bool) -> Stage:
    shift = (0.0, -0.06) if hanging else (0.0, 0.015)
    camera = _framed(solids, -30.0 + random.uniform(-3, 3), 20.0, size, 0.83, shift)
    light = Light(shadow=0.0 if hanging else 0.30, softness=0.016)
    return Stage(studio(size, random, 2.0 if hanging else 0.62), camera, light)


def _room(solids: list[Solid], random: RandomState, size: int, hanging: bool) -> Stage:
    side = 1 if random.rand() < 0.5 else -1
    yaw, pitch = side * random.uniform(12, 48), random.uniform(13, 27)
    shift = (random.uniform(-0.07, 0.07), random.uniform(0.0, 0.07) - (0.08 if hanging else 0.0))
    camera = _framed(solids, yaw, pitch, size, random.uniform(0.58, 0.74), shift)
    points = np.concatenate([solid.points for solid in solids])
    depth = (points @ camera.matrix().T)[:, 1:]
    behind = depth @ np.array([math.sin(math.radians(pitch)), -math.cos(math.radians(pitch))])
    reach = float(np.abs(points[:, :2]).max())
    wall = float(behind.max()) + (0.25 + random.uniform(0.0, 0.5)) * reach
    place = Room(camera, wall, 0.0 if random.rand() < 0.3 else reach * random.uniform(2.4, 3.0), hanging)
    left = -1 if random.rand() < 0.5 else 1
    warmth = random.uniform(-1, 1)
    light = Light(
        towards=(left * random.uniform(0.35, 0.8), random.uniform(0.6, 0.9), random.uniform(0.35, 0.6)),
        colour=(1.0 + 0.03 * warmth, 0.97, 0.93 - 0.09 * warmth),
        strength=random.uniform(0.50, 0.66),
        ambient=random.uniform(0.44, 0.54),
        shadow=random.uniform(0.34, 0.46) * (0.5 if hanging else 1.0),
        softness=0.02 if hanging else random.uniform(0.006, 0.014),
    )
    return Stage(room(size, random, place), camera, light, wall)
