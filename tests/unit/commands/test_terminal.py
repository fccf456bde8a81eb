"""Pictures in the terminal: who says that it can show them, and what is written to it."""

from __future__ import annotations

import base64
import io
import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from ddsim.commands import terminal

DRAWN = Image.fromarray(np.random.default_rng(1).integers(0, 255, (31, 50, 3), np.uint8))


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A terminal that answers the question with this."""
    outer, inner = pty.openpty()

    def answer_it() -> None:
        asked = b""
        while not asked.endswith(b"\x1b[c"):
            asked += os.read(outer, 1024)
        os.write(outer, answer)

    thread = threading.Thread(target=answer_it, daemon=True)
    thread.start()
    try:
        yield inner
    finally:
        if thread.is_alive():
            os.write(inner, b"\x1b[c")
        thread.join(5)
        os.close(inner)
        os.close(outer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c", terminal.kitty),
        (b"\x1b[?62;4;22c", terminal.sixel),
        (b"\x1b[?4;1c", None),
        (b"\x1b_Gi=31;ENOTSUP\x1b\\\x1b[?1;2c", None),
        (b"\x1b[?64;14;42c", None),
    ],
)
def test_the_terminal_is_asked(answer: bytes, expected: object) -> None:
    """What it can is what it says."""
    with answering(answer) as inner:
        assert terminal.protocol(inner, inner, {"TERM": "xterm"}) is expected


def test_a_silent_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing shows no pictures, and is not waited for."""
    monkeypatch.setattr(terminal, "_SECONDS", 0.01)
    outer, inner = pty.openpty()
    try:
        assert terminal.protocol(inner, inner, {"TERM": "xterm"}) is None
    finally:
        os.close(inner)
        os.close(outer)


def test_without_being_asked() -> None:
    """iTerm2 says it in its environment; pipes and dumb terminals are not asked."""
    outer, inner = pty.openpty()
    reading, writing = os.pipe()
    try:
        assert terminal.protocol(inner, inner, {"TERM_PROGRAM": "iTerm.app"}) is terminal.iterm
        assert terminal.protocol(inner, inner, {"TERM": "dumb"}) is None
        assert terminal.protocol(reading, writing, {"TERM_PROGRAM": "iTerm.app"}) is None
    finally:
        for one in (outer, inner, reading, writing):
            os.close(one)


def same(data: bytes) -> bool:
    """Whether some base64 is the picture."""
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.array_equal(np.asarray(image), np.asarray(DRAWN))


def test_kitty() -> None:
    """The pieces are short, each but the last says that more comes, and together they are the picture."""
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", terminal.kitty(DRAWN))
    assert pieces[0][0].startswith("a=T,f=100,")
    assert [options[-3:] for options, _ in pieces] == ["m=1"] * (len(pieces) - 1) + ["m=0"]
    assert max(len(data) for _, data in pieces) <= 4096
    assert same("".join(data for _, data in pieces).encode())


def test_iterm() -> None:
    """The whole picture in one."""
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+):([^\a]*)\a\n", terminal.iterm(DRAWN))
    assert found
    assert len(base64.b64decode(found[2])) == int(found[1])
    assert same(found[2].encode())


def test_sixel() -> None:
    """Read back by the rules of sixel it is the picture in few colours."""
    text = terminal.sixel(DRAWN)
    assert text.startswith('\x1bPq"1;1;50;31')
    assert text.endswith("\x1b\\\n")
    shown = np.zeros((36, 50, 3))
    palette: dict[int, list[int]] = {}
    row = column = number = 0
    for found in re.finditer(
        r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([$-])|([?-~])", text[len('\x1bPq"1;1;50;31') : -3]
    ):
        if found[1]:
            palette[int(found[1])] = [int(found[part]) for part in (2, 3, 4)]
        elif found[5]:
            number = int(found[5])
        elif found[8]:
            row, column = row + 6 * (found[8] == "-"), 0
        else:
            count, sign = (int(found[6]), found[7]) if found[6] else (1, found[9])
            for dot in range(6):
                if (ord(sign) - 63) >> dot & 1:
                    shown[row + dot, column : column + count] = palette[number]
            column += count
    few = np.asarray(DRAWN.quantize(255).convert("RGB"), float)
    assert np.abs(shown[:31] * 2.55 - few).max() < 2


def test_wide_pictures_are_made_smaller() -> None:
    """What is wider than most terminals is not cut off by them; a small one stays."""
    assert terminal.fitted(Image.new("RGB", (1400, 700))).size == (1000, 500)
    assert terminal.fitted(DRAWN) is DRAWN
