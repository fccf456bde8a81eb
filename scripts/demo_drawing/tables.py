"""Tables: eleven styles from tulip to trestle."""

from __future__ import annotations

import math
from collections.abc import Callable

from .look import Look
from .materials import Material, glass, stone
from .solids import Solid, block, both_sides, ellipse, lathe, plate, rod, rounded, sweep


def _four(part: Solid) -> list[Solid]:
    """Return a leg at all four corners, given the one at the right in front."""
    back = part.turned("z", 180)
    return [part, part.mirrored(), back, back.mirrored()]


def _marble(look: Look) -> Material:
    colours = ((240, 238, 234), (86, 90, 98), (196, 212, 200), (226, 204, 192))
    return stone(colours[look.random.randint(len(colours))])


def _tulip(look: Look) -> list[Solid]:
    skin, radius, high = look.paint(), look.between(0.38, 0.62), look.between(0.68, 0.75)
    top = _marble(look) if look.chance(0.4) else look.frame()
    form = [
        (0, 0),
        (radius * 0.55, 0),
        (radius * 0.5, 0.02),
        (0.1, 0.09),
        (0.045, high * 0.5),
        (0.1, high * 0.92),
        (0.15, high),
    ]
    deep = 2 * radius * (1.0 if look.chance(0.6) else look.between(0.6, 0.8))
    return [lathe(form, (0, 0, 0), skin), plate(ellipse(2 * radius, deep), 0.03, (0, 0, high), top)]


def _trestle(look: Look) -> list[Solid]:
    timber, wide, deep, high = look.frame(), look.between(1.3, 1.9), look.between(0.66, 0.85), look.between(0.70, 0.75)
    top = timber if look.chance(0.5) else look.wood(2)
    x, spread = wide * look.between(0.30, 0.38), deep * 0.44
    parts = [block((wide, deep, 0.04), (0, 0, high), top)]
    for sign in (-1, 1):
        for lean in (-0.1, 0.1):
            parts.append(rod((sign * x + lean, -spread, 0), (sign * x, -spread * 0.55, high), 0.022, timber))
            parts.append(rod((sign * x + lean, spread, 0), (sign * x, spread * 0.55, high), 0.022, timber))
        parts.append(block((0.05, deep * 0.8, 0.05), (sign * x, 0, high - 0.05), timber))
        parts.append(block((0.035, deep * 0.62, 0.035), (sign * x, 0, high * 0.3), timber))
    return parts


def _coffee(look: Look) -> list[Solid]:
    timber, wide, deep, high = look.wood(), look.between(0.9, 1.25), look.between(0.5, 0.66), look.between(0.36, 0.44)
    top = timber if look.chance(0.6) else _marble(look)
    corner = look.between(0.02, 0.25)
    parts = [plate(rounded(wide, deep, corner), 0.035, (0, 0, high), top)]
    leg = rod((wide * 0.38, -deep * 0.34, high), (wide * 0.43, -deep * 0.42, 0), 0.024, timber, tip=0.014)
    parts += _four(leg)
    if look.chance(0.7):
        parts.append(plate(rounded(wide * 0.76, deep * 0.68, corner), 0.02, (0, 0, high * 0.42), look.wood(1)))
    return parts


def _desk(look: Look) -> list[Solid]:
    timber, wide, deep, high = look.frame(), look.between(1.1, 1.45), look.between(0.55, 0.66), look.between(0.70, 0.75)
    front, knob, count = (look.paint(1) if look.chance(0.6) else timber), look.metal(), look.random.randint(2, 5)
    chest, side = wide * look.between(0.26, 0.34), -1 if look.chance(0.5) else 1
    x = side * (wide / 2 - chest / 2)
    parts = [
        block((wide, deep, 0.035), (0, 0, high), timber),
        block((chest, deep * 0.94, high - 0.1), (x, 0, 0.1), timber),
    ]
    for k in range(count):
        tall = (high - 0.13) / count
        z = 0.115 + k * tall
        parts.append(block((chest - 0.04, 0.02, tall - 0.015), (x, -deep * 0.47, z), front, edge=0.004))
        parts.append(
            rod(
                (x - 0.05, -deep * 0.47 - 0.025, z + tall / 2),
                (x + 0.05, -deep * 0.47 - 0.025, z + tall / 2),
                0.008,
                knob,
            )
        )
    for y in (-deep * 0.42, deep * 0.42):
        parts.append(
            rod((-side * (wide / 2 - 0.06), y, high), (-side * (wide / 2 - 0.03), y, 0), 0.022, timber, tip=0.014)
        )
        for edge in (-1, 1):
            parts.append(
                rod((x + edge * chest * 0.4, y, 0.11), (x + edge * chest * 0.4, y, 0), 0.018, timber, tip=0.012)
            )
    return parts


def _glass(look: Look) -> list[Solid]:
    steel, wide, high = look.metal(), look.between(0.9, 1.5), look.between(0.42, 0.74)
    tint = ((196, 224, 222), (214, 214, 216), (222, 200, 176), (176, 204, 224))[look.random.randint(4)]
    deep = wide * look.between(0.5, 0.8)
    outline = rounded(wide, deep, look.between(0.02, 0.12)) if look.chance(0.6) else ellipse(wide, deep)
    parts = [plate(outline, 0.022, (0, 0, high), glass(tint))]
    if look.chance(0.5):
        frame = [(wide * 0.36, -deep * 0.32, high - 0.01), (wide * 0.36, -deep * 0.32, 0.012)]
        frame += [(wide * 0.36, deep * 0.32, 0.012), (wide * 0.36, deep * 0.32, high - 0.01)]
        parts += both_sides(sweep(frame, 0.015, steel))
        parts.append(rod((-wide * 0.36, 0, 0.012), (wide * 0.36, 0, 0.012), 0.013, steel))
    else:
        parts += [
            rod((-wide * 0.34, -deep * 0.3, 0), (wide * 0.34, deep * 0.3, high), 0.02, steel),
            rod((wide * 0.34, -deep * 0.3, 0), (-wide * 0.34, deep * 0.3, high), 0.02, steel),
            rod((-wide * 0.34, deep * 0.3, 0), (wide * 0.34, -deep * 0.3, high), 0.02, steel),
            rod((wide * 0.34, deep * 0.3, 0), (-wide * 0.34, -deep * 0.3, high), 0.02, steel),
        ]
    return parts


def _side(look: Look) -> list[Solid]:
    """Return a small round table: tray on a column, drum, or C-shaped."""
    radius, high, form = look.between(0.2, 0.27), look.between(0.45, 0.58), look.random.randint(3)
    steel, top = look.metal(), look.wood() if look.chance(0.5) else look.paint()
    if form == 0:
        parts = [lathe([(0, 0), (radius * 0.7, 0), (radius * 0.68, 0.02), (0.02, 0.03)], (0, 0, 0), steel)]
        parts.append(rod((0, 0, 0.02), (0, 0, high), 0.016, steel))
        return [
            *parts,
            lathe(
                [(0, 0), (radius, 0), (radius, 0.05), (radius - 0.012, 0.05), (radius - 0.015, 0.02), (0, 0.02)],
                (0, 0, high),
                top,
            ),
        ]
    if form == 1:
        waist = look.between(0.5, 1.1)
        body = [
            (0, 0),
            (radius, 0),
            (radius * (1 + waist) / 2, high / 3),
            (radius * (1 + waist) / 2, high * 2 / 3),
            (radius, high),
        ]
        return [
            lathe(body, (0, 0, 0), top),
            plate(ellipse(2.1 * radius, 2.1 * radius), 0.025, (0, 0, high), look.wood(1)),
        ]
    wide = radius * 2
    loop = [(-wide * 0.4, -wide * 0.42, high), (-wide * 0.4, -wide * 0.42, 0.012), (wide * 0.4, -wide * 0.42, 0.012)]
    frames = [sweep(loop, 0.012, steel), sweep([(x, -y, z) for x, y, z in loop], 0.012, steel)]
    bars = [rod((wide * 0.4, -wide * 0.42, 0.012), (wide * 0.4, wide * 0.42, 0.012), 0.012, steel)]
    return [*frames, *bars, block((wide * 1.1, wide * 0.95, 0.025), (0.03, 0, high), top)]


def _farmhouse(look: Look) -> list[Solid]:
    timber, wide, deep, high = look.wood(), look.between(1.4, 1.9), look.between(0.75, 0.95), look.between(0.70, 0.74)
    base = look.paint() if look.chance(0.6) else timber
    x, y = wide / 2 - 0.1, deep / 2 - 0.1
    turned = [
        (0.03, 0),
        (0.035, 0.04),
        (0.028, 0.10),
        (0.05, 0.24),
        (0.055, 0.34),
        (0.03, 0.44),
        (0.045, 0.47),
        (0.03, 0.5),
    ]
    stretch = (high - 0.16) / 0.5
    parts = []
    planks = look.random.randint(4, 7)
    for k in range(planks):
        parts.append(
            block(
                (wide, deep / planks - 0.009, 0.045), (0, deep * (-0.5 + (k + 0.5) / planks), high), timber, edge=0.004
            )
        )
    for sx, sy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        parts.append(lathe([(0, 0), *((r, z * stretch) for r, z in turned)], (sx * x, sy * y, 0), base))
        parts.append(block((0.09, 0.09, 0.17), (sx * x, sy * y, high - 0.17), base))
    parts += both_sides(block((0.03, 2 * y, 0.1), (x, 0, high - 0.11), base))
    return [
        *parts,
        block((2 * x, 0.03, 0.1), (0, -y, high - 0.11), base),
        block((2 * x, 0.03, 0.1), (0, y, high - 0.11), base),
    ]


def _hairpin(look: Look) -> list[Solid]:
    steel, wide, deep, high = look.metal(), look.between(0.8, 1.5), look.between(0.45, 0.75), look.between(0.4, 0.74)
    corner = deep / 2 if look.chance(0.35) else look.between(0.01, 0.1)
    parts = [plate(rounded(wide, deep, corner), 0.04, (0, 0, high), look.frame())]
    x, y = wide * 0.36, deep * 0.30
    parts += _four(rod((x - 0.05, -y, high), (x + 0.06, -y - 0.06, 0.01), 0.009, steel))
    parts += _four(rod((x + 0.05, -y + 0.06, high), (x + 0.06, -y - 0.06, 0.01), 0.009, steel))
    return parts


def _crossed(look: Look) -> list[Solid]:
    """Return a round marble top on crossed metal hoops."""
    steel, radius, high = look.metal(), look.between(0.4, 0.6), look.between(0.44, 0.74)
    parts = [
        lathe([(0, 0), (radius, 0), (radius + 0.01, 0.015), (radius, 0.035), (0, 0.035)], (0, 0, high), _marble(look))
    ]
    count, waist = look.random.randint(3, 9), look.between(0.15, 0.9)
    for k in range(count):
        angle = 2 * math.pi * k / count + 0.2
        c, s = math.cos(angle), math.sin(angle)
        path = []
        for step in range(9):
            share = step / 8
            r = radius * 0.72 * (waist + (1 - waist) * abs(2 * share - 1) ** 1.5)
            path.append((r * c, r * s, high * share))
        parts.append(sweep(path, 0.012, steel))
    hoop = [
        (radius * 0.72 * math.cos(a), radius * 0.72 * math.sin(a), 0.012)
        for a in [2 * math.pi * k / 30 for k in range(31)]
    ]
    return [*parts, sweep(hoop, 0.012, steel)]


def _console(look: Look) -> list[Solid]:
    timber, wide, deep, high = look.frame(), look.between(0.9, 1.2), look.between(0.32, 0.4), look.between(0.74, 0.84)
    front, knob, count = look.paint(2), look.metal(), look.random.randint(2, 4)
    parts = [
        block((wide, deep, 0.03), (0, 0, high), timber),
        block((wide - 0.04, deep - 0.03, 0.16), (0, 0, high - 0.16), timber),
    ]
    for k in range(count):
        x, part = (wide - 0.06) * (-0.5 + (k + 0.5) / count), (wide - 0.06) / count
        parts.append(block((part - 0.02, 0.018, 0.13), (x, -deep / 2 + 0.01, high - 0.145), front, edge=0.004))
        parts.append(rod((x, -deep / 2, high - 0.08), (x, -deep / 2 - 0.025, high - 0.08), 0.014, knob))
    parts += _four(
        rod(
            (wide / 2 - 0.05, -deep / 2 + 0.05, high - 0.1),
            (wide / 2 - 0.04, -deep / 2 + 0.04, 0),
            0.022,
            timber,
            tip=0.013,
        )
    )
    if look.chance(0.6):
        parts.append(block((wide - 0.1, deep - 0.06, 0.02), (0, 0, 0.16), timber))
    return parts


def _pedestal(look: Look) -> list[Solid]:
    """Return a dining table on a slatted or solid block."""
    timber, wide, deep, high = look.wood(), look.between(1.1, 1.7), look.between(0.75, 0.95), look.between(0.70, 0.75)
    outline = ellipse(wide, deep) if look.chance(0.6) else rounded(wide, deep, deep / 2)
    parts = [plate(outline, 0.045, (0, 0, high), look.wood(1) if look.chance(0.5) else timber)]
    count = look.random.randint(10, 16)
    if look.chance(0.6):
        for k in range(count):
            angle = 2 * math.pi * k / count
            x, y = wide * 0.26 * math.cos(angle), deep * 0.24 * math.sin(angle)
            parts.append(rod((x, y, 0.03), (x, y, high), 0.026, timber))
        return [*parts, plate(ellipse(wide * 0.62, deep * 0.6), 0.035, (0, 0, 0), timber)]
    block_wide = wide * look.between(0.4, 0.6)
    return [*parts, block((block_wide, deep * 0.42, high), (0, 0, 0), look.paint(), edge=0.06, steps=4)]


STYLES: tuple[Callable[[Look], list[Solid]], ...] = (
    _tulip,
    _trestle,
    _coffee,
    _desk,
    _glass,
    _side,
    _farmhouse,
    _hairpin,
    _crossed,
    _console,
    _pedestal,
)
