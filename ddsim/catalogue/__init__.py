"""What is there, and what is indexed: the folder of reference pictures as items, and the manifest that keeps account.

The manifest is an SQLite file: which item is indexed under which number, which failed and why, and what a run has to
do. Uses the errors only; vectors, indexing and search work with it.
"""

from ddsim.catalogue.address import SCHEMES, Address, Where, address_in, place_named
from ddsim.catalogue.database import transaction
from ddsim.catalogue.folder import Entry, Item, named_folder, pictures_below, scan, walk
from ddsim.catalogue.locks import Locks
from ddsim.catalogue.looking import look_at
from ddsim.catalogue.manifest import Manifest
from ddsim.catalogue.plan import Change, Plan
from ddsim.catalogue.productfiles import FILES as PRODUCT_FILES
from ddsim.catalogue.productfiles import Product, ProductFile, read_products
from ddsim.catalogue.productfiles import key as product_key
from ddsim.catalogue.products import PRODUCTS, product_of, product_pattern
from ddsim.catalogue.records import ItemState, Records, Row
from ddsim.catalogue.rules import IGNORE_FILE, MARK_FILE, Kind, Patterns, Rules, compiled
from ddsim.catalogue.spelling import Names, choices, is_nowhere, on_disk, same_name, spelled, writings
from ddsim.catalogue.survey import Survey, Tally, is_named_like_a_picture
from ddsim.catalogue.whereabouts import Verdict, note_whereabouts, noted_place, whereabouts

__all__ = [
    "IGNORE_FILE",
    "MARK_FILE",
    "PRODUCTS",
    "PRODUCT_FILES",
    "SCHEMES",
    "Address",
    "Change",
    "Entry",
    "Item",
    "ItemState",
    "Kind",
    "Locks",
    "Manifest",
    "Names",
    "Patterns",
    "Plan",
    "Product",
    "ProductFile",
    "Records",
    "Row",
    "Rules",
    "Survey",
    "Tally",
    "Verdict",
    "Where",
    "address_in",
    "choices",
    "compiled",
    "is_named_like_a_picture",
    "is_nowhere",
    "look_at",
    "named_folder",
    "note_whereabouts",
    "noted_place",
    "on_disk",
    "pictures_below",
    "place_named",
    "product_key",
    "product_of",
    "product_pattern",
    "read_products",
    "same_name",
    "scan",
    "spelled",
    "transaction",
    "walk",
    "whereabouts",
    "writings",
]
