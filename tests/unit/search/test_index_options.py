"""What an indexing run is told to do."""

from __future__ import annotations

from typing import Any

import pytest

from ddsim import IndexOptions, InvalidRequest


@pytest.mark.parametrize("name", ["retry_failed", "rebuild", "audit", "allow_vanished", "take_over"])
@pytest.mark.parametrize("wrong", ["no", 1, None])
def test_options_are_true_or_false(name: str, wrong: Any) -> None:
    """Anything else, which Python may take for true, is refused by name."""
    with pytest.raises(InvalidRequest, match=f"{name}={wrong!r} must be True or False"):
        IndexOptions(**{name: wrong})
