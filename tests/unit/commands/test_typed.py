"""Commands that errors advise, as they have to be typed; files that cannot be written, refused beforehand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddsim.commands.common import Typed, check_place
from ddsim.errors import ConfigError


@pytest.mark.parametrize(
    ("advised", "typed"),
    [
        ("`ddsim index`", "`ddsim index 'my shop' --config own.yaml`"),
        ("`ddsim index --rebuild`", "`ddsim index 'my shop' --config own.yaml --rebuild`"),
        ("`ddsim train`", "`ddsim train 'my shop' --config own.yaml`"),
        ("`ddsim catalogue failures`", "`ddsim catalogue failures --catalogue 'my shop' --config own.yaml`"),
        ("`ddsim serve`", "`ddsim serve --catalogue 'my shop' --config own.yaml`"),
        ("`ddsim evaluate`", "`ddsim evaluate --catalogue 'my shop' own.yaml`"),
        ("`ddsim index --config other.yaml`", "`ddsim index --config other.yaml`"),
        ("`ddsim index FOLDER`", "`ddsim index FOLDER`"),
        ("`ddsim state prune`", "`ddsim state prune --config own.yaml`"),
    ],
)
def test_commands_have_what_was_given(advised: str, typed: str) -> None:
    """Each command has the configuration and the catalogue where it takes them."""
    assert Typed(Path("own.yaml"), Path("my shop")).completed(f"run {advised} first") == f"run {typed} first"


@pytest.mark.parametrize(
    ("place", "said"),
    [("nowhere/x.png", "there is no folder nowhere"), (".", "it is a folder"), ("shut/x.png", "permission denied")],
)
def test_places_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str
) -> None:
    """The error names the option, the file and the reason."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shut").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ConfigError, match=f"^--sheet {place}: cannot be written: .*{said}"):
        check_place(Path(place), "--sheet")


def test_places_that_will_do(tmp_path: Path) -> None:
    """No file, a new one and one that is there are all fine; nothing is made."""
    (tmp_path / "there.png").touch()
    for path in (None, tmp_path / "new.png", tmp_path / "there.png", Path("new.png")):
        check_place(path, "--sheet")
    assert not (tmp_path / "new.png").exists()
