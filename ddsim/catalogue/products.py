"""Which product a picture shows, as far as its name tells."""

from __future__ import annotations

import re

from ddsim.errors import InvalidRequest

_VIEWS = "view|angle|side|front|back|left|right|top|detail|pose"
_END = rf"(?:[-_. ](?:{_VIEWS})[-_. ]?\d*)?\.[^./]+$"
_WORDS = f"img|image|photo|picture|pic|foto|bild|scan|frame|file|item|product|{_VIEWS}|_?dsc|dsc[fn]|pxl|p(?=\\d{{7}})"
_COUNTER = rf"(?i:(?:{_WORDS})?[-_. ]?\d+(?:[-_. ]+(?:wa)?\d+)*)"

#: A product is the picture's name without its view, and its folders too where that name is no more than a number, with
#: or without a word of cameras and lists: lamp-007 of lamp/lamp-007.jpg, of lamp/lamp-007-view2.jpg and of
#: lamp/desk/lamp-007_side.jpg, but lamp/desk/001 of lamp/desk/001.jpg and lamp/floor/IMG_2024_01 of
#: lamp/floor/IMG_2024_01.jpg. Nothing where a name has no digit; a bare number at the end is part of the name.
PRODUCTS = (
    # Begin with the folders where the name is a counter's, otherwise with the name.
    rf"(?:^(?=(?:[^/]*/)*{_COUNTER}{_END})|(?<![^/])(?=[^/]*$))"
    rf"(?P<product>(?:[^/]*/)*[^/]*?\d[^/]*?){_END}"
)
_USUAL = re.compile(PRODUCTS)


def product_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that finds a product's name in a uri.

    Raises:
        InvalidRequest: no text, no regular expression, or without a group ``(?P<product>...)``.
    """
    if not isinstance(pattern, str):
        raise InvalidRequest(f"product pattern {pattern!r}: expected a regular expression as text")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidRequest(f"product pattern {pattern!r}: no regular expression: {error}") from error
    if "product" not in compiled.groupindex:
        raise InvalidRequest(
            f"product pattern {pattern!r}: name the part that is the product, such as (?P<product>lamp-[0-9]+)"
        )
    return compiled


def product_of(uri: str, category: str, pattern: re.Pattern[str] = _USUAL) -> str | None:
    """The product that a picture shows, None where its name does not tell. 001 of chairs is not 001 of lamps.

    The category comes first, and once where the name that was found begins with its folder.
    """
    match = pattern.search(uri)
    return f"{category}/{match['product'].removeprefix(f'{category}/')}" if match and match["product"] else None
