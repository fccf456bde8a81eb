"""Whatever a server sends and whatever a file holds: a result, or an error with a name, in time and within memory.

``DDSIM_EXAMPLES`` makes longer runs; ``scripts/fuzz`` runs for so many minutes, and keeps what it finds as tests.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import PROPERTIES
from spoiling import EDITS, Edit, of_plain

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limits are Linux's")
_EXAMPLES = int(os.environ.get("DDSIM_EXAMPLES", "60"))
FINDINGS = json.loads((Path(__file__).parent / "findings.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """What is wrong with files is logged again and again."""
    logging.getLogger("ddsim").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("name", PROPERTIES)
def test_spoilt(name: str) -> None:
    """It is read, or refused in words."""
    tried = PROPERTIES[name]

    @settings(max_examples=max(int(_EXAMPLES * tried.share), 1))
    @given(base=st.sampled_from(tried.bases), edits=EDITS)
    def ends_well(base: str, edits: list[Edit]) -> None:
        tried.holds(base, edits)

    ends_well()


@pytest.mark.parametrize("found", FINDINGS, ids=lambda one: f"{one['property']}-{one['base']}-{one['was']}")
def test_what_was_found_once(found: dict[str, Any]) -> None:
    """Never comes again."""
    PROPERTIES[found["property"]].holds(found["base"], of_plain(found["edits"]))
