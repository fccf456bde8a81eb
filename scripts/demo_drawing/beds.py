"""Beds: ten styles, each with mattress, blankets and pillows."""

from __future__ import annotations

import math
from collections.abc import Callable

from .look import Look
from .materials import Material, cane, fabric
from .solids import Solid, block, both_sides, cushion, plate, rod, sweep

_LONG = 2.0
_HEAD = _LONG / 2


def _width(look: Look) -> float:
    """Return the mattress's width: single, queen or king."""
    return (0.95, 1.4, 1.6, 1.8)[look.random.randint(4)] + look.between(-0.05, 0.05)


def _bedding(look: Look, wide: float, base: float) -> list[Solid]:
    """Return mattress, blanket, turned-down sheet, pillows and sometimes a throw, lying on height `base`."""
    sheet = fabric((246, 243, 236) if look.chance(0.7) else look.colour(3))
    cover = look.patterned(look.colour()) if look.chance(0.4) else fabric(look.colour(), kind="weave")
    thick, down = look.between(0.18, 0.24), look.between(0.45, 0.75)
    parts = [block((wide, _LONG - 0.04, thick), (0, 0, base), sheet, edge=0.05, steps=3)]
    long = _LONG - down
    parts.append(
        block((wide + 0.05, long, thick * 0.9), (0, -_HEAD + long / 2, base + thick * 0.22), cover, edge=0.06, steps=3)
    )
    parts.append(
        block((wide + 0.055, 0.2, thick * 0.92), (0, _HEAD - down, base + thick * 0.23), sheet, edge=0.05, steps=3)
    )
    row = 1 if wide < 1.2 else 2
    for k in range(row):
        x = wide * (-0.5 + (k + 0.5) / row)
        size = (wide / row - 0.08, 0.16, 0.36)
        parts.append(
            cushion(size, (x, _HEAD - 0.16, base + thick), sheet, puff=0.5).turned(
                "x", -28, (0, _HEAD - 0.16, base + thick)
            )
        )
        if look.number % 2:
            small = cushion((wide / row * 0.62, 0.15, 0.3), (x, _HEAD - 0.34, base + thick), look.accent(), puff=0.5)
            parts.append(small.turned("x", -30, (0, _HEAD - 0.34, base + thick)))
    if look.chance(0.55):
        throw = look.accent(2)
        at = -_HEAD + look.between(0.3, 0.5)
        parts.append(
            block(
                (wide + 0.075, look.between(0.3, 0.45), thick * 0.95),
                (0, at, base + thick * 0.21),
                throw,
                edge=0.05,
                steps=3,
            )
        )
    return parts


def _rails(wide: float, low: float, tall: float, material: Material) -> list[Solid]:
    """Return the long sides of a bedstead."""
    return both_sides(block((0.05, _LONG, tall), (wide / 2 + 0.03, 0, low), material))


def _panelled(look: Look) -> list[Solid]:
    timber, wide, rise = look.frame(), _width(look), look.between(0.9, 1.15)
    parts = _rails(wide, 0.16, 0.18, timber) + _bedding(look, wide, 0.28)
    parts.append(block((wide + 0.1, 0.05, rise - 0.15), (0, _HEAD, 0.15), timber))
    count = look.random.randint(2, 6)
    for k in range(count):
        x = (wide - 0.02) * (-0.5 + (k + 0.5) / count)
        parts.append(
            block((wide / count - 0.08, 0.025, rise * 0.42), (x, _HEAD - 0.03, rise * 0.5), look.wood(1), edge=0.01)
        )
    parts.append(block((wide + 0.16, 0.08, 0.05), (0, _HEAD, rise), timber))
    parts.append(block((wide + 0.1, 0.05, look.between(0.24, 0.42)), (0, -_HEAD - 0.02, 0.14), timber))
    for y in (-_HEAD, _HEAD):
        parts += both_sides(block((0.08, 0.08, rise if y > 0 else 0.5), (wide / 2 + 0.04, y, 0), timber))
    return parts


def _channelled(look: Look) -> list[Solid]:
    cloth, wide, rise = (
        look.cloth(patterned=0.0, kinds=("velvet", "weave", "boucle")),
        _width(look),
        look.between(0.95, 1.3),
    )
    parts = [
        block((wide + 0.12, _LONG + 0.06, 0.24), (0, 0, 0.08), cloth, edge=0.04, steps=3),
        *_bedding(look, wide, 0.28),
    ]
    count = look.random.randint(5, 12)
    across = look.chance(0.35)
    for k in range(count):
        if across:
            high = (rise - 0.3) / count
            parts.append(cushion((wide + 0.14, 0.14, high * 1.08), (0, _HEAD + 0.07, 0.3 + k * high), cloth, puff=0.4))
        else:
            each = (wide + 0.14) / count
            x = (wide + 0.14) * (-0.5 + (k + 0.5) / count)
            parts.append(cushion((each * 1.1, 0.14, rise - 0.2), (x, _HEAD + 0.07, 0.2), cloth, puff=0.35))
    for y in (-_HEAD + 0.1, _HEAD - 0.1):
        parts += both_sides(rod((wide / 2 - 0.05, y, 0.1), (wide / 2 - 0.04, y, 0), 0.03, look.wood()))
    return parts


def _canopy(look: Look) -> list[Solid]:
    timber = look.frame() if look.chance(0.6) else look.metal()
    wide, rise = _width(look), look.between(1.75, 2.05)
    parts = _rails(wide, 0.2, 0.14, timber) + _bedding(look, wide, 0.3)
    thick = look.between(0.04, 0.07)
    x = wide / 2 + 0.04
    for y in (-_HEAD, _HEAD):
        parts += both_sides(block((thick, thick, rise), (x, y, 0), timber))
        parts.append(block((2 * x, thick, thick), (0, y, rise), timber))
        parts.append(block((2 * x, thick, 0.12), (0, y, 0.2), timber))
    parts += both_sides(block((thick, _LONG, thick), (x, 0, rise), timber))
    parts.append(block((2 * x, 0.04, 0.6), (0, _HEAD, 0.4), timber))
    if look.chance(0.55):
        veil = fabric((244, 240, 232) if look.chance(0.5) else look.colour(1))
        parts += both_sides(cushion((0.09, 0.3, rise - 0.12), (x, _HEAD - 0.12, 0.1), veil, puff=0.5))
        parts.append(block((2 * x, 0.05, 0.2), (0, _HEAD, rise - 0.2), veil, edge=0.02))
    return parts


def _bunk(look: Look) -> list[Solid]:
    timber, wide, rise = look.frame(), look.between(0.9, 1.0), look.between(1.15, 1.35)
    parts = [*_rails(wide, 0.18, 0.16, timber), *_bedding(look, wide, 0.26), *_rails(wide, rise, 0.24, timber)]
    parts += [part.moved(z=rise - 0.2) for part in _bedding(look, wide, 0.26)]
    x = wide / 2 + 0.03
    for y in (-_HEAD, _HEAD):
        parts += both_sides(block((0.07, 0.07, rise + 0.55), (x, y, 0), timber))
        for z in (0.3, 0.6, rise + 0.1, rise + 0.42):
            parts.append(block((2 * x, 0.035, 0.09), (0, y, z), timber))
    step_x = -x - 0.06
    for y in (-_HEAD + 0.12, -_HEAD + 0.5):
        parts.append(rod((step_x - 0.12, y, 0), (step_x, y, rise + 0.4), 0.022, timber))
    for k in range(4):
        share = (k + 0.7) / 4.6
        at = (step_x - 0.12 * (1 - share), 0.0, (rise + 0.4) * share)
        parts.append(rod((at[0], -_HEAD + 0.12, at[2]), (at[0], -_HEAD + 0.5, at[2]), 0.018, timber))
    return parts


def _iron(look: Look) -> list[Solid]:
    steel, wide, rise = look.metal(), _width(look), look.between(0.95, 1.2)
    parts = [*_rails(wide, 0.26, 0.05, steel), *_bedding(look, wide, 0.3)]
    x, arched, count = wide / 2 + 0.03, look.chance(0.6), look.random.randint(5, 10)
    for y, top in ((_HEAD, rise), (-_HEAD - 0.02, rise * 0.62)):
        bow = []
        for k in range(15):
            share = -1 + k / 7
            bow.append((x * share, y, top - 0.2 * share**2 if arched else top))
        parts.append(sweep(bow, 0.022, steel))
        parts += both_sides(rod((x, y, 0), (x, y, bow[0][2]), 0.022, steel))
        parts.append(rod((-x, y, 0.34), (x, y, 0.34), 0.016, steel))
        for k in range(count):
            share = -1 + 2 * (k + 0.5) / count
            parts.append(
                rod((x * share, y, 0.34), (x * share, y, top - (0.2 * share**2 if arched else 0)), 0.011, steel)
            )
        parts += both_sides(cushion((0.075, 0.075, 0.075), (x, y, bow[0][2] - 0.01), look.metal(1), puff=0.95))
    return parts


def _platform(look: Look) -> list[Solid]:
    timber, wide, ledge = look.wood(), _width(look), look.between(0.12, 0.3)
    parts = [block((wide + 2 * ledge, _LONG + 0.2, 0.09), (0, 0, 0.14), timber), *_bedding(look, wide, 0.22)]
    parts.append(block((wide * 0.8, _LONG * 0.8, 0.14), (0, 0, 0), look.paint(), edge=0.01))
    rise = look.between(0.45, 0.7)
    count = look.random.randint(1, 5)
    for k in range(count):
        high = (rise - 0.03) / count
        parts.append(block((wide + 2 * ledge, 0.05, high - 0.015), (0, _HEAD + 0.1, 0.22 + k * high), timber))
    if look.chance(0.5):
        tray = block((0.4, 0.4, 0.06), (wide / 2 + ledge + 0.14, _HEAD - 0.12, 0.22), timber)
        parts += both_sides(tray)
    return parts


def _sleigh(look: Look) -> list[Solid]:
    timber, wide, rise = look.frame(), _width(look), look.between(0.9, 1.1)
    parts = [*_rails(wide, 0.12, 0.24, timber), *_bedding(look, wide, 0.3)]
    x = wide + 0.14
    for way, top in ((1, rise), (-1, rise * 0.68)):
        previous = (way * _HEAD, 0.08)
        for k in range(1, 6):
            share = k / 5
            bend = way * (_HEAD + 0.26 * share**2.2)
            here = (bend, 0.08 + (top - 0.08) * share)
            tall = math.hypot(here[0] - previous[0], here[1] - previous[1])
            lean = math.degrees(math.atan2(here[0] - previous[0], here[1] - previous[1]))
            slab = block((x, 0.06, tall - 0.008), (0, 0, 0), timber, edge=0.01).turned("x", -lean)
            parts.append(slab.moved(y=previous[0], z=previous[1]))
            previous = here
        parts.append(rod((-x / 2, previous[0], previous[1]), (x / 2, previous[0], previous[1]), 0.06, timber))
    return parts


def _arched(look: Look) -> list[Solid]:
    """Return an upholstered bed with an arched, buttoned headboard."""
    cloth, wide, rise = (
        look.cloth(patterned=0.25, kinds=("velvet", "weave", "leather")),
        _width(look),
        look.between(1.0, 1.3),
    )
    outline = [(-wide / 2 - 0.08, 0.0)]
    form = look.random.randint(3)
    for k in range(33):
        share = -1 + k / 16
        bump = ((1 - share**2) ** 0.5, 0.5 + 0.5 * math.cos(share * math.pi), 1 - abs(share) ** 6)[form]
        outline.append(((wide / 2 + 0.08) * share, rise * (0.62 + 0.38 * bump)))
    outline.append((wide / 2 + 0.08, 0.0))
    board = plate(outline, 0.1, (0, 0, 0), cloth).turned("x", 90)
    parts = [board.moved(y=_HEAD + 0.1, z=0.05), *_bedding(look, wide, 0.3)]
    parts.append(block((wide + 0.14, _LONG + 0.06, 0.22), (0, 0, 0.1), cloth, edge=0.04, steps=3))
    button = look.accent()
    for row in range(3):
        for k in range(7 - row % 2):
            x, z = (wide / 7) * (k - 3 + 0.5 * (row % 2)), 0.05 + rise * (0.58 - 0.12 * row)
            parts.append(cushion((0.045, 0.03, 0.045), (x, _HEAD - 0.005, z), button, puff=0.9))
    for y in (-_HEAD + 0.08, _HEAD - 0.1):
        parts += both_sides(rod((wide / 2, y, 0.11), (wide / 2 + 0.01, y, 0), 0.03, look.wood(), tip=0.02))
    return parts


def _storage(look: Look) -> list[Solid]:
    timber, wide, rise = look.frame(), _width(look), look.between(0.8, 1.05)
    parts = [block((wide + 0.06, _LONG + 0.04, 0.3), (0, 0, 0.02), timber), *_bedding(look, wide, 0.3)]
    front, knob, count = look.paint(1), look.metal(), look.random.randint(2, 4)
    for k in range(count):
        y, long = _LONG * (-0.5 + (k + 0.5) / count), _LONG / count - 0.05
        parts += both_sides(
            block((0.02, long, 0.22), (wide / 2 + 0.035, y, 0.06), front, edge=0.005),
            rod((wide / 2 + 0.06, y - 0.07, 0.19), (wide / 2 + 0.06, y + 0.07, 0.19), 0.01, knob),
        )
    parts.append(block((wide + 0.1, 0.06, rise), (0, _HEAD + 0.03, 0), timber))
    if look.chance(0.6):
        weave = cane((222, 190, 142))
        parts += both_sides(
            block((wide / 2 - 0.07, 0.02, rise * 0.4), (wide / 4, _HEAD - 0.005, rise * 0.55), weave, edge=0.006)
        )
    else:
        parts.append(block((wide + 0.1, 0.22, 0.04), (0, _HEAD + 0.1, rise), timber))
    return parts


def _spindle(look: Look) -> list[Solid]:
    timber, wide, rise = look.frame(), _width(look), look.between(0.85, 1.15)
    parts = [*_rails(wide, 0.2, 0.15, timber), *_bedding(look, wide, 0.3)]
    x, count = wide / 2 + 0.04, look.random.randint(9, 15)
    for y, top in ((_HEAD, rise), (-_HEAD - 0.02, 0.5)):
        parts += both_sides(rod((x, y, 0), (x, y, top + 0.05), 0.032, timber))
        parts.append(rod((-x, y, top - 0.02), (x, y, top - 0.02), 0.028, timber))
        parts.append(rod((-x, y, 0.3), (x, y, 0.3), 0.022, timber))
        for k in range(count):
            share = -1 + 2 * (k + 0.5) / count
            parts.append(rod((x * share, y, 0.3), (x * share, y, top - 0.02), 0.014, timber))
    return parts


STYLES: tuple[Callable[[Look], list[Solid]], ...] = (
    _panelled,
    _channelled,
    _canopy,
    _bunk,
    _iron,
    _platform,
    _sleigh,
    _arched,
    _storage,
    _spindle,
)
