"""`python -m ddsim.index`: the same as `ddsim index`."""

from __future__ import annotations

import typer

from ddsim.commands.index import EPILOG, index


def main() -> None:
    """Run the command line."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False)
    app.command(epilog=EPILOG)(index)
    app(prog_name="python -m ddsim.index")


if __name__ == "__main__":
    main()
