"""Sofas: eleven styles from love seat to sectional."""

from __future__ import annotations

import math
from collections.abc import Callable

from .look import Look
from .materials import Material, mixed
from .solids import Solid, ball, block, both_sides, cushion, rod


def _legs(look: Look, wide: float, deep: float, high: float) -> list[Solid]:
    """Return four short legs."""
    timber = look.wood() if look.chance(0.6) else look.metal()
    slant = look.between(0.0, 0.04)
    parts = []
    for y, way in ((-deep / 2, -1), (deep / 2, 1)):
        parts += both_sides(
            rod((wide / 2, y, high + 0.02), (wide / 2 + slant, y + way * slant, 0), 0.028, timber, tip=0.018)
        )
    return parts


def _pillows(look: Look, wide: float, seat: float, y: float, most: int = 3) -> list[Solid]:
    """Return throw pillows leaning at the ends of the back rest."""
    parts = []
    for k in range(look.random.randint(0, most + 1)):
        size = look.between(0.36, 0.46)
        x = (wide / 2 - size * 0.6) * (-1 if k % 2 else 1) * (1.0 if k < 2 else 0.55)
        pillow = cushion((size, 0.15, size * 0.92), (x, y, seat), look.accent(1 + k), puff=0.5)
        parts.append(pillow.turned("x", -20, (x, y, seat)).turned("z", look.between(-12, 12), (x, y, seat)))
    return parts


def _seats(
    count: int, wide: float, seat: float, cloth: Material, deep: float = 0.62, back: float = 0.4, puff: float = 0.28
) -> list[Solid]:
    """Return seat and back cushions in a row."""
    parts = []
    for k in range(count):
        x = wide * (-0.5 + (k + 0.5) / count)
        parts.append(cushion((wide / count * 0.995, deep, 0.17), (x, -0.06, seat - 0.17), cloth, puff=puff))
        if back > 0:
            rest = cushion((wide / count * 0.98, 0.19, back), (x, 0.2, seat - 0.02), cloth, puff=puff + 0.06)
            parts.append(rest.turned("x", -11, (x, 0.2, seat)))
    return parts


def _track(look: Look) -> list[Solid]:
    cloth, wide, arm = look.cloth(), look.between(1.55, 2.3), look.between(0.10, 0.2)
    rise, back, lift = look.between(0.52, 0.64), look.between(0.72, 0.86), look.between(0.08, 0.17)
    count = 2 if wide < 1.85 else look.random.randint(2, 4)
    parts = [block((wide - 0.04, 0.8, 0.2), (0, 0, lift), cloth, edge=0.03, steps=3)]
    parts += both_sides(block((arm, 0.86, rise - lift), (wide / 2 - arm / 2, 0, lift), cloth, edge=0.035, steps=3))
    parts.append(block((wide - 0.02, 0.18, back - lift), (0, 0.34, lift), cloth, edge=0.04, steps=3))
    inner = wide - 2 * arm
    parts += _seats(count, inner, lift + 0.35, cloth, back=look.between(0.36, 0.46))
    return parts + _legs(look, wide - 0.14, 0.66, lift) + _pillows(look, inner, lift + 0.35, 0.05)


def _midcentury(look: Look) -> list[Solid]:
    cloth, timber, wide = look.cloth(), look.wood(), look.between(1.5, 2.1)
    count = look.random.randint(2, 4)
    parts = [
        block((wide, 0.72, 0.05), (0, 0, 0.24), timber),
        *_seats(count, wide - 0.12, 0.44, cloth, puff=0.2, back=0.38),
    ]
    parts += both_sides(
        block((0.05, 0.74, 0.04), (wide / 2, 0, 0.56), timber),
        rod((wide / 2, -0.3, 0.56), (wide / 2 + 0.02, -0.34, 0), 0.024, timber, tip=0.016),
        rod((wide / 2, 0.3, 0.56), (wide / 2 + 0.02, 0.36, 0), 0.024, timber, tip=0.016),
    )
    slats = look.random.randint(7, 15)
    for k in range(slats):
        x = wide * (-0.5 + (k + 0.5) / slats)
        parts.append(rod((x, 0.31, 0.27), (x, 0.40, 0.80), 0.012, timber))
    parts.append(rod((-wide / 2, 0.40, 0.80), (wide / 2, 0.40, 0.80), 0.022, timber))
    return parts + _pillows(look, wide - 0.12, 0.44, 0.05)


def _chesterfield(look: Look) -> list[Solid]:
    kinds = ("leather", "leather", "velvet")
    cloth, wide, rise = look.cloth(patterned=0.0, kinds=kinds), look.between(1.6, 2.2), look.between(0.64, 0.74)
    arm, count = look.between(0.2, 0.25), look.random.randint(2, 4)
    parts = [block((wide - 0.08, 0.78, 0.22), (0, 0, 0.1), cloth, edge=0.04, steps=3)]
    roll = look.between(0.085, 0.11)
    parts += both_sides(
        block((arm * 0.7, 0.84, rise - 0.18), (wide / 2 - arm * 0.45, 0, 0.1), cloth, edge=0.04, steps=3),
        rod((wide / 2 - arm * 0.35, -0.44, rise - roll), (wide / 2 - arm * 0.35, 0.40, rise - roll), roll, cloth),
        ball((roll * 0.45, 0.02, roll * 0.45), (wide / 2 - arm * 0.35, -0.44, rise - roll), look.metal()),
    )
    parts.append(block((wide - 0.2, 0.15, rise - 0.2), (0, 0.34, 0.12), cloth, edge=0.04, steps=3))
    parts.append(rod((-wide / 2 + 0.1, 0.38, rise - roll), (wide / 2 - 0.1, 0.38, rise - roll), roll, cloth))
    inner = wide - 2 * arm
    parts += _seats(count, inner + 0.06, 0.46, cloth, back=0, deep=0.66)
    button = Material("plain", mixed(cloth.colour, (0, 0, 0), 0.38))
    columns = round(inner / 0.17)
    for row in range(2):
        for k in range(columns - row):
            x = inner * (-0.5 + (k + 0.5 + 0.5 * row) / columns)
            parts.append(ball((0.017, 0.012, 0.017), (x, 0.262, 0.54 + 0.085 * row), button))
    return parts + _legs(look, wide - 0.2, 0.62, 0.1)


def _sectional(look: Look) -> list[Solid]:
    cloth, wide, side = look.cloth(patterned=0.1), look.between(2.1, 2.7), -1 if look.chance(0.5) else 1
    arm, back, lift = look.between(0.14, 0.22), look.between(0.66, 0.8), look.between(0.05, 0.1)
    long = look.between(0.55, 0.8)
    parts = [block((wide, 0.86, 0.22), (0, 0, lift), cloth, edge=0.03, steps=3)]
    parts.append(block((wide, 0.2, back - lift), (0, 0.36, lift), cloth, edge=0.04, steps=3))
    parts.append(
        block((arm, 0.9, back - lift - 0.1), (side * (wide / 2 - arm / 2), 0, lift), cloth, edge=0.04, steps=3)
    )
    part = wide * 0.36
    x = -side * (wide / 2 - part / 2)
    parts.append(block((part, long + 0.1, 0.22), (x, -0.43 - long / 2, lift), cloth, edge=0.03, steps=3))
    parts.append(cushion((part * 0.98, long + 0.72, 0.17), (x, -0.06 - long / 2, lift + 0.2), cloth, puff=0.2))
    rest = wide - part - arm
    middle = side * (wide / 2 - arm - rest / 2)
    count = look.random.randint(1, 3)
    parts += [piece.moved(x=middle) for piece in _seats(count, rest, lift + 0.37, cloth)]
    parts.append(
        cushion((part * 0.94, 0.2, 0.4), (x, 0.2, lift + 0.35), cloth, puff=0.34).turned("x", -11, (x, 0.2, 0.4))
    )
    parts.append(
        block((arm, 0.9, back - lift - 0.1), (-side * (wide / 2 - arm / 2), 0.02, lift), cloth, edge=0.04, steps=3)
    )
    return parts + _legs(look, wide - 0.2, 0.66, lift) + _pillows(look, wide - 2 * arm, lift + 0.37, 0.03, 4)


def _loveseat(look: Look) -> list[Solid]:
    """Return a small sofa with a curved back of upright channels."""
    cloth, wide, rise = look.cloth(patterned=0.1), look.between(1.25, 1.6), look.between(0.7, 0.84)
    deep = look.between(0.7, 0.8)
    parts = [block((wide * 0.92, deep * 0.86, 0.24), (0, -0.02, 0.14), cloth, edge=0.1, steps=4)]
    parts.append(cushion((wide * 0.86, deep * 0.84, 0.17), (0, -0.06, 0.34), cloth, puff=0.4))
    count = look.random.randint(11, 18)
    for k in range(count):
        angle = math.radians(-14 + 208 * k / (count - 1))
        x, y = wide * 0.5 * math.cos(angle), deep * 0.44 * math.sin(angle)
        low = 0.16 * (1 - max(0.0, math.sin(angle))) ** 2
        stave = cushion((wide * 2.0 / count, 0.15, rise - low - 0.14), (0, 0, 0.14), cloth, puff=0.42)
        turn = math.degrees(math.atan2(y * wide, x * deep)) - 90
        parts.append(stave.turned("z", turn).moved(x=x, y=y))
    return parts + _legs(look, wide * 0.66, deep * 0.5, 0.15) + _pillows(look, wide * 0.7, 0.5, 0.06, 2)


def _futon(look: Look) -> list[Solid]:
    timber, cloth, wide = look.frame(), look.cloth(patterned=0.5, kinds=("weave",)), look.between(1.7, 2.1)
    parts = [cushion((wide - 0.14, 0.74, 0.16), (0, -0.08, 0.3), cloth, puff=0.2)]
    parts.append(cushion((wide - 0.14, 0.16, 0.56), (0, 0.28, 0.36), cloth, puff=0.2).turned("x", -18, (0, 0.28, 0.36)))
    count = look.random.randint(9, 15)
    for k in range(count):
        x = (wide - 0.1) * (-0.5 + (k + 0.5) / count)
        parts.append(block((0.05, 0.8, 0.025), (x, -0.06, 0.27), timber, edge=0.004))
    arms = look.random.randint(3, 6)
    for sx in (-1, 1):
        parts.append(block((0.07, 0.86, 0.05), (sx * wide / 2, 0, 0.56), timber))
        for y in (-0.38, 0.38):
            parts.append(block((0.06, 0.06, 0.57), (sx * wide / 2, y, 0), timber))
        parts.append(block((0.04, 0.76, 0.06), (sx * wide / 2, 0, 0.22), timber))
        for k in range(arms):
            parts.append(
                block((0.022, 0.05, 0.32), (sx * wide / 2, -0.3 + 0.6 * (k + 0.5) / arms, 0.26), timber, edge=0.004)
            )
    parts.append(block((wide, 0.04, 0.08), (0, -0.44, 0.22), timber))
    return parts + _pillows(look, wide - 0.2, 0.46, 0.04)


def _camelback(look: Look) -> list[Solid]:
    cloth, wide = look.cloth(patterned=0.35, kinds=("weave", "velvet")), look.between(1.6, 2.1)
    hump, arm, count = look.between(0.1, 0.18), 0.16, look.random.randint(2, 4)
    parts = [block((wide - 0.06, 0.72, 0.2), (0, 0, 0.18), cloth, edge=0.03, steps=3)]
    pieces = 12
    for k in range(pieces):
        share = -1 + 2 * (k + 0.5) / pieces
        rise = 0.74 + hump * math.cos(share * math.pi)
        x = (wide - 0.1) / 2 * share
        slab = cushion(((wide - 0.1) / pieces * 1.35, 0.17, rise - 0.2), (x, 0.3, 0.2), cloth, puff=0.25)
        parts.append(slab.turned("x", -8, (0, 0.3, 0.3)))
    parts += both_sides(
        block((0.09, 0.66, 0.32), (wide / 2 - 0.08, 0, 0.2), cloth, edge=0.03, steps=3),
        rod((wide / 2 - 0.05, -0.36, 0.56), (wide / 2 - 0.05, 0.3, 0.6), 0.075, cloth),
    )
    parts += _seats(count, wide - 2 * arm + 0.04, 0.48, cloth, back=0, deep=0.6)
    return parts + _legs(look, wide - 0.16, 0.56, 0.19) + _pillows(look, wide - 0.4, 0.48, 0.08)


def _modular(look: Look) -> list[Solid]:
    cloth, count, each = look.cloth(patterned=0.1), look.random.randint(2, 5), look.between(0.68, 0.8)
    wide, back, open_end = count * each, look.between(0.58, 0.7), look.chance(0.4)
    parts = []
    for k in range(count):
        x = wide * (-0.5 + (k + 0.5) / count)
        parts.append(block((each * 0.985, 0.86, 0.3), (x, 0, 0.03), cloth, edge=0.07, steps=4))
        parts.append(cushion((each * 0.98, 0.3, back - 0.22), (x, 0.26, 0.28), cloth, puff=0.42))
        parts.append(block((each * 0.96, 0.62, 0.13), (x, -0.1, 0.3), cloth, edge=0.06, steps=4))
    side = cushion((0.3, 0.86, back - 0.24), (wide / 2 - 0.13, 0, 0.28), cloth, puff=0.42)
    parts += [side] if open_end else both_sides(side)
    if look.chance(0.5):
        parts.append(
            block((each * 0.8, each * 0.7, 0.4), (wide / 2 - each * 0.5, -0.9, 0.02), look.accent(), edge=0.07, steps=4)
        )
    return parts + _pillows(look, wide - 0.5, 0.43, 0.0, 4)


def _bench(look: Look) -> list[Solid]:
    """Return a slim settee on metal legs with bolsters and a button back."""
    cloth, steel, wide = look.cloth(), look.metal(), look.between(1.4, 1.9)
    back, seat = look.between(0.3, 0.42), look.between(0.40, 0.46)
    parts = [block((wide, 0.66, 0.13), (0, -0.02, seat - 0.13), cloth, edge=0.03, steps=3)]
    rest = block((wide, 0.12, back), (0, 0.27, seat), cloth, edge=0.03, steps=3)
    parts.append(rest.turned("x", -10, (0, 0.27, seat)))
    frame = block((0.035, 0.62, 0.03), (wide * 0.42, 0, seat - 0.17), steel)
    leg = rod((wide * 0.42, -0.28, seat - 0.15), (wide * 0.42, -0.3, 0), 0.014, steel)
    parts += both_sides(frame, leg, rod((wide * 0.42, 0.28, seat - 0.15), (wide * 0.42, 0.3, 0), 0.014, steel))
    columns = look.random.randint(4, 9)
    button = Material("plain", mixed(cloth.colour, (0, 0, 0), 0.4))
    for row in range(3):
        for k in range(columns):
            x, y = wide * (-0.5 + (k + 0.5) / columns), -0.28 + 0.2 * row
            parts.append(ball((0.016, 0.016, 0.008), (x, y, seat + 0.002), button))
    parts += both_sides(
        rod((wide / 2 - 0.1, -0.26, seat + 0.09), (wide / 2 - 0.1, 0.2, seat + 0.09), 0.09, look.accent())
    )
    return parts


def _chaise(look: Look) -> list[Solid]:
    """Return a sofa with one raised, rolled end and a back that runs half its length."""
    cloth, wide, side = look.cloth(patterned=0.3), look.between(1.6, 1.95), -1 if look.chance(0.5) else 1
    parts = [block((wide, 0.7, 0.16), (0, 0, 0.2), look.frame(), edge=0.02)]
    parts.append(cushion((wide - 0.04, 0.68, 0.2), (0, 0, 0.32), cloth, puff=0.25))
    head = cushion((0.2, 0.66, 0.5), (side * (wide / 2 - 0.1), 0, 0.36), cloth, puff=0.35)
    parts.append(head.turned("y", side * 14, (side * wide / 2, 0, 0.4)))
    parts.append(
        rod((side * wide / 2 + side * 0.04, -0.33, 0.84), (side * wide / 2 + side * 0.04, 0.33, 0.84), 0.09, cloth)
    )
    steps = 10
    for k in range(steps):
        share = k / (steps - 1)
        x = side * (wide / 2 - 0.12 - share * wide * 0.72)
        tall = 0.52 * (1 - 0.75 * share**1.6)
        parts.append(cushion((wide * 0.13, 0.14, tall), (x, 0.28, 0.38), cloth, puff=0.35))
    parts.append(rod((side * (wide / 2 - 0.22), -0.32, 0.6), (side * (wide / 2 - 0.22), 0.2, 0.6), 0.09, look.accent()))
    return parts + _legs(look, wide - 0.16, 0.54, 0.2)


def _tuxedo(look: Look) -> list[Solid]:
    """Return a sofa whose arms are as high as its back, on a metal plinth."""
    cloth, wide, rise = look.cloth(patterned=0.15), look.between(1.5, 2.2), look.between(0.64, 0.76)
    arm, count = look.between(0.08, 0.13), look.random.randint(1, 4)
    parts = [block((wide - 0.1, 0.7, 0.07), (0, 0, 0), look.metal())]
    parts.append(block((wide - 0.02, 0.8, 0.2), (0, 0, 0.07), cloth, edge=0.02))
    parts += both_sides(block((arm, 0.84, rise - 0.07), (wide / 2 - arm / 2, 0, 0.07), cloth, edge=0.025, steps=3))
    parts.append(block((wide, 0.13, rise - 0.07), (0, 0.36, 0.07), cloth, edge=0.025, steps=3))
    inner = wide - 2 * arm
    parts += _seats(count, inner, 0.42, cloth, deep=0.7, back=0, puff=0.18)
    columns = count * look.random.randint(2, 5)
    for k in range(columns):
        x = inner * (-0.5 + (k + 0.5) / columns)
        parts.append(cushion((inner / columns, 0.13, rise - 0.44), (x, 0.26, 0.4), cloth, puff=0.35))
    return parts + _pillows(look, inner, 0.42, 0.02)


STYLES: tuple[Callable[[Look], list[Solid]], ...] = (
    _track,
    _midcentury,
    _chesterfield,
    _sectional,
    _loveseat,
    _futon,
    _camelback,
    _modular,
    _bench,
    _chaise,
    _tuxedo,
)
