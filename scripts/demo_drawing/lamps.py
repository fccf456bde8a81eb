"""Lamps: standing, on a desk, hanging; eleven styles. Their shades shine a little."""

from __future__ import annotations

import math
from collections.abc import Callable

from .look import Look
from .materials import Colour, Material, mixed, paint, shade, stone
from .solids import Solid, ball, block, lathe, rod, sweep

_BULB: Colour = (255, 240, 206)


def _glowing(look: Look) -> Material:
    """Return the lit shade: cream or the product's own colour made lighter."""
    colour = look.colour()
    return shade(mixed(colour, (255, 244, 224), 0.25 if look.chance(0.7) else 0.8), 0.55)


def _drum(look: Look, top: float, low: float, high: float, at: tuple[float, float, float]) -> list[Solid]:
    """Return an open shade with radii `top` and `low` at its ends, its inside and its bulb."""
    cloth = _glowing(look)
    inner = shade((255, 240, 214), 0.9)
    rim = cloth if look.chance(0.6) else look.accent()
    parts = [
        lathe([(low, 0), (top, high)], at, cloth),
        lathe([(low * 0.98, 0), (top * 0.98, high)], at, inner, inside=True),
        ball((0.045, 0.045, 0.06), (at[0], at[1], at[2] + high * 0.45), shade(_BULB, 1.0)),
    ]
    if rim is not cloth:
        parts += [lathe([(low * 1.012, 0), (low * 1.012, 0.02)], at, rim)]
        parts += [lathe([(top * 1.015, high - 0.02), (top * 1.015, high)], at, rim)]
    return parts


def _foot(look: Look, radius: float, material: Material) -> list[Solid]:
    """Return a round or square foot."""
    if look.chance(0.75):
        return [lathe([(0, 0), (radius, 0), (radius, 0.02), (radius * 0.9, 0.032), (0, 0.036)], (0, 0, 0), material)]
    return [block((radius * 1.7, radius * 1.7, 0.03), (0, 0, 0), material)]


def _standing(look: Look) -> list[Solid]:
    steel, high = look.metal(), look.between(1.3, 1.6)
    low = look.between(0.2, 0.3)
    parts = _foot(look, look.between(0.14, 0.19), steel)
    parts.append(rod((0, 0, 0.02), (0, 0, high), 0.013, steel))
    return parts + _drum(look, low * look.between(0.55, 1.0), low, look.between(0.22, 0.36), (0, 0, high - 0.12))


def _tripod(look: Look) -> list[Solid]:
    timber, high, spread = look.frame(), look.between(1.0, 1.25), look.between(0.28, 0.4)
    parts = []
    for k in range(3):
        angle = 2 * math.pi * k / 3 - 0.9
        foot = (spread * math.cos(angle), spread * math.sin(angle), 0)
        parts.append(rod(foot, (-0.05 * math.cos(angle), -0.05 * math.sin(angle), high), 0.02, timber, tip=0.014))
    parts.append(lathe([(0, 0), (0.05, 0), (0.05, 0.05), (0, 0.05)], (0, 0, high - 0.06), look.metal()))
    low = look.between(0.24, 0.34)
    return parts + _drum(look, low * look.between(0.7, 1.0), low, look.between(0.26, 0.38), (0, 0, high))


def _arc(look: Look) -> list[Solid]:
    steel, high, reach = look.metal(), look.between(1.5, 1.75), look.between(0.8, 1.05)
    base = stone((236, 232, 226)) if look.chance(0.6) else stone((70, 72, 78))
    path = [(-reach / 2, 0.0, 0.05), (-reach / 2, 0.0, high * 0.45)]
    for k in range(17):
        angle = math.pi * (1 - k / 16 * 0.88)
        path.append((reach * 0.5 * math.cos(angle), 0.0, high * 0.45 + high * 0.55 * math.sin(angle)))
    parts = [block((0.26, 0.26, 0.07), (-reach / 2, 0, 0), base), sweep(path, 0.014, steel)]
    tip = path[-1]
    size = look.between(0.17, 0.24)
    dome = [(size, 0.0), (size * 0.96, size * 0.35), (size * 0.7, size * 0.75), (0.03, size * 0.98)]
    cover = look.metal() if look.chance(0.5) else look.paint()
    at = (tip[0], 0.0, tip[2] - size)
    parts.append(lathe(dome, at, cover))
    parts.append(lathe([(0, 0.02), (size * 0.97, 0.0)], at, shade((255, 238, 206), 1.0), inside=True))
    return [*parts, ball((size * 0.45, size * 0.45, size * 0.35), (at[0], 0, at[2] + 0.03), shade(_BULB, 1.0))]


def _desk(look: Look) -> list[Solid]:
    skin, steel = look.paint(), look.metal()
    lower, upper, lean = look.between(0.3, 0.4), look.between(0.26, 0.36), look.between(14, 30)
    parts = _foot(look, look.between(0.085, 0.11), skin)
    knee = (lower * math.sin(math.radians(lean)), 0.0, lower * math.cos(math.radians(lean)) + 0.03)
    head = (knee[0] - upper * 0.86, 0.0, knee[2] + upper * 0.5)
    for y in (-0.012, 0.012):
        parts.append(rod((0, y, 0.03), (knee[0], y, knee[2]), 0.007, steel))
        parts.append(rod((knee[0], y, knee[2]), (head[0], y, head[2]), 0.007, steel))
    parts += [ball((0.022, 0.026, 0.022), knee, skin), ball((0.018, 0.022, 0.018), head, skin)]
    size = look.between(0.075, 0.1)
    bell = [(size, 0), (size * 0.92, size * 0.4), (size * 0.5, size * 0.95), (size * 0.32, size * 1.5), (0, size * 1.6)]
    hood = [
        lathe(bell, (0, 0, 0), skin),
        lathe([(0, 0.01), (size * 0.96, 0)], (0, 0, 0), shade((255, 238, 206), 1.0), inside=True),
        ball((size * 0.42, size * 0.42, size * 0.36), (0, 0, 0.0), shade(_BULB, 1.0)),
    ]
    tilt = look.between(10, 32)
    return parts + [part.turned("y", tilt).moved(head[0] - 0.02, 0, head[2] - size * 1.3) for part in hood]


def _vase(look: Look) -> list[Solid]:
    high, wide = look.between(0.22, 0.34), look.between(0.08, 0.13)
    forms = (
        [(0.6, 0), (0.95, 0.18), (1.0, 0.42), (0.75, 0.72), (0.3, 0.92), (0.24, 1.0), (0, 1.0)],
        [(0.85, 0), (1.0, 0.08), (0.8, 0.35), (0.42, 0.7), (0.25, 1.0), (0, 1.0)],
        [(0.4, 0), (0.5, 0.1), (0.9, 0.5), (1.0, 0.72), (0.7, 0.92), (0.25, 1.0), (0, 1.0)],
        [(0.55, 0), (0.7, 0.1), (0.4, 0.22), (0.95, 0.5), (0.4, 0.78), (0.6, 0.9), (0.2, 1.0), (0, 1.0)],
        [(0.8, 0), (0.8, 0.95), (0.6, 1.0), (0, 1.0)],
    )
    form = forms[int(look.random.randint(len(forms)))]
    body = Material("plain", look.colour(1), gloss=0.6) if look.chance(0.7) else stone(look.colour(1))
    parts = [lathe([(0, 0), *((r * wide, z * high) for r, z in form)], (0, 0, 0.015), body)]
    parts += [*_foot(look, wide * 0.8, look.metal()), rod((0, 0, high), (0, 0, high + 0.1), 0.01, look.metal())]
    low = look.between(0.16, 0.22)
    return parts + _drum(look, low * look.between(0.45, 0.95), low, look.between(0.17, 0.25), (0, 0, high + 0.05))


def _pendant(look: Look) -> list[Solid]:
    skin = look.metal() if look.chance(0.4) else look.paint()
    size, drop = look.between(0.2, 0.3), 1.1
    forms = (
        [(1.0, 0), (0.97, 0.25), (0.8, 0.55), (0.45, 0.8), (0.14, 0.92), (0.1, 1.08), (0, 1.1)],
        [(1.0, 0), (0.2, 0.8), (0.14, 1.05), (0, 1.1)],
        [(0.7, 0), (0.72, 0.7), (0.5, 0.86), (0.14, 0.95), (0.1, 1.1), (0, 1.12)],
        [(1.1, 0), (1.05, 0.1), (0.5, 0.3), (0.3, 0.62), (0.12, 0.72), (0.1, 0.9), (0, 0.9)],
    )
    form = forms[int(look.random.randint(len(forms)))]
    parts = [lathe([(r * size, z * size) for r, z in form], (0, 0, drop), skin)]
    parts.append(
        lathe([(0, 0.012), (form[0][0] * size * 0.97, 0)], (0, 0, drop), shade((255, 238, 206), 1.0), inside=True)
    )
    parts.append(ball((size * 0.3, size * 0.3, size * 0.3), (0, 0, drop), shade(_BULB, 1.0)))
    return [
        *parts,
        rod((0, 0, drop + size * 0.85), (0, 0, drop + size + look.between(0.35, 0.6)), 0.006, paint("black")),
    ]


def _mushroom(look: Look) -> list[Solid]:
    size, high = look.between(0.14, 0.19), look.between(0.2, 0.3)
    colour = mixed(look.colour(), (255, 246, 232), 0.12)
    stem = Material("plain", colour, gloss=0.5)
    cap = Material("plain", colour, gloss=0.45, glow=0.45)
    flare = [(0, 0), (size * 0.72, 0), (size * 0.6, 0.03), (size * 0.3, high * 0.5), (size * 0.34, high)]
    dome = [
        (size * 0.5, -0.02),
        (size, 0.0),
        (size * 0.98, size * 0.3),
        (size * 0.78, size * 0.66),
        (size * 0.4, size * 0.88),
    ]
    parts = [lathe(flare, (0, 0, 0), stem), lathe([*dome, (0, size * 0.94)], (0, 0, high), cap)]
    if look.chance(0.5):
        parts.append(ball((0.02, 0.02, 0.02), (0, 0, high + size * 0.97), look.metal()))
    return parts


def _globes(look: Look) -> list[Solid]:
    steel, high, count = look.metal(), look.between(1.25, 1.55), look.random.randint(1, 5)
    milk = shade((255, 246, 226), 0.85)
    parts = [*_foot(look, look.between(0.13, 0.18), steel), rod((0, 0, 0.02), (0, 0, high), 0.012, steel)]
    size = look.between(0.10, 0.14) if count > 1 else look.between(0.16, 0.22)
    parts.append(ball((size, size, size), (0, 0, high + size * 0.9), milk))
    for k in range(count - 1):
        angle = 2.1 * k + 0.4
        reach, z = 0.24, high - 0.16 - 0.2 * k
        x, y = reach * math.cos(angle), reach * math.sin(angle)
        parts.append(sweep([(0, 0, z - 0.1), (x * 0.8, y * 0.8, z - 0.1), (x, y, z)], 0.009, steel))
        parts.append(ball((size * 0.9, size * 0.9, size * 0.9), (x, y, z + size * 0.8), milk))
    return parts


def _lantern(look: Look) -> list[Solid]:
    """Return a hanging paper lantern with ribs."""
    wide, flat, drop = look.between(0.22, 0.3), look.between(0.6, 1.15), 1.0
    paper, rib = _glowing(look), shade(mixed(look.colour(), (120, 90, 60), 0.35), 0.15)
    high = wide * flat
    parts = []
    count = 10
    for k in range(count):
        low, top = -math.pi / 2 + math.pi * k / count, -math.pi / 2 + math.pi * (k + 1) / count
        z0, z1 = drop + high * math.sin(low), drop + high * math.sin(top)
        r0, r1 = max(0.05, wide * math.cos(low)), max(0.05, wide * math.cos(top))
        bulge = [(r0, z0), ((r0 + r1) / 2 * 1.03, (z0 + z1) / 2), (r1, z1)]
        parts.append(lathe(bulge, (0, 0, 0), paper))
        if k:
            parts.append(lathe([(r0 * 1.012, z0 - 0.004), (r0 * 1.012, z0 + 0.004)], (0, 0, 0), rib))
    parts.append(
        lathe([(0, drop + high * 1.0), (0.055, drop + high), (0.055, drop + high + 0.02)], (0, 0, 0), paint("black"))
    )
    return [*parts, rod((0, 0, drop + high), (0, 0, drop + high + look.between(0.35, 0.55)), 0.006, paint("black"))]


def _candlestick(look: Look) -> list[Solid]:
    """Return a turned wooden table lamp with a wide cone shade."""
    timber, high = look.frame(), look.between(0.3, 0.42)
    beads = look.random.randint(2, 5)
    parts = _foot(look, look.between(0.08, 0.11), timber)
    parts.append(rod((0, 0, 0.02), (0, 0, high + 0.05), 0.014, timber))
    for k in range(beads):
        radius = 0.05 - 0.006 * k
        parts.append(
            ball(
                (radius, radius, radius * look.between(0.5, 0.95)),
                (0, 0, 0.06 + (high - 0.1) * k / beads + 0.02),
                timber,
            )
        )
    low = look.between(0.17, 0.24)
    return parts + _drum(look, low * look.between(0.3, 0.5), low, look.between(0.15, 0.22), (0, 0, high))


def _chandelier(look: Look) -> list[Solid]:
    """Return a hanging ring or star with bulbs."""
    steel, wide, drop, count = look.metal(), look.between(0.3, 0.4), 1.0, look.random.randint(5, 9)
    ring = look.chance(0.5)
    parts = [rod((0, 0, drop + (0.29 if ring else 0.02)), (0, 0, drop + 0.62), 0.01, steel)]
    if ring:
        path = [(wide * math.cos(a), wide * math.sin(a), drop) for a in [2 * math.pi * k / 36 for k in range(37)]]
        parts.append(sweep(path, 0.014, steel))
    for k in range(count):
        angle = 2 * math.pi * k / count + 0.2
        x, y = wide * math.cos(angle), wide * math.sin(angle)
        arm = (
            [(0, 0, drop + 0.3), (x, y, drop)]
            if ring
            else [(0, 0, drop + 0.06), (x * 0.6, y * 0.6, drop - 0.05), (x, y, drop)]
        )
        parts.append(sweep(arm, 0.005 if ring else 0.009, steel))
        parts.append(lathe([(0, 0), (0.022, 0), (0.022, 0.07), (0, 0.07)], (x, y, drop), steel))
        parts.append(ball((0.045, 0.045, 0.055), (x, y, drop + 0.11), shade(_BULB, 1.0)))
    return parts


STYLES: tuple[Callable[[Look], list[Solid]], ...] = (
    _standing,
    _tripod,
    _arc,
    _desk,
    _vase,
    _pendant,
    _mushroom,
    _globes,
    _lantern,
    _candlestick,
    _chandelier,
)
