"""Solids that furniture is put together from: meshes with a normal at every corner.

Lengths are metres; x points right, y away from the viewer, z up. A piece of furniture faces -y and stands on z = 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .materials import Material

Array = NDArray[np.float64]
Point = Sequence[float]
_AXES = {"x": 0, "y": 1, "z": 2}


@dataclasses.dataclass(frozen=True)
class Solid:
    """One piece of one material.

    `points` and `normals` are (n, 3), `triangles` (m, 3) indices into them, turning so that their face looks outwards.
    `material` says how it looks; its grain runs along the piece's longest side.
    """

    points: Array
    normals: Array
    triangles: NDArray[np.int64]
    material: Material

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Return the solid shifted by so many metres."""
        return dataclasses.replace(self, points=self.points + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float, about: Point = (0.0, 0.0, 0.0)) -> Solid:
        """Return the solid turned about an axis ("x", "y" or "z") through the point `about`."""
        matrix = rotation(axis, degrees)
        centre = np.asarray(about, float)
        return dataclasses.replace(
            self, points=(self.points - centre) @ matrix.T + centre, normals=self.normals @ matrix.T
        )

    def mirrored(self) -> Solid:
        """Return the mirror image on the other side of x = 0."""
        flip = np.array([-1.0, 1.0, 1.0])
        return dataclasses.replace(
            self, points=self.points * flip, normals=self.normals * flip, triangles=self.triangles[:, ::-1]
        )


def rotation(axis: str, degrees: float) -> Array:
    """Return the 3 x 3 matrix that turns column vectors about an axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = [(1, 2), (2, 0), (0, 1)][_AXES[axis]]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def both_sides(*solids: Solid) -> list[Solid]:
    """Return the solids and their mirror images."""
    return [*solids, *(solid.mirrored() for solid in solids)]


def _make(points: Array, normals: Array, triangles: NDArray[np.int64], material: Material) -> Solid:
    """Drop empty triangles and turn the others outwards, as their corners' normals say."""
    corners = points[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    keep = np.einsum("ij,ij->i", across, across) > 1e-16
    triangles, across = triangles[keep], across[keep]
    inwards = np.einsum("ij,ij->i", across, normals[triangles].sum(axis=1)) < 0
    triangles[inwards] = triangles[inwards][:, ::-1]
    return Solid(points, normals, triangles, material)


def _sheet(points: Array, normals: Array, material: Material, *, closed: bool) -> Solid:
    """Join a (rows, columns, 3) sheet of points; `closed` joins the last column to the first."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1)
    if not closed:
        index, right = index[:, :-1], right[:, :-1]
    a, b, c, d = (part.ravel() for part in (index[:-1], right[:-1], right[1:], index[1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return _make(points.reshape(-1, 3), normals.reshape(-1, 3), triangles, material)


def _joined(parts: Sequence[Solid]) -> Solid:
    offsets = np.cumsum([0] + [len(part.points) for part in parts[:-1]])
    return Solid(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.triangles + offset for part, offset in zip(parts, offsets, strict=True)]),
        parts[0].material,
    )


def block(size: Point, at: Point, material: Material, *, edge: float = 0.012, steps: int = 2) -> Solid:
    """Return a box with rounded edges of radius `edge`; `at` is the middle of its underside."""
    half = np.asarray(size, float) / 2
    radius = min(edge, 0.98 * half.min())
    quarter = np.linspace(0, math.pi / 2, steps + 1)
    around = np.concatenate([quarter + k * math.pi / 2 for k in range(4)])
    up = np.concatenate([quarter - math.pi / 2, quarter])
    signs_x = np.repeat([1, -1, -1, 1], steps + 1)
    signs_y = np.repeat([1, 1, -1, -1], steps + 1)
    signs_z = np.repeat([-1, 1], steps + 1)
    lat, lon = np.meshgrid(up, around, indexing="ij")
    normals = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    signs = np.stack(np.broadcast_arrays(signs_x[None, :], signs_y[None, :], signs_z[:, None]), axis=-1)
    points = signs * (half - radius) + radius * normals
    body = _sheet(points, normals, material, closed=True)
    lids = []
    for row, z in ((0, -1.0), (-1, 1.0)):
        corners = points[row, [0, steps + 1, 2 * steps + 2, 3 * steps + 3]]
        normal = np.tile([0.0, 0.0, z], (4, 1))
        lids.append(_make(corners, normal, np.array([[0, 1, 2], [0, 2, 3]]), material))
    return _joined([body, *lids]).moved(at[0], at[1], at[2] + half[2])


def cushion(size: Point, at: Point, material: Material, *, puff: float = 0.45) -> Solid:
    """Return a plump cushion; `puff` runs from 0 (box) to 1 (ball). `at` is the middle of its underside."""
    half = np.asarray(size, float) / 2
    up = np.linspace(-math.pi / 2, math.pi / 2, 13)
    around = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    lat, lon = np.meshgrid(up, around, indexing="ij")

    def power(value: Array, exponent: float) -> Array:
        return np.asarray(np.sign(value) * np.abs(value) ** exponent)

    def shape(exponent: float) -> Array:
        return np.stack(
            [
                power(np.cos(lat), exponent) * power(np.cos(lon), puff),
                power(np.cos(lat), exponent) * power(np.sin(lon), puff),
                power(np.sin(lat), exponent),
            ],
            axis=-1,
        )

    rise = min(1.0, puff + 0.25)
    points = shape(rise) * half
    normals = (
        np.stack(
            [
                power(np.cos(lat), 2 - rise) * power(np.cos(lon), 2 - puff),
                power(np.cos(lat), 2 - rise) * power(np.sin(lon), 2 - puff),
                power(np.sin(lat), 2 - rise),
            ],
            axis=-1,
        )
        / half
    )
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    return _sheet(points, normals, material, closed=True).moved(at[0], at[1], at[2] + half[2])


def ball(radii: Point, centre: Point, material: Material) -> Solid:
    """Return an ellipsoid with three radii about a centre."""
    size = [2 * radius for radius in radii]
    return cushion(size, (centre[0], centre[1], centre[2] - radii[2]), material, puff=0.999)


def rod(start: Point, end: Point, radius: float, material: Material, *, tip: float | None = None) -> Solid:
    """Return a round rod from point to point, `radius` at the start and `tip` (if given) at the end."""
    return sweep([start, end], radius, material, tip=tip)


def sweep(
    path: Sequence[Point], radius: float, material: Material, *, tip: float | None = None, sides: int = 12
) -> Solid:
    """Return a tube along a path of points, its radius running from `radius` to `tip`."""
    line = np.asarray(path, float)
    steps = np.diff(line, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.cross(tangents[0], [0.0, 0.0, 1.0] if abs(tangents[0][2]) < 0.9 else [1.0, 0.0, 0.0])
    angles = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    radii = np.linspace(radius, radius if tip is None else tip, len(line))
    normals = np.empty((len(line), sides, 3))
    for i, tangent in enumerate(tangents):
        side = side - tangent * float(side @ tangent)
        side /= np.linalg.norm(side)
        other = np.cross(tangent, side)
        normals[i] = np.outer(np.cos(angles), side) + np.outer(np.sin(angles), other)
    points = line[:, None, :] + normals * radii[:, None, None]
    fan = np.array([[0, i, i + 1] for i in range(1, sides - 1)])
    lids = [
        _make(points[row], np.tile(normal, (sides, 1)), fan.copy(), material)
        for row, normal in ((0, -tangents[0]), (-1, tangents[-1]))
    ]
    return _joined([_sheet(points, normals, material, closed=True), *lids])


def lathe(
    profile: Sequence[tuple[float, float]], at: Point, material: Material, *, inside: bool = False, sides: int = 32
) -> Solid:
    """Return the body that a profile of (radius, height) points describes about a vertical axis through `at`.

    `inside` turns the surface inwards: the inner face of a lamp shade.
    """
    line = _rounded_off(_rounded_off(np.asarray(profile, float)))
    steps = np.diff(line, axis=0)
    slopes = np.stack([steps[:, 1], -steps[:, 0]], axis=1)
    slopes /= np.linalg.norm(slopes, axis=1, keepdims=True) + 1e-12
    angles = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    sign = -1.0 if inside else 1.0
    parts = []
    for (r0, z0), (r1, z1), (out, rise) in zip(line[:-1], line[1:], _smoothed(slopes), strict=True):
        ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1)
        lift = np.array([0.0, 0.0, 1.0])
        points = np.stack([ring * r0 + lift * z0, ring * r1 + lift * z1])
        normals = sign * np.stack([ring * out[k] + lift * rise[k] for k in (0, 1)])
        parts.append(_sheet(points, normals, material, closed=True))
    return _joined(parts).moved(*at)


def _rounded_off(line: Array) -> Array:
    """Cut the blunt corners of a profile, so that a vase looks turned and not folded; sharp corners stay."""
    steps = np.diff(line, axis=0)
    steps = steps / (np.linalg.norm(steps, axis=1, keepdims=True) + 1e-12)
    points = [line[0]]
    for i in range(1, len(line) - 1):
        if float(steps[i - 1] @ steps[i]) > 0.35:
            points += [0.75 * line[i] + 0.25 * line[i - 1], 0.75 * line[i] + 0.25 * line[i + 1]]
        else:
            points.append(line[i])
    return np.array([*points, line[-1]])


def _smoothed(slopes: Array) -> list[tuple[Array, Array]]:
    """Give each profile piece a slope at either end, shared with its neighbour unless the corner is sharp."""
    pieces = []
    for i, slope in enumerate(slopes):
        ends = []
        for other in (i - 1, i + 1):
            soft = 0 <= other < len(slopes) and float(slopes[other] @ slope) > 0.6
            mixed = slope + slopes[other] if soft else slope
            ends.append(mixed / np.linalg.norm(mixed))
        pieces.append((np.array([end[0] for end in ends]), np.array([end[1] for end in ends])))
    return pieces


def plate(outline: Sequence[tuple[float, float]], thickness: float, at: Point, material: Material) -> Solid:
    """Return a flat plate with an outline of (x, y) points; `at` is the outline's origin on the underside."""
    line = np.asarray(outline, float)
    count = len(line)
    steps = np.roll(line, -1, axis=0) - line
    facing = np.stack([steps[:, 1], -steps[:, 0]], axis=1)
    facing /= np.linalg.norm(facing, axis=1, keepdims=True) + 1e-12
    middle = line.mean(axis=0)
    if float(((line - middle) * facing).sum()) < 0:
        facing = -facing
    before = np.roll(facing, 1, axis=0)
    soft = np.einsum("ij,ij->i", facing, before) > 0.6
    start = np.where(soft[:, None], facing + before, facing)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    end = np.where(np.roll(soft, -1)[:, None], facing + np.roll(facing, -1, axis=0), facing)
    end /= np.linalg.norm(end, axis=1, keepdims=True)
    points, normals = np.zeros((count * 4, 3)), np.zeros((count * 4, 3))
    for k, (place, normal, z) in enumerate(
        [
            (line, start, 0.0),
            (np.roll(line, -1, axis=0), end, 0.0),
            (np.roll(line, -1, axis=0), end, thickness),
            (line, start, thickness),
        ]
    ):
        points[k::4, :2], points[k::4, 2], normals[k::4, :2] = place, z, normal
    first = np.arange(count)[:, None] * 4
    triangles = np.concatenate([first + np.array(corner) for corner in ((0, 1, 2), (0, 2, 3))])
    parts = [_make(points, normals, triangles, material)]
    fan = np.array([[count, i, (i + 1) % count] for i in range(count)])
    for z, way in ((0.0, -1.0), (thickness, 1.0)):
        lid = np.concatenate([np.vstack([line, middle]), np.full((count + 1, 1), z)], axis=1)
        parts.append(_make(lid, np.tile([0.0, 0.0, way], (count + 1, 1)), fan.copy(), material))
    return _joined(parts).moved(*at)


def rounded(width: float, depth: float, radius: float, steps: int = 6) -> list[tuple[float, float]]:
    """Return the outline of a rectangle about the origin with round corners."""
    radius = min(radius, width / 2 - 1e-4, depth / 2 - 1e-4)
    outline = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for angle in np.linspace(k * math.pi / 2, (k + 1) * math.pi / 2, steps):
            x = sx * (width / 2 - radius) + radius * math.cos(angle)
            outline.append((x, sy * (depth / 2 - radius) + radius * math.sin(angle)))
    return outline


def ellipse(width: float, depth: float, steps: int = 40) -> list[tuple[float, float]]:
    """Return the outline of an ellipse about the origin."""
    angles = np.linspace(0, 2 * math.pi, steps, endpoint=False)
    return [(width / 2 * math.cos(a), depth / 2 * math.sin(a)) for a in angles]
