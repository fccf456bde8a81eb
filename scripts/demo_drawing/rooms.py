"""Backdrops: a plain studio for the catalogue's pictures, furnished rooms for the queries."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageDraw, ImageFilter

from .materials import Colour, mixed, pick
from .render import Camera, Pixels

PAPERS: tuple[Colour, ...] = ((240, 234, 226), (232, 236, 238), (238, 232, 236), (234, 238, 230), (242, 236, 222))
WALLS: tuple[Colour, ...] = (
    (238, 226, 206),
    (214, 224, 216),
    (226, 206, 192),
    (206, 218, 228),
    (240, 232, 222),
    (222, 214, 228),
    (196, 206, 190),
    (236, 216, 184),
    (176, 194, 200),
    (228, 196, 180),
)
FLOORS: tuple[Colour, ...] = (
    (206, 166, 120),
    (176, 134, 96),
    (226, 200, 164),
    (150, 112, 84),
    (204, 196, 186),
    (190, 150, 112),
)
RUGS: tuple[tuple[Colour, Colour], ...] = (
    ((236, 226, 210), (188, 112, 88)),
    ((188, 204, 196), (92, 124, 116)),
    ((226, 200, 180), (150, 84, 70)),
    ((206, 212, 224), (92, 110, 150)),
    ((238, 222, 178), (196, 150, 70)),
    ((222, 208, 216), (146, 104, 128)),
)


@dataclasses.dataclass(frozen=True)
class Room:
    """What a room needs to know of the product: camera, wall distance, rug size (metres; 0: none), if it hangs."""

    camera: Camera
    wall: float
    rug: float
    hanging: bool = False


def studio(size: int, random: RandomState, horizon: float) -> Pixels:
    """Return a seamless paper backdrop, (size, size, 3), lighter around the product."""
    paper = np.asarray(pick(random, PAPERS), np.float32)
    columns = np.arange(size, dtype=np.float32)[None, :] / size
    rows = np.arange(size, dtype=np.float32)[:, None] / size
    light = 1.0 - 0.34 * ((columns - 0.46) ** 2 + (rows - 0.44) ** 2)
    floor = 1 / (1 + np.exp(-(rows - horizon) * 14))
    return np.asarray(paper * (light * (1.035 - 0.05 * floor))[:, :, None], np.float32)


def room(size: int, random: RandomState, place: Room) -> Pixels:
    """Return a room with wall, floor, rug, window light and a little decoration, (size, size, 3)."""
    wall, floor = pick(random, WALLS), pick(random, FLOORS)
    sine = math.sin(math.radians(place.camera.pitch))
    line = place.camera.centre[1] - place.wall * sine * place.camera.scale
    if place.hanging:
        line = max(line, size * 0.93)
    line = min(max(line, size * 0.12), size - 4.0)
    picture = Image.new("RGB", (size, size), _whole(wall))
    pen = ImageDraw.Draw(picture)
    _paper_wall(pen, random, wall, size, line)
    _hang_frames(pen, random, wall, size, line)
    _lay_floor(pen, random, floor, size, line)
    if random.rand() < 0.55:
        _stand_plant(picture, random, size, line)
    if place.rug > 0 and not place.hanging:
        _lay_rug(picture, random, place)
    pixels = np.asarray(picture, np.float32)
    return _window_light(pixels, random, size, line)


def _whole(colour: Colour) -> tuple[int, int, int]:
    return round(colour[0]), round(colour[1]), round(colour[2])


def _darker(colour: Colour, share: float) -> tuple[int, int, int]:
    return _whole(mixed(colour, (60, 46, 40), share))


def _lighter(colour: Colour, share: float) -> tuple[int, int, int]:
    return _whole(mixed(colour, (255, 252, 246), share))


def _paper_wall(pen: ImageDraw.ImageDraw, random: RandomState, wall: Colour, size: int, line: float) -> None:
    """Draw stripes, panels, dots or nothing on the wall, and the skirting board."""
    style = random.randint(5)
    if style == 1:
        step = size / random.randint(9, 15)
        for k in range(int(size / step) + 1):
            pen.rectangle((k * step, 0, k * step + step / 2, line), fill=_darker(wall, 0.045))
    elif style == 2:
        top = line - size * random.uniform(0.22, 0.34)
        pen.rectangle((0, top, size, line), fill=_lighter(wall, 0.35))
        pen.rectangle((0, top, size, top + size * 0.012), fill=_lighter(wall, 0.65))
        step = size / random.randint(5, 8)
        for k in range(int(size / step) + 1):
            frame = (k * step + 0.12 * step, top + 0.05 * size, (k + 1) * step - 0.12 * step, line - 0.05 * size)
            if frame[3] > frame[1]:
                pen.rectangle(frame, outline=_darker(wall, 0.08), width=max(1, size // 240))
    elif style == 3:
        step = size / random.randint(12, 18)
        for row in range(int(line / step) + 1):
            for k in range(int(size / step) + 2):
                x, y = (k + 0.5 * (row % 2)) * step, (row + 0.5) * step
                pen.ellipse((x - step * 0.1, y - step * 0.1, x + step * 0.1, y + step * 0.1), fill=_darker(wall, 0.07))
    pen.rectangle((0, line - size * 0.022, size, line), fill=_lighter(wall, 0.6))


def _hang_frames(pen: ImageDraw.ImageDraw, random: RandomState, wall: Colour, size: int, line: float) -> None:
    """Hang up to three pictures with simple shapes on the wall."""
    left = random.uniform(0.03, 0.25) * size
    for _ in range(random.randint(0, 4)):
        width, height = random.uniform(0.11, 0.2) * size, random.uniform(0.12, 0.22) * size
        top = random.uniform(0.04, 0.12) * size
        if top + height > line - 0.1 * size or left + width > 0.98 * size:
            return
        border = size * 0.012
        pen.rectangle((left, top, left + width, top + height), fill=_darker(wall, random.uniform(0.25, 0.7)))
        inner = (left + border, top + border, left + width - border, top + height - border)
        first, second = pick(random, RUGS)
        pen.rectangle(inner, fill=_lighter(first, 0.55))
        sun = 0.24 * width
        cx, cy = left + width * random.uniform(0.35, 0.65), top + height * random.uniform(0.35, 0.5)
        pen.ellipse((cx - sun, cy - sun, cx + sun, cy + sun), fill=_whole(second))
        pen.rectangle((inner[0], top + height * 0.66, inner[2], inner[3]), fill=_whole(mixed(first, second, 0.4)))
        left += width + random.uniform(0.04, 0.3) * size


def _lay_floor(pen: ImageDraw.ImageDraw, random: RandomState, floor: Colour, size: int, line: float) -> None:
    """Lay planks, tiles or a plain floor."""
    pen.rectangle((0, line, size, size), fill=_whole(floor))
    style = random.randint(3)
    if style == 0:
        step = size / random.randint(7, 11)
        offset = random.uniform(0, step)
        for k in range(-1, int(size / step) + 1):
            x = offset + k * step
            pen.rectangle((x, line, x + step, size), fill=_darker(floor, random.uniform(0, 0.10)))
            joint = random.uniform(line, size)
            pen.line((x, joint, x + step, joint), fill=_darker(floor, 0.2), width=max(1, size // 320))
            pen.line((x, line, x, size), fill=_darker(floor, 0.2), width=max(1, size // 320))
    elif style == 1:
        step, deep = size / random.randint(6, 9), size / random.randint(14, 20)
        for row in range(int((size - line) / deep) + 1):
            for k in range(int(size / step) + 2):
                if (row + k) % 2:
                    box = (k * step - step / 2, line + row * deep, k * step + step / 2, line + (row + 1) * deep)
                    pen.rectangle(box, fill=_darker(floor, 0.07))
    pen.rectangle((0, line, size, line + size * 0.006), fill=_darker(floor, 0.25))


def _stand_plant(picture: Image.Image, random: RandomState, size: int, line: float) -> None:
    """Stand a potted plant at the side of the room."""
    pen = ImageDraw.Draw(picture)
    side = random.randint(2)
    x = size * (random.uniform(0.02, 0.1) if side == 0 else random.uniform(0.9, 0.98))
    foot = line + size * 0.03
    tall = size * random.uniform(0.16, 0.26)
    for k in range(9):
        angle = math.radians(-90 + (k - 4) * 17 + random.uniform(-6, 6))
        tip = (x + tall * math.cos(angle), foot - 0.4 * tall + tall * math.sin(angle))
        bend = (x + 0.5 * tall * math.cos(angle) - 0.10 * tall, foot - 0.5 * tall + 0.55 * tall * math.sin(angle))
        other = (bend[0] + 0.2 * tall, bend[1] + 0.04 * tall)
        green = (86 + 9 * (k % 3), 130 + 9 * (k % 4), 92)
        pen.polygon([(x, foot - 0.35 * tall), bend, tip, other], fill=green)
    wide = 0.2 * tall
    pot = pick(random, ((196, 112, 84), (236, 230, 220), (92, 104, 112)))
    pen.polygon(
        [
            (x - wide, foot - 0.42 * tall),
            (x + wide, foot - 0.42 * tall),
            (x + 0.7 * wide, foot),
            (x - 0.7 * wide, foot),
        ],
        fill=pot,
    )


def _lay_rug(picture: Image.Image, random: RandomState, place: Room) -> None:
    """Lay a round or square rug with borders under the product."""
    first, second = pick(random, RUGS)
    pen = ImageDraw.Draw(picture)
    style = random.randint(3)
    shift = random.uniform(-0.1, 0.1, 2) * place.rug
    wide, deep = place.rug * random.uniform(0.85, 1.1), place.rug * random.uniform(0.65, 0.9)
    turn = math.radians(place.camera.yaw + (0 if random.rand() < 0.5 else random.uniform(-25, 25)))
    sine = math.sin(math.radians(place.camera.pitch))
    bands = ((1.0, first), (0.93, second), (0.88, first), (0.5, mixed(first, second, 0.25)), (0.45, first))
    for share, colour in bands if random.rand() < 0.7 else bands[:3]:
        outline = []
        for k in range(48):
            angle = math.pi * 2 * k / 48
            x, y = math.cos(angle), math.sin(angle)
            if style:
                reach = max(abs(x), abs(y))
                x, y = x / reach, y / reach
            x, y = x * share * wide / 2, y * share * deep / 2
            flat_x = x * math.cos(turn) - y * math.sin(turn) + shift[0]
            flat_y = x * math.sin(turn) + y * math.cos(turn) + shift[1]
            outline.append(
                (
                    place.camera.centre[0] + flat_x * place.camera.scale,
                    place.camera.centre[1] - flat_y * sine * place.camera.scale,
                )
            )
        pen.polygon(outline, fill=_whole(colour))


def _window_light(pixels: Pixels, random: RandomState, size: int, line: float) -> Pixels:
    """Let light fall through a window on wall and floor, and let the corners fade a little."""
    mask = Image.new("L", (size // 4, size // 4), 0)
    if random.rand() < 0.75:
        pen = ImageDraw.Draw(mask)
        unit = size / 4
        left, top = random.uniform(0.0, 0.6) * unit, random.uniform(0.02, 0.2) * unit
        wide, tall = random.uniform(0.13, 0.2) * unit, random.uniform(0.3, 0.5) * unit
        slant = random.uniform(-0.25, 0.25) * unit
        for row in range(2):
            for column in range(2):
                x, y = left + column * wide * 1.1, top + row * tall * 0.55
                a, b = slant * (row * 0.55), slant * (row * 0.55 + 0.5)
                pen.polygon(
                    [(x + a, y), (x + wide + a, y), (x + wide + b, y + tall / 2), (x + b, y + tall / 2)], fill=255
                )
        mask = mask.filter(ImageFilter.GaussianBlur(size / 4 * 0.012))
    shine = np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR), np.float32) * np.float32(0.11 / 255)
    columns = np.arange(size, dtype=np.float32)[None, :] / size
    rows = np.arange(size, dtype=np.float32)[:, None] / size
    corner = np.exp(-((rows - line / size) ** 2) / 0.002)
    fade = 1.02 - 0.22 * ((columns - 0.5) ** 2 + (rows - 0.5) ** 2) - 0.05 * corner
    lit = pixels * fade[:, :, None]
    for channel, warm in enumerate((1.0, 0.96, 0.84)):
        lit[:, :, channel] *= 1 + shine * np.float32(warm)
    return np.asarray(lit, np.float32)
