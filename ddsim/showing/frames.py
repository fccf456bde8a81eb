"""Results as pandas' data frames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddsim.errors import CapabilityError, install_hint

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame
else:
    DataFrame = Any  # whoever asks for types at run time need not have pandas


def data_frame(rows: Iterable[Mapping[Any, Any]], columns: Sequence[Any]) -> DataFrame:
    """A data frame of these rows.

    Args:
        rows: column -> value each. Names of files that are no Unicode stand in it with escapes, as pandas may have
            them in no other way.
        columns: in their order; they are there also where there is no row.

    Raises:
        CapabilityError: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise CapabilityError(
            f"to_dataframe() needs pandas, which is not installed: {install_hint('pandas')}"
        ) from error
    return pandas.DataFrame(
        [{column: _storable(value) for column, value in row.items()} for row in rows], columns=list(columns)
    )


def _storable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
