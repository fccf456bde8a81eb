"""How the page looks for its owner: title, logo, colour, and what categories are called."""

from __future__ import annotations

import colorsys
from pathlib import Path

from ddsim.config import Settings
from ddsim.errors import ConfigError

MARK = "static/mark.svg"
_LOGOS = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
_MOST_BYTES = 1024 * 1024
# The grounds that accents stand on, as in static/app.css, and the contrast that small letters need (WCAG AA).
_LIGHT, _DARK = "#f7e4da", "#3a251b"
_ACCENT = "#b3462a"
_LEAST_CONTRAST = 4.5
_STEP = 0.02


class Appearance:
    """What ``web:`` in the settings says of it.

    Args:
        settings: the configuration.

    Raises:
        ConfigError: the logo cannot be read, or is no picture that browsers show.
    """

    def __init__(self, settings: Settings) -> None:
        web = settings.web
        self.title = web.title or settings.name
        self.accent = web.accent
        self.logo = "logo" if web.logo else MARK
        self.logo_type = _kind(web.logo) if web.logo else ""
        self.logo_data = _read(web.logo) if web.logo else b""
        self._called = web.categories

    def called(self, category: str) -> str:
        """A category as people call it."""
        return self._called.get(category) or category.replace("_", " ")

    @property
    def button(self) -> tuple[str, str]:
        """Colours of a button on any ground, and of the letters on it."""
        accent = self.accent or _ACCENT
        return accent, _on(accent)

    def style(self) -> str:
        """The style sheet that puts the accent in place of the page's own, in light and in dark."""
        accent = self.accent or _ACCENT
        light, dark = readable(accent, _LIGHT), readable(accent, _DARK)
        rules = f":root {{ {_rules(light, _LIGHT)} }}\n"
        return rules + f"@media (prefers-color-scheme: dark) {{ :root {{ {_rules(dark, _DARK)} }} }}\n"


def readable(colour: str, ground: str) -> str:
    """The colour, or the nearest lighter or darker one that can be read on that ground.

    Args:
        colour: as ``#rrggbb``.
        ground: what it stands on, as well.
    """
    hue, light, full = colorsys.rgb_to_hls(*_parts(colour))
    step = _STEP if luminance(ground) < 0.5 else -_STEP
    while contrast(colour, ground) < _LEAST_CONTRAST:  # white on the dark ground and black on the light one have 13
        light = min(1.0, max(0.0, light + step))
        colour = _text(*colorsys.hls_to_rgb(hue, light, full))
    return colour


def contrast(one: str, other: str) -> float:
    """Of two colours, from 1 to 21 (WCAG)."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance, from 0 to 1 (WCAG)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rules(accent: str, ground: str) -> str:
    on = _on(accent)
    hue, light, full = colorsys.rgb_to_hls(*_parts(accent))
    # Away from the letters on it, so that they can be read while the pointer is over a button, too.
    deep = _text(*colorsys.hls_to_rgb(hue, light * 0.85 if on == "#ffffff" else min(1, light * 1.12), full))
    tint, line = _mixed(accent, ground, 0.12), _mixed(accent, ground, 0.35)
    return f"--accent: {accent}; --accent-deep: {deep}; --on-accent: {on}; --tint: {tint}; --tint-line: {line};"


def _on(accent: str) -> str:
    return max(("#ffffff", "#161412"), key=lambda one: contrast(one, accent))


def _mixed(one: str, other: str, share: float) -> str:
    plain = "#ffffff" if luminance(other) > 0.5 else "#161412"
    return _text(*(share * a + (1 - share) * b for a, b in zip(_parts(one), _parts(plain), strict=True)))


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _text(red: float, green: float, blue: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in (red, green, blue))


def _kind(path: Path) -> str:
    try:
        return _LOGOS[path.suffix.lower()]
    except KeyError:
        raise ConfigError(f"web.logo: {path} is none of {', '.join(_LOGOS)}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"web.logo: {path} cannot be read: {error.strerror or error}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"web.logo: {path} is larger than 1 MB: take a smaller picture")
    return data
