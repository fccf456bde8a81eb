"""`ddsim search`: the category of a photo and its most similar reference pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len

from ddsim.commands.common import (
    DEFAULT_CONFIG,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    Typed,
    VerboseOption,
    check_not_both,
    check_png,
    given_catalogue,
    log_to_terminal,
    out,
    print_json,
    reported,
    say,
)
from ddsim.commands.drawing import Drawing
from ddsim.commands.photos import Failed, Photo, Photos
from ddsim.commands.terminal import Protocol, protocol
from ddsim.config import load
from ddsim.errors import InvalidRequest
from ddsim.pictures import Fetching
from ddsim.search import ImageSearch, Neighbour, SearchResult
from ddsim.showing import printable

EPILOG = """
Examples:

  ddsim search photo.jpg                           ten most similar

  ddsim search photo.jpg --category lamp -k 5      lamps only

  ddsim search photo.jpg --all                     in all categories, whatever the photo shows

  ddsim search photo.jpg --sheet found.png         draw a contact sheet

  ddsim search photo.jpg --open                    draw one and show it in the browser

  ddsim search photos/ other.jpg                   all pictures of a folder, and one more

  ddsim search https://shop.example/lamp.jpg       fetch the photo first

  curl -s http://camera/now.jpg | ddsim search -   a photo from standard input

  ddsim search photo.jpg --paths | xargs ls -l     the paths of what was found

  ddsim search --json photo.jpg | jq -r '.neighbours[].uri'

With several photos --json prints {"results": [...], "failed": [...]}, and --sheet found.png writes found-1.png,
found-2.png and so on. Put -- before a photo whose name begins with a dash: ddsim search -- -photo.jpg

Exit codes: 0 all well, 1 some of several photos cannot be searched for, 2 wrong use or not a picture, 3 trouble with
the server.
"""


def search(
    photos: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO",
            help="Pictures to search for: files, folders, addresses (http, https), or - for standard input.",
        ),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="How many similar pictures.")] = 10,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Search this category, whatever the photo shows. Give it several times for several categories."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Search all categories.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Draw a contact sheet into this PNG file.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Draw a contact sheet and show it in the browser.")] = False,
    pictures: Annotated[
        bool | None,
        typer.Option(
            "--pictures/--no-pictures",
            help="Show the sheet in the terminal, too. By default where it says that it can (kitty, iTerm2, sixel).",
        ),
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(help="Folder of the reference pictures, if not the one that is searched by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    twins: Annotated[
        bool, typer.Option("--twins", help="List pictures with the same content one by one, not as one.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Fetch addresses of this machine and its own network, too.")
    ] = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="Print the paths of the similar pictures, one a line.")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the reference pictures most similar to a photo, and what it shows."""
    log_to_terminal(verbose)
    with reported(typed=Typed(config, catalogue)):
        check_not_both("--all searches every category, and --category some of them", everything and category)
        check_not_both("--json and --paths print different things", json and paths)
        check_not_both("--pictures shows the sheet among what --json or --paths print", pictures and (json or paths))
        check_png(sheet, "--sheet")
        settings = load(config)
        upload = settings.upload_options()
        asked = Photos(photos, upload, Fetching(upload.max_bytes, allow_private=allow_private))
        check_not_both("--open shows the sheet of one photo; --sheet draws those of several", show and asked.several)
        drawing = Drawing(sheet, show, None if json or paths else _protocol(pictures), asked.several)
        with ImageSearch(settings, given_catalogue(catalogue)) as searcher:
            searcher.collection.check(category)  # before anything is fetched
            answers = _answers(searcher, asked, k, category or None, not everything, twins, not paths)
            failed = _print_json(searcher, answers, drawing, asked) if json else 0
            if not json:
                failed = _print_text(searcher, answers, drawing, asked, paths)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _protocol(wanted: bool | None) -> Protocol | None:
    """How the terminal shows pictures; None where it does not, or nobody wants it to."""
    if wanted is False:
        return None
    found = protocol()
    if wanted and found is None:
        raise InvalidRequest("--pictures: this terminal does not say that it can show pictures; --open shows the sheet")
    return found


def _answers(
    searcher: ImageSearch,
    photos: Photos,
    k: int,
    category: list[str] | None,
    route: bool,
    twins: bool,
    labels: bool,
) -> Iterator[tuple[Photo, SearchResult] | Failed]:
    """What is found for each photo, in their order; photos go in batches, and those that cannot be read alone."""
    batch: list[Photo | Failed] = []
    for last, photo in enumerate(photos, 1):
        if isinstance(photo, Failed) and not photos.several:
            raise photo.error
        batch.append(photo)
        if len(batch) < searcher.settings.index.batch_size and last < len(photos):
            continue
        readable = [one for one in batch if isinstance(one, Photo)]
        encoded = [one.encoded for one in readable]
        found = iter(
            searcher.query_many(encoded, k, category=category, route=route, twins=twins, labels=labels)
            if encoded
            else ()
        )
        for one in batch:
            if isinstance(one, Failed):
                yield one
            else:
                yield one, replace(next(found), query=one.name, photo=one.content)
        batch = []


_Answers = Iterator[tuple[Photo, SearchResult] | Failed]


def _print_text(searcher: ImageSearch, answers: _Answers, drawing: Drawing, photos: Photos, paths: bool) -> int:
    """Print what was found as it comes; return how many photos failed."""
    failed = 0
    for number, answer in enumerate(answers, 1):
        if isinstance(answer, Failed):
            failed += 1
            say(answer.error)
            continue
        photo, result = answer
        if paths:
            for one in result.neighbours:
                _print_path(searcher.collection.source.place(one.uri))
        else:
            if number > 1:
                out.print()
            if photos.several:
                out.print(printable(photo.name), style="underline", markup=False)
            _print(result)
        drawing.draw(result, photo.content, searcher.collection.source, number, quiet=paths)
    return failed


def _print_json(searcher: ImageSearch, answers: _Answers, drawing: Drawing, photos: Photos) -> int:
    """Print all that was found as one object; return how many photos failed."""
    results: list[dict[str, object]] = []
    failed: list[dict[str, str]] = []
    draws: list[Callable[[], None]] = []
    for number, answer in enumerate(answers, 1):
        if isinstance(answer, Failed):
            failed.append({"query": answer.name, "reason": answer.error.reason})
            say(answer.error)
            continue
        photo, result = answer
        place = drawing.place(number)
        results.append({**result.to_dict(), "sheet": None if place is None else str(place)})
        draws.append(partial(drawing.draw, result, photo.content, searcher.collection.source, number, quiet=True))
    print_json({"results": results, "failed": failed} if photos.several else results[0])
    for draw in draws:
        draw()
    return len(failed)


def _print_path(path: str) -> None:
    """For other programs as the disk has it; for people without what moves a terminal's cursor."""
    if out.is_terminal:
        out.print(printable(path), markup=False)
    else:
        typer.echo(os.fsencode(path))


def _print(result: SearchResult) -> None:
    shares = [(one.name, one.probability) for one in result.categories]
    shares = shares or [(label.name, label.probability) for label in result.labels]
    if shares:
        text = "  ".join(f"{printable(name)} {share:.1%}" for name, share in shares[:3])
        out.print(text, style="bold", markup=False)
    out.print(f"searched: {', '.join(map(printable, result.searched)) or 'all categories'}", style="dim", markup=False)
    if result.categories and result.labels:
        text = "  ".join(f"{printable(one.name)} {one.probability:.1%}" for one in result.labels[:3])
        out.print(f"labels: {text}", style="dim", markup=False)
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
