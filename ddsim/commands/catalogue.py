"""`ddsim catalogue`: what is indexed, what could not be, and taking pictures out."""

from __future__ import annotations

import fnmatch
import logging
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ddsim.catalogue import ItemState, Manifest, same_name
from ddsim.commands.common import (
    DEFAULT_CONFIG,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    Typed,
    check_place,
    err,
    given_catalogue,
    log_to_terminal,
    out,
    print_json,
    reported,
)
from ddsim.config import load
from ddsim.search import Collection, ImageSearch, write_vectors, writer_for
from ddsim.showing import counted, printable
from ddsim.web.products import Matching, Products, indexed

app = typer.Typer(no_args_is_help=True, help="Look at what is indexed, and take pictures out of the index.")

_PATTERN = re.compile(r"[*?\[]")
_LIST_EPILOG = """
Examples:

  ddsim catalogue list --category lamp

  ddsim catalogue list --json | jq '.indexed[]'

Exit codes: 0 all well, 2 wrong use, such as a category that is not known.
"""
_COUNT_EPILOG = """
Examples:

  ddsim catalogue count --catalogue photos/

  ddsim catalogue count --json | jq .categories

Exit codes: 0 all well, 2 wrong use.
"""
_FAILURES_EPILOG = """
Examples:

  ddsim catalogue failures

  ddsim catalogue failures --json | jq '.failed[].uri'

Exit codes: 0 there are none, 1 there are some, 2 wrong use.
"""
_PRODUCTS_EPILOG = """
Examples:

  ddsim catalogue products --catalogue photos/

Exit codes: 0 all of it matches, 1 some of it does not, or the file cannot be read, 2 wrong use.
"""
_REMOVE_EPILOG = """
Examples:

  ddsim catalogue remove lamp/lamp-007.jpg

  ddsim catalogue remove 'lamp/*' 'bed/old-??.png' --dry-run

Exit codes: 0 all well, 1 something is not in the catalogue, and the rest is removed, 2 wrong use, 3 trouble with the
server.
"""
_EXPORT_EPILOG = """
Examples:

  ddsim catalogue export vectors.npz             in Python: numpy.load("vectors.npz")["vectors"]

  ddsim catalogue export vectors.parquet --category lamp

Exit codes: 0 all well, 2 wrong use, 3 trouble with the server, or what writes such a file is not installed.
"""
# In the words of all other output.
_STATES = {ItemState.QUARANTINED: "failed"}
_WAITING = (ItemState.PENDING, ItemState.SENDING, ItemState.ADDED)
CatalogueOption = Annotated[Path | None, typer.Option(help="The folder, if not the one that is searched by default.")]


@app.command("list", epilog=_LIST_EPILOG)
def list_items(
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    catalogue: CatalogueOption = None,
    json: JsonOption = False,
) -> None:
    """List the pictures that are indexed, one a line."""
    log_to_terminal(False)
    with reported(typed=Typed(config, catalogue)), _collection(config, catalogue) as collection:
        if category is not None:
            (category,) = collection.check((category,))
        uris, after = [], ""
        while rows := collection.records.rows(ItemState.INDEXED, category=category, after=after):
            if json:
                uris += [row.uri for row in rows]
            else:
                for row in rows:
                    out.print(printable(row.uri), markup=False)
            after = rows[-1].uri
        if json:
            print_json({"indexed": uris})


@app.command(epilog=_COUNT_EPILOG)
def count(config: ConfigOption = DEFAULT_CONFIG, catalogue: CatalogueOption = None, json: JsonOption = False) -> None:
    """Count pictures by category and by state."""
    log_to_terminal(False)
    with reported(typed=Typed(config, catalogue)), _collection(config, catalogue) as collection:
        categories, states = collection.records.categories(), collection.records.counts()
        failed = sum(1 for _ in collection.failures())
    if json:
        told = {_STATES.get(state, state.value): number for state, number in states.items()}
        print_json({"categories": categories, "states": told, "failed": failed})
        return
    for name, number in categories.items():
        out.print(f"{number:8d} {printable(name)}", markup=False)
    # As `failures` counts: folders that could not be read, too.
    indexed, waiting = states[ItemState.INDEXED], sum(states[state] for state in _WAITING)
    words = [f"{indexed} indexed" if indexed else "nothing is indexed"]
    words += [f"{waiting} waiting to be indexed"] if waiting else []
    words += [f"{failed} could not be indexed (`ddsim catalogue failures` says why)"] if failed else []
    out.print(Typed(config, catalogue).completed(", ".join(words)), markup=False)


@app.command(epilog=_FAILURES_EPILOG)
def failures(
    config: ConfigOption = DEFAULT_CONFIG, catalogue: CatalogueOption = None, json: JsonOption = False
) -> None:
    """List the pictures that could not be indexed, with the reason."""
    log_to_terminal(False)
    with reported(typed=Typed(config, catalogue)), _collection(config, catalogue) as collection:
        failed = list(collection.failures())
    if json:
        print_json({"failed": [one.to_dict() for one in failed]})
    else:
        for one in failed:
            out.print(f"{printable(one.uri)}: {printable(one.reason)}", markup=False)
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command(epilog=_PRODUCTS_EPILOG)
def products(
    config: ConfigOption = DEFAULT_CONFIG, catalogue: CatalogueOption = None, json: JsonOption = False
) -> None:
    """Show how products.csv or products.json matches what is indexed."""
    log_to_terminal(False)
    logging.getLogger("ddsim.web.products").setLevel(logging.ERROR)  # it tells in short what is listed here
    with reported(typed=Typed(config, catalogue)), _collection(config, catalogue) as collection:
        found = Products(lambda: collection.source.folder, lambda: indexed(collection.manifest)).matching()
        folder = collection.catalogue
    if json:
        print_json(asdict(found))
    elif found.file is None:
        out.print(f"no products.csv or products.json in {printable(str(folder))}", markup=False)
    else:
        _list_products(found)
    if found.problem or found.unmatched or found.left_out:
        raise typer.Exit(SOME_FAILED)


def _list_products(found: Matching) -> None:
    if found.problem:
        err.print(f"{found.file} cannot be read: {printable(found.problem)}", markup=False)
        return
    for one in found.unmatched:
        near = f"; {printable(one.near)} may be meant" if one.near else ""
        out.print(f"{printable(one.uri)}: no picture of that name is indexed{near}", markup=False)
    for text in found.left_out:
        out.print(f"left out: {printable(text)}", markup=False)
    for text in found.notes:
        out.print(f"note: {printable(text)}", markup=False)
    if not found.products:
        out.print(f"{found.file}: there is no product in it that can be used", markup=False)
        return
    pictures = counted(found.pictures, "indexed picture")
    total = f"{found.matched} of {counted(found.products, 'product')} "
    out.print(f"{found.file}: {total}{'matches' if found.products == 1 else 'match'} one of {pictures}", markup=False)


@app.command(epilog=_REMOVE_EPILOG)
def remove(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="Names as `ddsim catalogue list` shows them, or patterns such as 'lamp/*'."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    catalogue: CatalogueOption = None,
    json: JsonOption = False,
) -> None:
    """Take pictures out of the index at once. Remove their files too, or the next `ddsim index` adds them again.

    In a pattern * stands for any letters, / among them, ? for one, and [ab] for one of these. Quote it, or the shell
    takes it for itself.
    """
    log_to_terminal(False)
    with reported(typed=Typed(config, catalogue)), ImageSearch(load(config), given_catalogue(catalogue)) as search:
        found = {name: _meant(search.collection.manifest, name) for name in names}
        unknown = [name for name, uris in found.items() if not uris]
        uris = list(dict.fromkeys(uri for some in found.values() for uri in some))
        if uris and not dry_run:
            search.collection.remove(uris)
    for name in unknown:
        err.print(f"not in the catalogue: {printable(name)}", markup=False)
    if json:
        print_json({"removed": [] if dry_run else uris, "found": uris, "unknown": unknown})
    else:
        for uri in uris if dry_run else ():
            out.print(printable(uri), markup=False)
        out.print(f"{len(uris)} would be removed" if dry_run else f"{len(uris)} removed")
    if unknown:
        raise typer.Exit(SOME_FAILED)


def _meant(manifest: Manifest, name: str) -> list[str]:
    """The items that a name or a pattern stands for."""
    if (row := manifest.find(name)) is not None:
        return [row.uri]
    if not _PATTERN.search(name):
        return []
    pattern, found, after = re.compile(fnmatch.translate(same_name(name))), [], ""
    while rows := manifest.rows(after=after):
        found += [row.uri for row in rows if pattern.match(same_name(row.uri)) or pattern.match(printable(row.uri))]
        after = rows[-1].uri
    return found


@app.command(epilog=_EXPORT_EPILOG)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: a file that ends in .npz or .parquet.")],
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    catalogue: CatalogueOption = None,
    json: JsonOption = False,
) -> None:
    """Write the vectors of what is indexed, as the network gave them, with their names, for other programs."""
    log_to_terminal(False)
    with reported(typed=Typed(config, catalogue)):
        writer_for(file)  # before vectors are asked for
        check_place(file)
        with ImageSearch(load(config), given_catalogue(catalogue)) as search:
            found = search.vectors(category)
        write_vectors(found, file)
    count, values = found.vectors.shape
    if json:
        print_json({"file": str(file), "items": count, "values": values})
    else:
        words = f"{counted(count, 'vector')} of {counted(values, 'value')}"
        out.print(f"wrote {printable(str(file))}: {words}", markup=False)


def _collection(config: Path, catalogue: Path | None) -> Collection:
    return Collection(load(config), None, given_catalogue(catalogue))
