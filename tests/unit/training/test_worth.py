"""What telling categories is worth: hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ddsim.training.worth import (
    Confusion,
    Suspect,
    Worth,
    by_category,
    calibration_error,
    confusions,
    suspects,
    worth_of,
)

TOLD = [{"bed": 0.9, "lamp": 0.1}, {"lamp": 0.6, "bed": 0.4}, {"bed": 0.98, "lamp": 0.02}, {}]
OWN = ["bed", "lamp", "lamp", "bed"]
URIS = ["bed/a", "lamp/a", "lamp/b", "bed/b"]


def test_worth_by_hand() -> None:
    """Two of four are right; what got nothing counts as a thousandth."""
    found = worth_of(TOLD, OWN)
    assert (found.items, found.accuracy) == (4, 0.5)
    assert found.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.02) + math.log(0.001)) / 4)


def test_worth_of_nothing() -> None:
    """Without items nothing is known, and JSON says null."""
    assert worth_of([], []).to_dict() == {"items": 0, "accuracy": None, "log_loss": None, "calibration_error": None}


def test_worth_by_category() -> None:
    """Each category's own items."""
    found = by_category(TOLD, OWN)
    assert {name: one.accuracy for name, one in found.items()} == {"bed": 0.5, "lamp": 0.5}
    assert isinstance(found["bed"], Worth)


def test_calibration_error_by_hand() -> None:
    """Of two at 0.95 one is right, and one at 0.35 is: they are 0.45 and 0.65 off."""
    found = calibration_error(np.array([0.95, 0.95, 0.35]), np.array([1.0, 0.0, 1.0]))
    assert found == pytest.approx((2 * 0.45 + 0.65) / 3)
    assert calibration_error(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0


def test_confusions_name_the_clearest_examples() -> None:
    """The most frequent pair first, its most certain items first; what is told nothing of is no confusion."""
    told = [*TOLD, {"bed": 0.7, "lamp": 0.3}, {"lamp": 1.0}]
    assert confusions(told, [*OWN, "lamp", "bed"], [*URIS, "lamp/c", "bed/c"]) == (
        Confusion("lamp", "bed", 2, ("lamp/b", "lamp/c")),
        Confusion("bed", "lamp", 1, ("bed/c",)),
    )


def test_suspects_are_those_whose_folder_hardly_fits() -> None:
    """Below 5 % for the own category, the least first."""
    told = [*TOLD, {"lamp": 1.0}]
    assert suspects(told, [*OWN, "bed"], [*URIS, "bed/c"]) == (
        Suspect("bed/c", "bed", 0.0, "lamp", 1.0),
        Suspect("lamp/b", "lamp", 0.02, "bed", 0.98),
    )
