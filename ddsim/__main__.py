"""`ddsim` and `python -m ddsim`: the commands under one name."""

from __future__ import annotations

from ddsim.commands.start import start


def main() -> None:
    """Run the command line."""
    start("main", "-m ddsim")


if __name__ == "__main__":
    main()
