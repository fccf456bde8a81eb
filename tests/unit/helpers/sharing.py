"""What every test run tries, and what only long ones do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first_alone(values: Iterable[Any], plain: int = 1) -> list[Any]:
    """Parameters of a test: the first ones for every run, the others, which try the same again, for long ones.

    Args:
        values: tuples where a test has several parameters.
        plain: how many are for every run.
    """
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*one, marks=() if number < plain else pytest.mark.long) for number, one in enumerate(several)]
