"""A list of results that may be long: it shows how many there are, not all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, overload

from ddsim.showing.frames import DataFrame, data_frame
from ddsim.showing.plain import plain
from ddsim.showing.shown import Shown

T = TypeVar("T")


class Listing(Shown, Sequence[T], Generic[T]):
    """A sequence that cannot be changed.

    Args:
        rows: what is in it.
    """

    #: Columns of the data frame: names of the rows' attributes.
    columns: Sequence[str] = ()

    def __init__(self, rows: Iterable[T]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...

    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(self._rows)

    def to_dataframe(self) -> DataFrame:
        """A row for each, as pandas has it.

        Raises:
            CapabilityError: pandas is not installed.
        """
        return data_frame(
            ({name: plain(getattr(row, name)) for name in self.columns} for row in self._rows), self.columns
        )
