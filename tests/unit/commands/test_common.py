"""What commands share: the commands that they advise, and the places that options name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddsim.commands.common import Typed


@pytest.mark.parametrize(
    ("advised", "typed"),
    [
        ("`ddsim index`", "`ddsim index 'my shop' --config shop.yaml`"),
        ("`ddsim train`", "`ddsim train 'my shop' --config shop.yaml`"),
        ("`ddsim serve`", "`ddsim serve --catalogue 'my shop' --config shop.yaml`"),
        ("`ddsim catalogue failures`", "`ddsim catalogue failures --catalogue 'my shop' --config shop.yaml`"),
        ("`ddsim index --rebuild`", "`ddsim index 'my shop' --config shop.yaml --rebuild`"),
        ("`ddsim evaluate CONFIG`", "`ddsim evaluate CONFIG`"),
    ],
)
def test_advised_commands(advised: str, typed: str) -> None:
    """They name the configuration and the folder that were typed, the way each command takes them."""
    assert Typed(Path("shop.yaml"), Path("my shop")).completed(f"run {advised} now") == f"run {typed} now"
