"""`ddsim search`: the category of a photo and its most similar reference pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len

from ddsim.commands.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    VerboseOption,
    given,
    log_to_terminal,
    out,
    print_json,
    printable,
    reported,
    save_png,
)
from ddsim.config import load
from ddsim.search import ImageSearch, Neighbour, SearchResult, contact_sheet

EPILOG = """
Examples:

  ddsim search photo.jpg                           ten most similar

  ddsim search photo.jpg --category lamp -k 5      lamps only

  ddsim search photo.jpg --all                     in all categories, whatever the photo shows

  ddsim search photo.jpg --sheet found.png         draw a contact sheet

  ddsim search --json photo.jpg | jq -r '.neighbours[].uri'

Put -- before a photo whose name begins with a dash: ddsim search -- -photo.jpg

Exit codes: 0 all well, 2 wrong use or not a picture, 3 trouble with the server.
"""


def search(
    photo: Annotated[Path, typer.Argument(help="The picture to search for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many similar pictures.")] = 10,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Search this category, whatever the photo shows. Give it several times for several categories."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Search all categories.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Draw a contact sheet into this PNG file.")] = None,
    catalogue: Annotated[
        Path | None, typer.Option(help="Folder of the reference pictures, if not the one that is searched by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    twins: Annotated[
        bool, typer.Option("--twins", help="List pictures with the same content one by one, not as one.")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the reference pictures most similar to a photo, and what it shows."""
    log_to_terminal(verbose)
    with reported(), ImageSearch(load(config), given(catalogue)) as searcher:
        photo = given(photo)
        result = searcher.query(photo, k, category=category or None, route=not everything, twins=twins)
        if json:
            print_json({**result.to_dict(), "sheet": None if sheet is None else str(sheet)})
        else:
            _print(result)
        if sheet is not None:
            save_png(contact_sheet(result, photo, searcher.catalogue), sheet, "--sheet")
            if not json:
                out.print(f"sheet: {printable(str(sheet))}", markup=False)


def _print(result: SearchResult) -> None:
    shares = [(one.name, one.probability) for one in result.categories]
    shares = shares or [(label.name, label.probability) for label in result.labels]
    if shares:
        text = "  ".join(f"{printable(name)} {share:.1%}" for name, share in shares[:3])
        out.print(text, style="bold", markup=False)
    out.print(f"searched: {', '.join(map(printable, result.searched)) or 'all categories'}", style="dim", markup=False)
    if result.remark:
        out.print(f"warning: {printable(result.query)}: {result.remark}", style="yellow", markup=False)
    if result.nothing_similar:
        out.print(f"Nothing similar enough: {result.nothing_similar}.", style="yellow", markup=False)
    if result.neighbours:
        head, *rows = _aligned(result.neighbours)
        out.print(head, style="dim", markup=False)
        for row in rows:
            out.print(row, markup=False)
    else:
        out.print("Nothing found.")


def _aligned(neighbours: Iterable[Neighbour]) -> list[str]:
    """A line of headings and one for each neighbour. Rich's own tables would fold long names in a pipe."""
    rows: list[tuple[str, ...]] = [("", "picture", "category", "distance", "score", "the same picture")]
    for one in neighbours:
        name, category = printable(one.uri), printable(one.category)
        rows.append((str(one.rank), name, category, f"{one.distance:.4g}", f"{one.score:.1%}", _twins(one)))
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _twins(one: Neighbour) -> str:
    if not one.also:
        return ""
    more = len(one.also) - 1
    return f"also {printable(one.also[0])}" + (f" and {more} more" if more else "")
