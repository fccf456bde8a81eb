"""What a request asks for: checked field by field, whatever it comes in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request

from ddsim.web.addresses import Region
from ddsim.web.limits import Limits
from ddsim.web.multipart import read_form
from ddsim.web.refusals import EMPTY, Refusal, bad_request, too_large

FIELDS = ("picture", "photo", "like", "category", "all", "k", "start", "region")
_LEAST_PART = 0.01
_YES, _NO = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


@dataclass(frozen=True)
class Wanted:
    """One search.

    Attributes:
        data: content of an uploaded file; None where ``photo`` or ``like`` is given, or nothing.
        name: what the uploader's machine called it, without folders.
        photo: token of a kept upload.
        like: uri of an item.
        categories: to search, whatever the picture shows.
        everything: whether to search all categories.
        k: how many results.
        start: how many of the best to leave out: for those after what is shown already.
        region: left, top, width and height of the part to search for, each as a fraction of the upright picture.
    """

    data: bytes | None = field(default=None, repr=False)
    name: str = ""
    photo: str | None = None
    like: str | None = None
    categories: tuple[str, ...] = ()
    everything: bool = False
    k: int = 24
    start: int = 0
    region: Region | None = None

    @property
    def empty(self) -> bool:
        """Whether no picture is named."""
        return self.data is None and self.photo is None and self.like is None


async def posted(request: Request, limits: Limits) -> Wanted:
    """What was posted.

    Raises:
        Refusal: it cannot be right, or is too large.
    """
    try:
        form = await read_form(request.headers.get("content-type", ""), request.stream())
    except ClientDisconnect as error:
        raise bad_request("The form ended early.", "Send it again.", status=400) from error
    file = form.file
    if file is None or not (file.name or file.data):  # a browser's way to say that none was chosen
        return wanted(form.texts, limits)
    if file.key != "picture":
        raise bad_request("A file belongs into the field picture.")
    if not file.data:
        raise Refusal(EMPTY)
    if len(file.data) > limits.upload_bytes:
        raise too_large(limits.upload_bytes)
    return wanted(form.texts, limits, file.data, file.name)


def wanted(pairs: Iterable[tuple[str, str]], limits: Limits, data: bytes | None = None, name: str = "") -> Wanted:
    """What fields ask for; empty ones count as left out.

    Raises:
        Refusal: an unknown field, one too many, or a value out of range.
    """
    given: dict[str, list[str]] = {}
    for key, value in pairs:
        if key not in FIELDS or (key == "picture" and value):
            known = ", ".join(FIELDS)
            raise bad_request(f"The field {key[:50]!r} is unknown, or not what belongs there.", f"There are {known}.")
        if value:
            given.setdefault(key, []).append(value)
    for key, values in given.items():
        if key != "category" and len(values) > 1:
            raise bad_request(f"The field {key!r} is given more than once.")
    one = {key: values[0] for key, values in given.items()}
    categories = tuple(dict.fromkeys(given.get("category", ())))
    everything = _flag(one.get("all", "0"))
    if (data is not None) + ("photo" in one) + ("like" in one) > 1:
        raise bad_request("More than one picture is named.", "Give one of picture, photo and like.")
    if everything and categories:
        raise bad_request("Both a category and all of them are asked for.", "Give either category or all.")
    return Wanted(
        data=data,
        name=name.replace("\\", "/").rpartition("/")[2][:200],
        photo=one.get("photo"),
        like=one.get("like"),
        categories=categories,
        everything=everything,
        k=_count("k", one["k"], 1, limits.k) if "k" in one else limits.default_k,
        start=_count("start", one["start"], 0, limits.deepest) if "start" in one else 0,
        region=_region(one["region"]) if "region" in one else None,
    )


def _flag(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise bad_request("The field all is neither 1 nor 0.")
    return text.lower() in _YES


def _count(key: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        raise bad_request(f"The field {key} is not a number from {least} to {most}.")
    return int(text)


def _region(text: str) -> Region | None:
    """Four numbers; the whole picture counts as no region."""
    problem = bad_request(
        "The region is not inside the picture.",
        "Give x,y,w,h as fractions of width and height, from 0 to 1, and not too small a part.",
    )
    try:
        # Rounded, so that a link with them asks for the very same part.
        numbers = [round(float(part), 4) for part in text.split(",")]
    except ValueError as error:
        raise problem from error
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise problem
    x, y, width, height = numbers
    # Rounding in a browser may put the far side a little outside.
    if min(x, y) < 0 or min(width, height) < _LEAST_PART or x + width > 1.001 or y + height > 1.001:
        raise problem
    if (x, y) == (0, 0) and min(width, height) >= 1:
        return None
    return x, y, round(min(width, 1 - x), 4), round(min(height, 1 - y), 4)
