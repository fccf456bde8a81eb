"""What every test run tries, and what only long ones do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first_alone(values: Iterable[Any], plain: int = 1) -> list[Any]:
    """Parameters of a test: the first ones for every run, the others, which try the same again, for long ones."""
    return [
        value if number < plain else pytest.param(value, marks=pytest.mark.long) for number, value in enumerate(values)
    ]
