"""How results show themselves: in a line, as plain values, in notebooks, in terminals and as data frames.

A result says what there is to see of it once, as a :class:`Sketch`; HTML for notebooks and rich's renderables are both
drawn from that, and everything in it is escaped there. What is written into files is there whole or as before. Uses the
errors only; every house above may give its results these ways.
"""

from ddsim.showing.bar import ProgressBar
from ddsim.showing.brief import clipped, counted, percent, printable, several
from ddsim.showing.frames import DataFrame, data_frame
from ddsim.showing.html import data_uri, filled, save_page
from ddsim.showing.listing import Listing
from ddsim.showing.plain import plain
from ddsim.showing.saving import save_files
from ddsim.showing.shown import Shown, Value
from ddsim.showing.sketch import Sketch, Table, Tile

__all__ = [
    "DataFrame",
    "Listing",
    "ProgressBar",
    "Shown",
    "Sketch",
    "Table",
    "Tile",
    "Value",
    "clipped",
    "counted",
    "data_frame",
    "data_uri",
    "filled",
    "percent",
    "plain",
    "printable",
    "save_files",
    "save_page",
    "several",
]
