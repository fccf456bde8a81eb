"""How far a long call is, for whoever waits for it: in a notebook or in a terminal."""

from __future__ import annotations

import sys
from html import escape
from typing import Any, Protocol

from ddsim.showing.brief import printable

_CLEARED = "\r\x1b[2K"


class HowFar(Protocol):
    """What long calls tell."""

    @property
    def stage(self) -> str:
        """What it does now."""
        ...

    @property
    def done(self) -> int:
        """How much of that is done."""
        ...

    @property
    def total(self) -> int | None:
        """Of how much; None where nobody knows."""
        ...


class ProgressBar:
    """Shows how far a call is: give it as the call's ``progress``.

    In a notebook it is a bar in the cell's output, which needs no widgets and stays with the notebook; in a terminal
    one line on standard error; elsewhere nothing. ::

        search.index("photos", progress=ddsim.ProgressBar())
    """

    def __init__(self) -> None:
        self._cell: Any = None
        self._told = "nothing told yet"

    def __repr__(self) -> str:
        return f"<ProgressBar: {self._told}>"

    def __call__(self, progress: HowFar) -> None:
        """Show what is told, in place of what was told before.

        Args:
            progress: such as :class:`ddsim.Progress`.
        """
        whole = "" if progress.total is None else f" of {progress.total:,}"
        self._told = f"{printable(progress.stage)}: {progress.done:,}{whole}"
        if _in_notebook():
            self._show_in_cell(progress)
        elif sys.stderr.isatty():
            ended = progress.total is not None and progress.done >= progress.total
            sys.stderr.write(_CLEARED + self._told + ("\n" if ended else ""))
            sys.stderr.flush()

    def _show_in_cell(self, progress: HowFar) -> None:
        import IPython.display

        displaying: Any = IPython.display
        value = "" if progress.total is None else f' value="{progress.done}" max="{max(progress.total, 1)}"'
        shown = displaying.HTML(f"<progress{value}></progress> {escape(self._told)}")
        if self._cell is None:
            self._cell = displaying.display(shown, display_id=True)
        else:
            self._cell.update(shown)


def _in_notebook() -> bool:
    """Whether this is a notebook's kernel; a terminal's IPython is a terminal."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
