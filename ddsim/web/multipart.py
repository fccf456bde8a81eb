"""Reading a posted form: into memory, within limits, and only if all of it came.

Of the framework's own reader a form that ends early looks like one with fewer fields, and leaves open files behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ddsim.web.refusals import Refusal, bad_request

_MULTIPART, _URLENCODED = b"multipart/form-data", b"application/x-www-form-urlencoded"
_MOST_FIELDS = 200
_MOST_FIELD_BYTES = 16 * 1024


@dataclass(frozen=True)
class File:
    """An uploaded file: the field that it came in, what the sender calls it, its content."""

    key: str
    name: str
    data: bytes = field(repr=False)


@dataclass
class Form:
    """The fields of a form as text, in their order, and its file."""

    texts: list[tuple[str, str]] = field(default_factory=list)
    file: File | None = None


async def read_form(content_type: str, stream: AsyncIterable[bytes]) -> Form:
    """Read a form.

    Args:
        content_type: the header.
        stream: the body; who gives it sees to its length.

    Raises:
        Refusal: it is none, is damaged, ends early, or has too many parts or too large ones.
    """
    kind, options = parse_options_header(content_type)
    if kind == _URLENCODED:
        return _urlencoded(b"".join([chunk async for chunk in stream]))
    if kind != _MULTIPART:
        raise bad_request("This is not a form.", f"Send {_MULTIPART.decode()}.", 415)
    parts = _Parts()
    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            {
                "on_part_begin": parts.part_begin,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.part_data,
                "on_part_end": parts.part_end,
                "on_end": parts.end,
            },
        )
        async for chunk in stream:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise _damaged("The form cannot be read.") from error
    if not parts.ended:
        raise _damaged("The form ended early.")
    return parts.form


class _Parts:
    """Collects the parts of one form: what its parser calls."""

    def __init__(self) -> None:
        self.form = Form()
        self.ended = False
        self._header = bytearray(), bytearray()
        self._options: dict[bytes, bytes] = {}
        self._data = bytearray()

    def part_begin(self) -> None:
        """A part begins."""
        self._options, self._data = {}, bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        """Some of a header's name."""
        self._header[0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Some of a header's value."""
        self._header[1].extend(data[start:end])
        if len(self._header[1]) > _MOST_FIELD_BYTES:
            raise _damaged("A header in the form is too long.")

    def header_end(self) -> None:
        """A header is complete."""
        name, value = map(bytes, self._header)
        self._header = bytearray(), bytearray()
        if name.lower() == b"content-disposition":
            _, self._options = parse_options_header(value.decode("latin-1"))

    def part_data(self, data: bytes, start: int, end: int) -> None:
        """Some of a part's content."""
        self._data.extend(data[start:end])
        if b"filename" not in self._options and len(self._data) > _MOST_FIELD_BYTES:
            raise _damaged("A field of the form is too long.")

    def part_end(self) -> None:
        """A part is complete."""
        name = _text(self._options.get(b"name", b""))
        if b"filename" not in self._options:
            self.form.texts.append((name, _text(bytes(self._data))))
            _check_count(len(self.form.texts))
        elif self.form.file is not None:
            raise _damaged("There is more than one file in the form.")
        else:
            self.form.file = File(name, _text(self._options[b"filename"]), bytes(self._data))

    def end(self) -> None:
        """The form is complete."""
        self.ended = True


def _urlencoded(body: bytes) -> Form:
    try:
        pairs = parse_qsl(_text(body), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise _damaged("The form has too many fields.") from error
    return Form(pairs)


def _check_count(count: int) -> None:
    if count > _MOST_FIELDS:
        raise _damaged("The form has too many fields.")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _damaged(message: str) -> Refusal:
    return bad_request(message, "Send multipart/form-data with one picture.", 400)
