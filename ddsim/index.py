"""`python -m ddsim.index`: the same as `ddsim index`."""

from __future__ import annotations

from ddsim.commands.start import start


def main() -> None:
    """Run the command line."""
    start("index_alone", "-m ddsim.index")


if __name__ == "__main__":
    main()
