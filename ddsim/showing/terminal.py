"""Sketches for terminals, as rich draws them; whatever would move the cursor is written as an escape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddsim.showing.brief import printable
from ddsim.showing.sketch import Sketch, Table

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table as Drawn


def rendered(sketch: Sketch) -> Group:
    """What ``rich.print`` shows; pictures are named, not drawn."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(printable(sketch.title), style="bold")]
    parts += [Text(printable(note), style="yellow") for note in sketch.notes]
    if sketch.chips:
        parts.append(Text("  ".join(f"{printable(name)} {value}" for name, value in sketch.chips)))
    if sketch.facts:
        parts.append(_table(Table(("", ""), sketch.facts), heads=False))
    if sketch.tiles:
        rows = [(str(place), tile.name, tile.note) for place, tile in enumerate(sketch.tiles, 1)]
        parts.append(_table(Table(("", "", ""), rows), heads=False))
    for table in sketch.tables:
        parts.append(_table(table))
        if table.more:
            parts.append(Text(f"and {table.more:,} more", style="dim"))
    return Group(*parts)


def _table(table: Table, *, heads: bool = True) -> Drawn:
    from rich.table import Table as Drawn
    from rich.text import Text

    title = Text(printable(table.title)) if table.title else None
    made = Drawn(title=title, title_justify="left", box=None, pad_edge=False, show_header=heads)
    for head in table.heads:
        made.add_column(Text(printable(head)), overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made
