"""Results as values that JSON has, too."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from os import PathLike, fspath
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The same in dicts, lists, text, numbers and None: paths as text, arrays as lists, what is not finite as None."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, PathLike):
        return fspath(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, Collection) and not isinstance(value, (bytes, bytearray)):
        return [plain(one) for one in value]
    return str(value)
