"""Turns solids into pixels: a depth buffer filled by Pillow's polygons, light, shadow and texture added with numpy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .materials import Material, textures
from .solids import Solid, rotation

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]
_FAR = -1e6


@dataclasses.dataclass(frozen=True)
class Camera:
    """A parallel projection: product turned by `yaw`, seen from `pitch` above the horizon (degrees).

    A point at the product's foot lands on `centre` (pixels); one metre is `scale` pixels long.
    """

    yaw: float
    pitch: float
    scale: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def matrix(self) -> Array:
        """Return the 3 x 3 matrix from the product's axes to right, up and towards the viewer."""
        turned = rotation("z", self.yaw)
        c, s = math.cos(math.radians(self.pitch)), math.sin(math.radians(self.pitch))
        return np.array([[1.0, 0.0, 0.0], [0.0, s, c], [0.0, -c, s]]) @ turned

    def project(self, points: Array) -> Array:
        """Return (n, 3): pixel column, pixel row, nearness in pixels."""
        seen = points @ self.matrix().T * self.scale
        return np.stack([self.centre[0] + seen[:, 0], self.centre[1] - seen[:, 1], seen[:, 2]], axis=1)

    def floor(self, rows: Pixels) -> Pixels:
        """Return the nearness of the floor (z = 0) behind pixels of these rows."""
        return np.asarray((rows - self.centre[1]) / math.tan(math.radians(self.pitch)), np.float32)


@dataclasses.dataclass(frozen=True)
class Light:
    """The main light's direction (towards it: right, up, towards the viewer), its colour and the room's own light."""

    towards: tuple[float, float, float] = (-0.55, 0.75, 0.45)
    colour: tuple[float, float, float] = (1.0, 0.97, 0.92)
    strength: float = 0.62
    ambient: float = 0.50
    shadow: float = 0.45
    softness: float = 0.012


@dataclasses.dataclass(frozen=True)
class Mesh:
    """All solids of a model as one list of triangles."""

    points: Array
    normals: Array
    triangles: NDArray[np.int64]
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    solids: Sequence[Solid]


def mesh(solids: Sequence[Solid]) -> Mesh:
    """Put solids into one mesh that remembers which triangle belongs to which."""
    offsets = np.cumsum([0] + [len(solid.points) for solid in solids])
    counts = [len(solid.triangles) for solid in solids]
    return Mesh(
        np.concatenate([solid.points for solid in solids]),
        np.concatenate([solid.normals for solid in solids]),
        np.concatenate([solid.triangles + offset for solid, offset in zip(solids, offsets, strict=False)]),
        np.repeat(np.arange(len(solids)), counts),
        np.cumsum([0, *counts]),
        solids,
    )


def rasterise(shape: Mesh, camera: Camera, size: int) -> tuple[NDArray[np.int32], Pixels, Array]:
    """Return every pixel's nearest triangle (-1: none) and nearness, and the triangles' inverse corner matrices."""
    seen = camera.project(shape.points)
    corners = seen[shape.triangles]
    a, b = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    facing = a[:, 1] * b[:, 0] - a[:, 0] * b[:, 1]
    front = facing > 0.02
    planes = np.zeros((len(corners), 3, 3))
    flat = np.concatenate([corners[front][:, :, :2], np.ones((int(front.sum()), 3, 1))], axis=2)
    planes[front] = np.linalg.inv(flat)
    slopes = np.einsum("tij,tj->ti", planes, corners[:, :, 2])
    low, high = corners[:, :, 2].min(axis=1), corners[:, :, 2].max(axis=1)
    nearest = np.full((size, size), _FAR, np.float32)
    ids = np.full((size, size), -1, np.int32)
    for start, end in zip(shape.first[:-1], shape.first[1:], strict=True):
        chosen = start + np.flatnonzero(front[start:end])
        if not len(chosen):
            continue
        rows, columns, found = _covered(corners, chosen, size)
        plane = slopes[found]
        near = plane[:, 0] * columns + plane[:, 1] * rows + plane[:, 2]
        near = np.clip(near, low[found], high[found])
        wins = near > nearest[rows, columns]
        nearest[rows[wins], columns[wins]] = near[wins]
        ids[rows[wins], columns[wins]] = found[wins]
    return ids, nearest, planes


def _covered(
    corners: Array, chosen: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return rows and columns of the pixels that one solid's triangles cover, and the foremost triangle there."""
    flat = corners[chosen][:, :, :2]
    left, top = np.maximum(np.floor(flat.min(axis=(0, 1))).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(flat.max(axis=(0, 1))).astype(int) + 2, size)
    if right <= left or bottom <= top:
        nowhere = np.zeros(0, np.int64)
        return nowhere, nowhere, nowhere.astype(np.int32)
    order = np.argsort(corners[chosen][:, :, 2].sum(axis=1), kind="stable")
    window = Image.new("I", (int(right - left), int(bottom - top)), -1)
    pen = ImageDraw.Draw(window)
    outlines = (flat[order] - (left, top)).reshape(len(chosen), 6).tolist()
    for number, outline in zip(chosen[order].tolist(), outlines, strict=True):
        pen.polygon(outline, fill=number)
    drawn = np.asarray(window)
    rows, columns = np.nonzero(drawn >= 0)
    return rows + top, columns + left, drawn[rows, columns]


def blurred(values: Pixels, radius: float) -> Pixels:
    """Blur a plane of values 0..1."""
    plane = Image.fromarray(np.asarray(np.clip(values, 0, 1) * 255, np.uint8))
    return np.asarray(np.asarray(plane.filter(ImageFilter.GaussianBlur(radius))) / np.float32(255), np.float32)


def _light_camera(camera: Camera, light: Light, shape: Mesh, size: int) -> Camera:
    """Return a camera that looks along the light and sees the whole model."""
    x, y, z = np.asarray(light.towards) @ camera.matrix()
    flat = math.hypot(x, y)
    seer = Camera(math.degrees(-math.atan2(y, x)) - 90.0, math.degrees(math.atan2(z, flat)))
    seen = seer.project(shape.points)
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    scale = 0.96 * size / float((high - low).max())
    middle = (low + high) / 2 * scale
    return dataclasses.replace(seer, scale=scale, centre=(size / 2 - float(middle[0]), size / 2 - float(middle[1])))


def shadows(shape: Mesh, camera: Camera, light: Light, near: Pixels) -> Pixels:
    """Return how much every pixel of a plane of nearness lies in the model's shadow, 0..1, before any softening."""
    size = 288
    seer = _light_camera(camera, light, shape, size)
    _, depth, _ = rasterise(shape, seer, size)
    rows, columns = (np.arange(length, dtype=np.float32) for length in near.shape)
    seen = [np.zeros(near.shape, np.float32) for _ in range(3)]
    step = seer.scale / camera.scale * (seer.matrix() @ camera.matrix().T)
    for plane, (right, up, towards), start in zip(seen, step, (*seer.centre, 0.0), strict=True):
        sign = -1.0 if plane is seen[1] else 1.0
        across = np.float32(sign * right) * (columns - np.float32(camera.centre[0]))
        down = np.float32(sign * up) * (np.float32(camera.centre[1]) - rows)
        plane += across[None, :] + (down + np.float32(start))[:, None] + np.float32(sign * towards) * near
    column, row = np.round(seen[0]).astype(np.int32), np.round(seen[1]).astype(np.int32)
    within = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    dark = np.zeros(near.shape, np.float32)
    bias = 0.035 * seer.scale
    dark[within] = depth[row[within], column[within]] > seen[2][within] + bias
    return dark


def crevices(near: Pixels, reach: float) -> Pixels:
    """Return how hemmed in every pixel is by nearer neighbours on two opposite sides, 0..1; plain slopes are not."""
    total = np.zeros_like(near)
    for distance in (0.3 * reach, reach):
        step = max(1, int(distance))
        for dx, dy in ((1, 0), (0, 1), (1, 1), (-1, 1)):
            one = np.roll(near, (dy * step, dx * step), axis=(0, 1)) - near
            other = np.roll(near, (-dy * step, -dx * step), axis=(0, 1)) - near
            limit = 4 * distance
            hollow = np.where(np.maximum(one, other) > limit, 0, one + other) / distance
            total += np.clip(hollow, 0, 1)
    return np.asarray(total / 8, np.float32)


def surface(material: Material, places: Pixels, normals: Pixels, grain: int) -> Pixels:
    """Return the colours (n, 3), 0..255, of points on a material, light left out."""
    colour = np.tile(np.asarray(material.colour, np.float32), (len(places), 1))
    side = np.abs(normals).argmax(axis=1)
    others = np.array([[1, 2], [0, 2], [0, 1]])[side]
    along = np.where(others[:, 1] == grain, others[:, 1], others[:, 0])
    across = np.where(others[:, 1] == grain, others[:, 0], others[:, 1])
    rows = np.arange(len(places))
    u, v = places[rows, along], places[rows, across]
    if material.pattern and material.second:
        second = np.asarray(material.second, np.float32)
        colour = np.where(_pattern(material.pattern, u / material.scale, v / material.scale)[:, None], second, colour)
    tile = textures().get(material.kind)
    if tile is None:
        return colour
    density = {"wood": 260, "weave": 560, "cane": 620, "boucle": 460}.get(material.kind, 200) / material.scale
    stretch = 0.3 if material.kind == "wood" else 1.0
    shift = 37 * side
    value = tile[(u * density * stretch + shift).astype(int) & 255, (v * density + shift).astype(int) & 255]
    strength = {"wood": 0.13, "weave": 0.05, "velvet": 0.07, "stone": 0.10, "cane": 0.20, "boucle": 0.10}
    return np.asarray(colour * (1 + strength.get(material.kind, 0.05) * value[:, None]), np.float32)


def _pattern(name: str, u: Pixels, v: Pixels) -> NDArray[np.bool_]:
    """Return which points of a cloth carry the second colour."""
    if name == "stripes":
        return np.asarray((v * 11) % 1 < 0.42)
    if name == "pinstripes":
        return np.asarray((v * 20) % 1 < 0.18)
    if name == "checks":
        return np.asarray(((u * 8) % 1 < 0.5) ^ ((v * 8) % 1 < 0.5))
    if name == "tartan":
        return np.asarray(((u * 6) % 1 < 0.16) | ((v * 6) % 1 < 0.16))
    if name == "dots":
        offset = 0.5 * (np.floor(v * 9) % 2)
        return np.asarray(((u * 9 + offset) % 1 - 0.5) ** 2 + ((v * 9) % 1 - 0.5) ** 2 < 0.07)
    return np.asarray((np.abs((u * 6) % 1 - 0.5) * 2 + (v * 9)) % 1 < 0.4)
