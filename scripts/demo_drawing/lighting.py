"""Lights a model and lays it over its backdrop, with cast shadows, dark crevices, glass and the glow of lamps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .render import Camera, Light, Mesh, Pixels, blurred, crevices, mesh, rasterise, shadows, surface
from .solids import Solid

_WARM = np.array([255.0, 232.0, 190.0], np.float32)


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where a model stands: backdrop (size x size x 3, 0..255), camera, light, and the wall's distance in metres."""

    backdrop: Pixels
    camera: Camera
    light: Light
    wall: float | None = None

    def nearness(self) -> Pixels:
        """Return the nearness of floor and wall behind every pixel."""
        size = self.backdrop.shape[0]
        rows = np.arange(size, dtype=np.float32)[:, None]
        near = self.camera.floor(rows)
        if self.wall is None:
            return np.asarray(near + np.zeros(size, np.float32))
        pitch = math.radians(self.camera.pitch)
        up = (self.camera.centre[1] - rows) / self.camera.scale
        wall = -self.wall * math.cos(pitch) + (up - self.wall * math.sin(pitch)) * math.tan(pitch)
        return np.asarray(np.maximum(near, wall * self.camera.scale) + np.zeros(size), np.float32)


def compose(solids: Sequence[Solid], stage: Stage) -> Pixels:
    """Return the picture of a model on its stage, (size, size, 3), 0..255."""
    clear = [solid for solid in solids if solid.material.kind == "glass"]
    shape = mesh([solid for solid in solids if solid.material.kind != "glass"])
    size = stage.backdrop.shape[0]
    ids, near, planes = rasterise(shape, stage.camera, size)
    covered = ids >= 0
    behind = stage.nearness()
    near = np.where(covered, near, behind)
    dark, hemmed = _shading_planes(shape, stage, near, covered)
    picture = stage.backdrop * (1 - (stage.light.shadow * dark + 0.35 * hemmed)[:, :, None])
    colours, glow = _lit(shape, stage, ids, planes, dark[covered], hemmed[covered])
    picture[covered] = colours
    if clear:
        picture = _glazed(mesh(clear), stage, picture, near)
    return _with_glow(picture, covered, glow)


def _shading_planes(shape: Mesh, stage: Stage, near: Pixels, covered: NDArray[np.bool_]) -> tuple[Pixels, Pixels]:
    """Return softened cast shadow and crevice darkness for every pixel, worked out at half the resolution."""
    size = near.shape[0]
    half = np.asarray(near[::2, ::2] / 2, np.float32)
    camera = dataclasses.replace(
        stage.camera, scale=stage.camera.scale / 2, centre=(stage.camera.centre[0] / 2, stage.camera.centre[1] / 2)
    )
    raw = shadows(shape, camera, stage.light, half)
    here = np.asarray(covered[::2, ::2], np.float32)
    own = _within(raw, here, 0.006 * size)
    ground = _within(raw, 1 - here, stage.light.softness * size)
    dark = np.where(here > 0, own, ground)
    hemmed = blurred(crevices(half, 0.035 * size), 0.007 * size)
    planes = []
    for plane in (dark, hemmed):
        picture = Image.fromarray(np.asarray(plane * 255, np.uint8)).resize((size, size), Image.Resampling.BILINEAR)
        planes.append(np.asarray(np.asarray(picture) / np.float32(255), np.float32))
    return planes[0], planes[1]


def _within(values: Pixels, mask: Pixels, radius: float) -> Pixels:
    """Blur values inside a mask without bleeding over its edge."""
    return np.asarray(blurred(values * mask, radius) / np.maximum(blurred(mask, radius), 0.02), np.float32)


def _lit(
    shape: Mesh, stage: Stage, ids: NDArray[np.int32], planes: NDArray[np.float64], dark: Pixels, hemmed: Pixels
) -> tuple[Pixels, Pixels]:
    """Return colour (n, 3) and glow (n) of every covered pixel."""
    rows, columns = np.nonzero(ids >= 0)
    found = ids[rows, columns]
    places, normals = _places(shape, found, planes, rows, columns)
    owner = shape.owner[found]
    colours, traits = np.empty((len(found), 3), np.float32), np.empty((len(found), 3), np.float32)
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(len(shape.solids) + 1))
    for number, solid in enumerate(shape.solids):
        chosen = order[cuts[number] : cuts[number + 1]]
        if len(chosen):
            grain = int(np.ptp(solid.points, axis=0).argmax())
            colours[chosen] = surface(solid.material, places[chosen], normals[chosen], grain)
            traits[chosen] = (solid.material.gloss, solid.material.glow, solid.material.kind == "metal")
    seen = normals @ np.asarray(stage.camera.matrix().T, np.float32)
    return _shine(colours, traits, seen, stage.light, dark, hemmed), traits[:, 1]


def _places(
    shape: Mesh,
    found: NDArray[np.int32],
    planes: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> tuple[Pixels, Pixels]:
    """Return the product's coordinates and the normal at pixels, mixed from their triangle's corners."""
    plane = planes.astype(np.float32)[found]
    x, y = columns.astype(np.float32)[:, None], rows.astype(np.float32)[:, None]
    shares = np.clip(plane[:, 0] * x + plane[:, 1] * y + plane[:, 2], 0, 1)
    shares /= shares.sum(axis=1, keepdims=True) + 1e-9
    table = np.concatenate([shape.points, shape.normals], axis=1).astype(np.float32)
    corners = shape.triangles[found]
    first, second, third = (shares[:, k : k + 1] * table[corners[:, k]] for k in range(3))
    mixed = first + second + third
    places, normals = np.asarray(mixed[:, :3], np.float32), np.asarray(mixed[:, 3:], np.float32)
    return places, normals / (np.sqrt((normals * normals).sum(axis=1, keepdims=True)) + 1e-9)


def _shine(colours: Pixels, traits: Pixels, seen: Pixels, light: Light, dark: Pixels, hemmed: Pixels) -> Pixels:
    """Apply light to bare colours; `seen` are normals to the right, up and towards the viewer."""
    towards = np.asarray(light.towards, np.float32)
    towards = towards / np.linalg.norm(towards)
    halfway = towards + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    facing = np.clip(0.88 * (seen @ towards) + 0.12, 0, 1)
    around = light.ambient * (0.80 + 0.26 * seen[:, 1] + 0.10 * seen[:, 2]) * (1 - 0.75 * hemmed)
    direct = light.strength * facing * (1 - 0.78 * dark)
    gloss, glow, metallic = (traits[:, k] for k in range(3))
    mirror = 0.5 + 0.5 * np.sin(4.2 * seen[:, 1] + 2.4 * seen[:, 0] + 0.6)
    direct = direct + metallic * (0.42 * mirror - 0.16)
    tint = np.asarray(light.colour, np.float32)
    lit = colours * (around[:, None] + direct[:, None] * tint)
    spark = gloss * np.clip(seen @ halfway, 0, 1) ** 26 * (1 - 0.8 * dark)
    rim = 0.5 * gloss * (1 - np.clip(seen[:, 2], 0, 1)) ** 3
    lit += (150 * spark + 60 * rim * light.ambient)[:, None] * tint
    warm = 0.55 * colours + 0.45 * _WARM
    lit += glow[:, None] * (warm * (0.80 + 0.20 * seen[:, 2:3]) - lit)
    return np.asarray(lit, np.float32)


def _glazed(shape: Mesh, stage: Stage, picture: Pixels, near: Pixels) -> Pixels:
    """Lay glass over a finished picture."""
    ids, depth, planes = rasterise(shape, stage.camera, picture.shape[0])
    rows, columns = np.nonzero((ids >= 0) & (depth > near))
    found = ids[rows, columns]
    _, normals = _places(shape, found, planes, rows, columns)
    seen = normals @ np.asarray(stage.camera.matrix().T, np.float32)
    tint = np.array([solid.material.colour for solid in shape.solids], np.float32)[shape.owner[found]]
    edge = 1 - np.abs(normals[:, 2])
    cover = (0.40 + 0.38 * edge)[:, None]
    streak = 26 * np.clip(np.sin((columns + 0.6 * rows) * 9.0 / picture.shape[0] + 1.2), 0, 1) ** 6 * (1 - edge)
    body = tint * (0.78 + 0.22 * np.clip(seen[:, 1], 0, 1) - 0.25 * edge)[:, None]
    picture[rows, columns] = picture[rows, columns] * (1 - cover) + body * cover + streak[:, None]
    return picture


def _with_glow(picture: Pixels, covered: NDArray[np.bool_], glow: Pixels) -> Pixels:
    """Add the halo around what shines."""
    if not len(glow) or float(glow.max()) <= 0:
        return picture
    size = picture.shape[0]
    source = np.zeros(covered.shape, np.float32)
    source[covered] = glow
    small = np.ascontiguousarray(source[::8, ::8])
    halo = blurred(small, 0.07 * size / 8) * 0.55 + blurred(small, 0.16 * size / 8) * 0.8
    wide = Image.fromarray(np.asarray(np.clip(halo, 0, 1) * 255, np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    share = np.asarray(wide, np.float32)[:, :, None] / 255
    return np.asarray(picture + share * (1 - source[:, :, None]) * 0.42 * (_WARM * 1.08 - 0.55 * picture), np.float32)
