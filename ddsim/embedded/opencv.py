"""What both readers of networks know of OpenCV's DNN module."""

from __future__ import annotations

#: Larger passes are no faster, and from 32 pictures on slower, as their blobs no longer fit the processor's cache.
LARGEST_PASS = 8


def reason(problem: Exception) -> str:
    """An error's message without OpenCV's place in its own source, and in one line."""
    return " ".join(str(getattr(problem, "err", "") or problem).split())
