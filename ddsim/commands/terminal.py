"""Pictures in the terminal itself, where it says that it can show them: by kitty's protocol, iTerm2's, or as sixel."""

from __future__ import annotations

import base64
import io
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from PIL import Image

Protocol = Callable[[Image.Image], str]

_ITERM = ("iTerm.app", "iTerm2", "WezTerm")
# Whether a picture of one pixel could be shown by kitty's protocol, and then which kind of terminal it is: every one
# answers to the latter, so that nobody waits for one that is silent to the former.
_QUESTION = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL = b"4"
_SECONDS = 0.5
_CHUNK = 4096
_WIDTH = 1000


def protocol(source: int = 0, target: int = 1, variables: Mapping[str, str] = os.environ) -> Protocol | None:
    """How pictures are written to this terminal; None where it is none, or cannot show them.

    Args:
        source: file descriptor of what is typed.
        target: of what is shown.
        variables: of the environment.
    """
    if sys.platform == "win32" or not (os.isatty(source) and os.isatty(target)) or variables.get("TERM") == "dumb":
        return None
    if variables.get("TERM_PROGRAM") in _ITERM or variables.get("LC_TERMINAL") in _ITERM:
        return iterm
    answer = _asked(source, target)
    if b"\x1b_Gi=31;OK" in answer:
        return kitty
    attributes = _ATTRIBUTES.search(answer)
    return sixel if attributes and _SIXEL in attributes[1].split(b";")[1:] else None


def fitted(image: Image.Image) -> Image.Image:
    """A picture no wider than most terminals are."""
    if image.width <= _WIDTH:
        return image
    return image.resize((_WIDTH, max(1, image.height * _WIDTH // image.width)), Image.Resampling.LANCZOS)


def kitty(image: Image.Image) -> str:
    """A picture by kitty's protocol, which Ghostty and others speak, too."""
    data = base64.standard_b64encode(_png(image)).decode("ascii")
    pieces = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    parts = []
    for number, piece in enumerate(pieces, 1):
        more = f"m={int(number < len(pieces))}"
        parts.append(f"\x1b_G{'a=T,f=100,' if number == 1 else ''}{more};{piece}\x1b\\")
    return "".join(parts) + "\n"


def iterm(image: Image.Image) -> str:
    """A picture by iTerm2's protocol, which WezTerm speaks, too."""
    data = _png(image)
    return f"\x1b]1337;File=inline=1;size={len(data)}:{base64.standard_b64encode(data).decode('ascii')}\a\n"


def sixel(image: Image.Image) -> str:
    """A picture as sixel, in 255 colours: bands of six rows, each colour of a band by itself."""
    few = image.convert("RGB").quantize(255)
    palette, pixels = few.getpalette() or [], np.asarray(few)
    height, width = pixels.shape
    parts = [f'\x1bPq"1;1;{width};{height}']
    for number in np.unique(pixels).tolist():
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * number : 3 * number + 3])
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        weights = 1 << np.arange(len(band))[:, np.newaxis]
        rows = [f"#{number}{_runs(((band == number) * weights).sum(0))}" for number in np.unique(band).tolist()]
        parts.append("$".join(rows) + "-")
    return "".join(parts) + "\x1b\\\n"


def _runs(columns: np.ndarray) -> str:
    """Columns of six dots, one after another; many alike in short."""
    ends = np.flatnonzero(np.diff(columns)) + 1
    starts = np.concatenate([[0], ends])
    lengths = np.diff(np.concatenate([starts, [len(columns)]]))
    return "".join(
        f"!{length}{chr(63 + value)}" if length > 3 else chr(63 + value) * length
        for value, length in zip(columns[starts].tolist(), lengths.tolist(), strict=True)
    )


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _asked(source: int, target: int) -> bytes:
    """What the terminal says of itself; empty where it is silent."""
    answer, end = b"", time.monotonic() + _SECONDS
    with _unechoed(source):
        os.write(target, _QUESTION)
        while _ATTRIBUTES.search(answer) is None:
            left = end - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                break
            if not (part := os.read(source, 1024)):
                break
            answer += part
    return answer


@contextmanager
def _unechoed(source: int) -> Iterator[None]:
    """The terminal hands over at once what comes, and does not show it."""
    import termios  # not on Windows

    before = termios.tcgetattr(source)
    during = termios.tcgetattr(source)
    during[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(source, termios.TCSANOW, during)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSANOW, before)
