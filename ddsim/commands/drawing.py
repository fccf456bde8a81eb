"""Contact sheets of `ddsim search`: into files, into the browser, into the terminal."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from ddsim.commands.common import err, out, save_png
from ddsim.commands.terminal import Protocol, fitted
from ddsim.pictures import Picture
from ddsim.search import SearchResult, contact_sheet
from ddsim.showing import printable
from ddsim.sources import Source


@dataclass(frozen=True)
class Drawing:
    """Where sheets go.

    Attributes:
        file: PNG file; None for none. Of several photos each has a file with its number in the name.
        browser: whether the sheet is shown there.
        protocol: writes it into the terminal; None where it is not to be seen there.
        numbered: whether there are several photos.
    """

    file: Path | None
    browser: bool
    protocol: Protocol | None
    numbered: bool

    def place(self, number: int) -> Path | None:
        """The file of the photo with this number, from 1."""
        if self.file is None or not self.numbered:
            return self.file
        return self.file.with_name(f"{self.file.stem}-{number}{self.file.suffix}")

    def draw(self, result: SearchResult, photo: Picture, catalogue: Source, number: int, *, quiet: bool) -> None:
        """Draw a result wherever it is wanted.

        Raises:
            ConfigError: the file cannot be written.
        """
        file = self.place(number)
        if file is None and not self.browser and self.protocol is None:
            return
        sheet = contact_sheet(result, photo, catalogue)
        if self.protocol is not None:
            sys.stdout.write(self.protocol(fitted(sheet)))
            sys.stdout.flush()
        if file is None and self.browser:
            # The browser reads it after this process has ended.
            file = Path(tempfile.mkdtemp(prefix="ddsim-")) / "sheet.png"
        if file is not None:
            save_png(sheet, file, "--sheet")
            if not quiet:
                out.print(f"sheet: {printable(str(file))}", markup=False)
        if self.browser and file is not None and not webbrowser.open(file.absolute().as_uri()):
            err.print(f"no browser was found: look at {printable(str(file))}", markup=False)
