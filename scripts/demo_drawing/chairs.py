"""Chairs: twelve styles from Windsor to rocking chair."""

from __future__ import annotations

import math
from collections.abc import Callable

from .look import Look
from .materials import Material, cane
from .solids import Solid, block, both_sides, cushion, lathe, plate, rod, rounded, sweep


def _splayed_legs(wide: float, deep: float, high: float, splay: float, thick: float, material: Material) -> list[Solid]:
    """Return four round legs that stand apart at the foot."""
    legs = []
    for y, way in ((-deep / 2, -1), (deep / 2, 1)):
        leg = rod((wide / 2, y, high), (wide / 2 + splay, y + way * splay, 0), thick, material, tip=thick * 0.6)
        legs += both_sides(leg)
    return legs


def _windsor(look: Look) -> list[Solid]:
    timber, wide, high = look.frame(), look.between(0.42, 0.52), look.between(0.44, 0.47)
    back, count = look.between(0.42, 0.62), look.random.randint(5, 9)
    parts = [plate(rounded(wide, wide, 0.16), 0.045, (0, 0, high - 0.045), timber)]
    parts += _splayed_legs(wide * 0.72, wide * 0.7, high - 0.03, 0.06, 0.022, timber)
    parts.append(rod((-wide * 0.4, 0, high * 0.42), (wide * 0.4, 0, high * 0.42), 0.013, timber))
    bow = []
    for step in range(17):
        angle = math.pi * step / 16
        lift = math.sin(angle) ** 0.7
        bow.append((wide * 0.46 * math.cos(angle), wide * 0.40 + 0.12 * lift, high + back * lift))
    parts.append(sweep(bow, 0.016, timber))
    for k in range(count):
        share = -1 + 2 * (k + 0.5) / count
        lift = math.sqrt(max(0.05, 1 - (share * 0.95) ** 2)) ** 0.7
        top = (wide * 0.43 * share, wide * 0.40 + 0.12 * lift, high + back * lift * 0.99)
        parts.append(rod((wide * 0.34 * share, wide * 0.40, high), top, 0.009, timber))
    if look.chance(0.4):
        parts.append(cushion((wide * 0.8, wide * 0.8, 0.06), (0, -0.01, high - 0.005), look.cloth(), puff=0.4))
    return parts


def _office(look: Look) -> list[Solid]:
    steel, cloth = look.metal(), look.cloth(patterned=0.1, kinds=("weave", "leather"))
    high, wide, back = look.between(0.44, 0.52), look.between(0.46, 0.54), look.between(0.42, 0.72)
    parts = []
    for k in range(5):
        angle = 2 * math.pi * k / 5 + 0.3
        x, y = 0.31 * math.cos(angle), 0.31 * math.sin(angle)
        parts.append(rod((0, 0, 0.11), (x, y, 0.075), 0.024, steel, tip=0.016))
        parts.append(cushion((0.055, 0.055, 0.06), (x, y, 0), look.metal(2), puff=0.9))
    parts.append(rod((0, 0, 0.08), (0, 0, high - 0.06), 0.026, steel))
    parts.append(block((wide * 0.5, 0.26, 0.04), (0, 0, high - 0.09), steel))
    parts.append(cushion((wide, 0.48, 0.10), (0, 0, high - 0.05), cloth, puff=0.35))
    parts.append(rod((0, 0.2, high - 0.05), (0, 0.30, high + 0.25), 0.02, steel))
    rest = cushion((wide * 0.92, 0.09, back), (0, 0.26, high + 0.12), cloth, puff=0.35)
    parts.append(rest.turned("x", -8, (0, 0.26, high)))
    if look.chance(0.6):
        arm = [(wide * 0.53, 0.12, high - 0.03), (wide * 0.58, 0.10, high + 0.20), (wide * 0.58, -0.12, high + 0.20)]
        parts += both_sides(
            sweep(arm, 0.016, steel), block((0.06, 0.26, 0.03), (wide * 0.58, -0.02, high + 0.2), steel)
        )
    if look.chance(0.35):
        parts.append(cushion((wide * 0.6, 0.08, 0.16), (0, 0.36, high + back + 0.12), cloth, puff=0.4))
    return parts


def _club(look: Look) -> list[Solid]:
    cloth, wide, arm = look.cloth(), look.between(0.74, 0.86), look.between(0.11, 0.17)
    back, rise, edge = look.between(0.72, 0.86), look.between(0.52, 0.62), look.between(0.03, 0.06)
    inner = wide - 2 * arm
    parts = [block((wide - 0.03, 0.72, 0.2), (0, 0, 0.12), cloth, edge=edge)]
    parts += both_sides(block((arm, 0.76, rise - 0.1), (wide / 2 - arm / 2, 0, 0.1), cloth, edge=edge, steps=4))
    rest = block((wide - 0.02, 0.17, back - 0.1), (0, 0.31, 0.1), cloth, edge=edge, steps=4)
    parts.append(rest.turned("x", -5, (0, 0.3, 0.3)))
    parts.append(cushion((inner, 0.6, 0.17), (0, -0.05, 0.3), cloth, puff=0.28))
    parts.append(cushion((inner, 0.15, 0.42), (0, 0.19, 0.44), cloth, puff=0.35).turned("x", -10, (0, 0.2, 0.44)))
    parts += _splayed_legs(wide - 0.16, 0.56, 0.13, 0.015, 0.024, look.wood())
    if look.chance(0.5):
        parts.append(_pillow(look, 0.36, (0.03, 0.06, 0.46)))
    return parts


def _pillow(look: Look, size: float, at: tuple[float, float, float]) -> Solid:
    return cushion((size, 0.13, size * 0.92), at, look.accent(), puff=0.5).turned("x", -20, at)


def _wingback(look: Look) -> list[Solid]:
    cloth, wide, back = look.cloth(patterned=0.4), look.between(0.66, 0.76), look.between(1.0, 1.18)
    parts = [block((wide - 0.04, 0.62, 0.18), (0, 0, 0.2), cloth, edge=0.04)]
    parts.append(cushion((wide - 0.2, 0.56, 0.16), (0, -0.05, 0.35), cloth, puff=0.3))
    rest = block((wide - 0.06, 0.14, back - 0.25), (0, 0.27, 0.25), cloth, edge=0.06, steps=4)
    parts.append(rest.turned("x", -7, (0, 0.27, 0.3)))
    wing = block((0.08, 0.26, back - 0.62), (wide / 2 - 0.03, 0.2, 0.58), cloth, edge=0.04, steps=4)
    arm = block((0.11, 0.6, 0.36), (wide / 2 - 0.04, -0.02, 0.24), cloth, edge=0.05, steps=4)
    parts += both_sides(arm, wing.turned("x", -7, (0, 0.27, 0.3)).turned("z", -12, (wide / 2, 0.2, 0)))
    parts += _splayed_legs(wide - 0.14, 0.5, 0.21, 0.03, 0.026, look.wood())
    if look.chance(0.4):
        parts.append(_pillow(look, 0.34, (0.0, 0.08, 0.5)))
    return parts


def _cantilever(look: Look) -> list[Solid]:
    steel, wide, high = look.metal(), look.between(0.44, 0.54), look.between(0.43, 0.47)
    back = look.between(0.36, 0.46)
    skin = cane(look.wood().colour) if look.chance(0.5) else look.cloth(patterned=0.0, kinds=("leather", "weave"))
    side = [(wide / 2, 0.26, 0.018), (wide / 2, -0.22, 0.018), (wide / 2, -0.26, 0.05), (wide / 2, -0.26, high - 0.05)]
    side += [(wide / 2, -0.22, high), (wide / 2, 0.16, high), (wide / 2, 0.21, high + 0.05)]
    side += [(wide / 2, 0.21 + 0.25 * back, high + back)]
    parts = both_sides(sweep(side, 0.014, steel))
    parts += [rod((-wide / 2, 0.26, 0.018), (wide / 2, 0.26, 0.018), 0.014, steel)]
    parts.append(block((wide * 0.96, 0.42, 0.035), (0, -0.03, high), skin, edge=0.015))
    rest = block((wide * 0.96, 0.03, back * 0.66), (0, 0.22, high + back * 0.36), skin, edge=0.014)
    parts.append(rest.turned("x", -14, (0, 0.21, high)))
    if look.chance(0.45):
        arm = [(wide / 2, -0.18, high), (wide / 2, -0.2, high + 0.2), (wide / 2, 0.26, high + 0.2)]
        parts += both_sides(sweep(arm, 0.012, steel), block((0.04, 0.3, 0.025), (wide / 2, 0, high + 0.2), look.wood()))
    return parts


def _shell(look: Look) -> list[Solid]:
    skin = look.paint() if look.chance(0.6) else look.cloth(patterned=0.3, kinds=("weave", "velvet"))
    wide, high, back = look.between(0.46, 0.56), look.between(0.42, 0.46), look.between(0.32, 0.46)
    legs = look.wood() if look.chance(0.6) else look.metal()
    parts = [cushion((wide, 0.46, 0.08), (0, -0.02, high - 0.03), skin, puff=0.5)]
    count = 9
    for k in range(count):
        share = -1 + 2 * k / (count - 1)
        angle = share * 68
        lift = back * (1 - 0.45 * abs(share) ** 2)
        stave = cushion((wide * 0.24, 0.05, lift + 0.1), (0, 0.22, high - 0.05), skin, puff=0.45)
        parts.append(stave.turned("x", -12, (0, 0.22, high)).turned("z", -angle, (0, -0.02, 0)))
    parts += _splayed_legs(wide * 0.42, 0.26, high - 0.01, 0.1, 0.017, legs)
    for y in (-0.13, 0.13):
        parts.append(rod((-wide * 0.25, y, high * 0.72), (wide * 0.25, -y, high * 0.72), 0.007, look.metal(1)))
    return parts


def _ladderback(look: Look) -> list[Solid]:
    timber, wide, high = look.frame(), look.between(0.40, 0.48), look.between(0.44, 0.47)
    back, count, upright = look.between(0.42, 0.64), look.random.randint(2, 6), look.chance(0.35)
    parts = both_sides(
        block((0.035, 0.035, high), (wide / 2 - 0.02, -0.19, 0), timber),
        block((0.035, 0.035, high), (wide / 2 - 0.02, 0.19, 0), timber),
        block((0.035, 0.035, back), (wide / 2 - 0.02, 0.19, high), timber).turned("x", -8, (0, 0.19, high)),
        block((0.022, 0.36, 0.03), (wide / 2 - 0.02, 0, 0.16), timber, edge=0.005),
    )
    parts.append(block((wide, 0.42, 0.03), (0, 0, high - 0.03), timber))
    if look.chance(0.7):
        parts.append(cushion((wide * 0.96, 0.41, 0.06), (0, 0, high - 0.005), look.cloth(patterned=0.4), puff=0.3))
    slats = []
    for k in range(count):
        if upright:
            x = (wide - 0.06) * (-0.5 + (k + 0.5) / count)
            slats.append(block((0.022, 0.016, back - 0.03), (x, 0.19, high), timber, edge=0.004))
        else:
            z = high + back * (0.28 + 0.62 * k / max(1, count - 1))
            slats.append(block((wide - 0.05, 0.018, 0.055), (0, 0.19, z), timber, edge=0.006))
    slats.append(block((wide, 0.028, 0.07), (0, 0.19, high + back - 0.06), timber))
    return parts + [slat.turned("x", -8, (0, 0.19, high)) for slat in slats]


def _bar_stool(look: Look) -> list[Solid]:
    legs = look.metal() if look.chance(0.5) else look.frame()
    cloth, high, wide = look.cloth(patterned=0.2), look.between(0.66, 0.78), look.between(0.36, 0.42)
    parts = _splayed_legs(wide * 0.6, wide * 0.6, high, 0.07, 0.017, legs)
    ring = [
        (0.27 * wide / 0.38 * math.cos(a), 0.27 * wide / 0.38 * math.sin(a), 0.24)
        for a in [2 * math.pi * k / 24 for k in range(25)]
    ]
    parts.append(sweep(ring, 0.011, legs))
    parts.append(
        lathe([(0, 0), (wide / 2, 0), (wide / 2, 0.05), (wide / 2 - 0.03, 0.075), (0, 0.08)], (0, 0, high), cloth)
    )
    rise = look.between(0.18, 0.30)
    parts += both_sides(rod((wide * 0.34, wide * 0.34, high), (wide * 0.40, wide * 0.45, high + rise), 0.012, legs))
    for k in range(7):
        rest = block((wide * 0.22, 0.035, 0.13), (0, wide * 0.56, high + rise - 0.05), cloth, edge=0.015)
        parts.append(rest.turned("z", (k - 3) * 15))
    return parts


def _director(look: Look) -> list[Solid]:
    timber, cloth = look.frame(), look.cloth(patterned=0.6, kinds=("weave",))
    wide, high, back = look.between(0.50, 0.58), look.between(0.44, 0.50), look.between(0.34, 0.42)
    parts = []
    for y in (-0.2, 0.2):
        parts.append(rod((-wide / 2, y, 0.02), (wide / 2, y, high - 0.02), 0.015, timber))
        parts.append(rod((wide / 2, y + 0.03, 0.02), (-wide / 2, y + 0.03, high - 0.02), 0.015, timber))
    parts += both_sides(
        block((0.035, 0.5, 0.03), (wide / 2, 0, 0), timber),
        block((0.035, 0.46, 0.035), (wide / 2, 0, high - 0.03), timber),
        block((0.03, 0.03, 0.22), (wide / 2, -0.2, high), timber),
        block((0.03, 0.03, back), (wide / 2, 0.2, high), timber),
        block((0.06, 0.48, 0.025), (wide / 2, 0, high + 0.21), timber),
    )
    parts.append(block((wide, 0.42, 0.02), (0, 0, high), cloth, edge=0.008))
    parts.append(block((wide + 0.02, 0.02, 0.17), (0, 0.2, high + back - 0.15), cloth, edge=0.008))
    return parts


def _lounge(look: Look) -> list[Solid]:
    timber, cloth, wide = look.wood(), look.cloth(), look.between(0.64, 0.74)
    lean, back = look.between(14, 24), look.between(0.5, 0.68)
    parts = [cushion((wide - 0.1, 0.6, 0.13), (0, -0.02, 0.3), cloth, puff=0.28).turned("x", 6, (0, 0, 0.3))]
    rest = cushion((wide - 0.1, 0.13, back), (0, 0.26, 0.36), cloth, puff=0.28)
    parts.append(rest.turned("x", -lean, (0, 0.26, 0.36)))
    arm = block((0.06, 0.66, 0.03), (wide / 2, 0.02, 0.53), timber).turned("x", 4, (0, 0, 0.53))
    parts += both_sides(
        rod((wide / 2, -0.24, 0.53), (wide / 2, -0.32, 0), 0.022, timber, tip=0.014),
        rod((wide / 2, 0.24, 0.53), (wide / 2, 0.36, 0), 0.022, timber, tip=0.014),
        rod((wide / 2, -0.28, 0.27), (wide / 2, 0.32, 0.22), 0.016, timber),
        arm,
    )
    parts += [block((wide, 0.03, 0.045), (0, -0.28, 0.25), timber), block((wide, 0.03, 0.045), (0, 0.28, 0.22), timber)]
    if look.chance(0.4):
        parts.append(
            cushion((wide * 0.5, 0.1, 0.16), (0, 0.3, 0.3 + back), cloth, puff=0.5).turned("x", -lean, (0, 0.26, 0.36))
        )
    return parts


def _barrel(look: Look) -> list[Solid]:
    cloth, radius, rise = look.cloth(patterned=0.1), look.between(0.33, 0.38), look.between(0.66, 0.80)
    parts = [lathe([(0, 0), (radius, 0), (radius, 0.24), (0, 0.25)], (0, 0, 0.1), cloth)]
    parts.append(
        lathe(
            [(0, 0), (radius * 0.86, 0), (radius * 0.9, 0.05), (radius * 0.84, 0.1), (0, 0.13)], (0, -0.03, 0.33), cloth
        )
    )
    count = look.random.randint(11, 16)
    for k in range(count):
        angle = -112 + 224 * k / (count - 1)
        low = 0.18 * abs(angle / 112) ** 2
        stave = cushion((2.9 * radius / count * 1.45, 0.12, rise - low - 0.1), (0, radius, 0.1), cloth, puff=0.42)
        parts.append(stave.turned("z", -angle))
    base = look.metal() if look.chance(0.5) else look.wood()
    if look.chance(0.5):
        parts.append(
            lathe([(0, 0), (radius * 0.7, 0), (radius * 0.7, 0.03), (0.05, 0.05), (0.05, 0.11)], (0, 0, 0), base)
        )
    else:
        parts += _splayed_legs(radius, radius, 0.12, 0.03, 0.022, base)
    return parts


def _rocking(look: Look) -> list[Solid]:
    timber, wide, high = look.frame(), look.between(0.48, 0.56), look.between(0.40, 0.44)
    back, count = look.between(0.60, 0.76), look.random.randint(4, 8)
    runner = [
        (wide / 2, 0.62 * math.sin(a), 0.98 - 0.96 * math.cos(a)) for a in [math.radians(k) for k in range(-44, 49, 4)]
    ]
    parts = both_sides(
        sweep(runner, 0.018, timber),
        rod((wide / 2, -0.22, 0.06), (wide / 2, -0.22, high + 0.22), 0.017, timber),
        rod((wide / 2, 0.22, 0.07), (wide / 2 - 0.02, 0.22, high), 0.017, timber),
        rod((wide / 2 - 0.02, 0.22, high), (wide / 2 - 0.02, 0.22 + 0.28 * back, high + back), 0.017, timber),
        block((0.06, 0.5, 0.025), (wide / 2, -0.01, high + 0.21), timber),
    )
    parts.append(block((wide, 0.48, 0.035), (0, 0, high - 0.03), timber))
    for k in range(count):
        x = (wide - 0.1) * (-0.5 + (k + 0.5) / count)
        parts.append(rod((x, 0.22, high), (x, 0.22 + 0.27 * back, high + back * 0.96), 0.011, timber))
    top = block((wide, 0.03, 0.11), (0, 0, -0.07), timber, edge=0.012).turned("x", -15)
    parts.append(top.moved(y=0.22 + 0.27 * back, z=high + back))
    if look.chance(0.7):
        parts.append(cushion((wide * 0.86, 0.44, 0.07), (0, 0, high), look.cloth(patterned=0.5), puff=0.35))
    return parts


STYLES: tuple[Callable[[Look], list[Solid]], ...] = (
    _windsor,
    _office,
    _club,
    _wingback,
    _cantilever,
    _shell,
    _ladderback,
    _bar_stool,
    _director,
    _lounge,
    _barrel,
    _rocking,
)
