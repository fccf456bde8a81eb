"""A shop for the tests of the page, and the page over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from shop import Shop

from ddsim.web.app import create_app
from ddsim.web.limits import Limits

ADDRESS = "http://127.0.0.1"
PER_CATEGORY = 6
NASTY = "<img src=x onerror=alert(1)>"
PRODUCTS = f"""uri,name,price,url
lamp/a0.png,Tall lamp,49.90 EUR,https://shop.example/lamp?id=1&b=2
lamp/a1.png,"{NASTY}",<b>1</b>,javascript:alert(1)
lamp/a2.png,"{NASTY}",<b>1</b>,
bed/nobody.png,Nobody's bed,,
"""


def stocked(shop: Shop) -> Shop:
    """Put six lamps and six beds on the shelves, with product data of some, and index them."""
    for category in ("bed", "lamp"):
        shop.add(*(f"{category}/a{number}.png" for number in range(PER_CATEGORY)))
    (shop.catalogue / "products.csv").write_text(PRODUCTS, "utf-8")
    with shop.search() as search:
        search.index()
    return shop


def app_of(shop: Shop, limits: Limits | None = None, **more: Any) -> FastAPI:
    """The application over a shop."""
    return create_app(shop.settings, client=shop.client(), limits=limits, **more)


@dataclass(frozen=True)
class Served:
    """The page on a port of this machine.

    Attributes:
        url: where, without a slash at the end.
        shop: what it is over; ``shop.tap.faults`` spoils what the server behind it answers.
    """

    url: str
    shop: Shop
