"""`ddsim catalogue`: what is indexed, what could not be, and taking pictures out."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ddsim.catalogue import ItemState
from ddsim.commands.common import (
    DEFAULT_CONFIG,
    SOME_FAILED,
    ConfigOption,
    JsonOption,
    err,
    given,
    log_to_terminal,
    out,
    print_json,
    printable,
    reported,
)
from ddsim.config import load
from ddsim.search import Collection, ImageSearch
from ddsim.web.products import Matching, Products, indexed

app = typer.Typer(no_args_is_help=True, help="Look at what is indexed, and take pictures out of the index.")

CatalogueOption = Annotated[Path | None, typer.Option(help="The folder, if not the one that is searched by default.")]


@app.command("list")
def list_items(
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    catalogue: CatalogueOption = None,
    json: JsonOption = False,
) -> None:
    """List the pictures that are indexed, one a line."""
    log_to_terminal(False)
    with reported(), _collection(config, catalogue) as collection:
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


@app.command()
def count(config: ConfigOption = DEFAULT_CONFIG, catalogue: CatalogueOption = None, json: JsonOption = False) -> None:
    """Count pictures by category and by state."""
    log_to_terminal(False)
    with reported(), _collection(config, catalogue) as collection:
        categories = collection.records.categories()
        states = {state.value: number for state, number in collection.records.counts().items()}
    if json:
        print_json({"categories": categories, "states": states})
        return
    for name, number in categories.items():
        out.print(f"{number:8d} {printable(name)}", markup=False)
    out.print(", ".join(f"{number} {state}" for state, number in states.items() if number) or "nothing is indexed")


@app.command()
def failures(
    config: ConfigOption = DEFAULT_CONFIG, catalogue: CatalogueOption = None, json: JsonOption = False
) -> None:
    """List the pictures that could not be indexed, with the reason. Exit code 1 if there are any."""
    log_to_terminal(False)
    with reported(), _collection(config, catalogue) as collection:
        failed = list(collection.failures())
    if json:
        print_json({"failed": [one.to_dict() for one in failed]})
    else:
        for one in failed:
            out.print(f"{printable(one.uri)}: {printable(one.reason)}", markup=False)
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command()
def products(
    config: ConfigOption = DEFAULT_CONFIG, catalogue: CatalogueOption = None, json: JsonOption = False
) -> None:
    """Show how products.csv or products.json matches what is indexed. Exit code 1 if some of it matches nothing."""
    log_to_terminal(False)
    logging.getLogger("ddsim.web.products").setLevel(logging.ERROR)  # it tells in short what is listed here
    with reported(), _collection(config, catalogue) as collection:
        found = Products(lambda: collection.catalogue, lambda: indexed(collection.manifest)).matching()
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
    total = f"{found.matched} of {found.products} products match one of {found.pictures} indexed pictures"
    out.print(f"{found.file}: {total}", markup=False)


@app.command()
def remove(
    uris: Annotated[list[str], typer.Argument(help="Names as `ddsim catalogue list` shows them.")],
    config: ConfigOption = DEFAULT_CONFIG,
    catalogue: CatalogueOption = None,
) -> None:
    """Take pictures out of the index at once. Remove their files too, or the next `ddsim index` adds them again."""
    log_to_terminal(False)
    with reported():
        settings = load(config)
        with ImageSearch(settings, given(catalogue)) as search:
            known = [uri for uri in uris if search.collection.manifest.find(uri) is not None]
            for uri in uris:
                if uri not in known:
                    err.print(f"not in the catalogue: {printable(uri)}", markup=False)
            removed = search.collection.remove(known)
    out.print(f"{removed} removed")
    if removed < len(uris):
        raise typer.Exit(SOME_FAILED)


def _collection(config: Path, catalogue: Path | None) -> Collection:
    return Collection(load(config), None, given(catalogue))
