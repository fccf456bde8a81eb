"""Indexes of the server that FAISS has to train: refused where the pictures are too few, whole where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import Shop
from stock import assert_sound, index, names, sent_batches
from terminal import command, error_line

from ddsim import ConfigError


def shop_with(tmp_path: Path, kind: str, **limits: int) -> Shop:
    """A shop whose server keeps an index of this kind."""
    return Shop(
        tmp_path, {"classification": None, "similarity": {"extract_layer": "fc1", "index_type": kind}, "index": limits}
    )


@pytest.mark.parametrize("kind", ["IVF12,Flat", "PCA12,Flat"])
def test_an_index_with_too_few_pictures_is_refused_before_anything_is_sent(tmp_path: Path, kind: str) -> None:
    """Exit code 2 with the number that is needed; a rebuild is refused alike; with enough pictures it works."""
    shop = shop_with(tmp_path, kind, batch_size=4)
    shop.add(*names("lamp", 10))
    for arguments in ((), ("--rebuild",)):
        line = error_line(command(shop, "index", *arguments), 2)
        assert f"{kind} needs at least 12 pictures to be trained, and there are 10" in line
    assert sent_batches(shop) == []
    shop.add("lamp/10.png", "lamp/11.png")
    report = index(shop, audit=True)
    assert report.indexed == 12
    assert report.audit is not None
    assert report.audit.passed


def test_more_components_than_values_are_refused(tmp_path: Path) -> None:
    """PCA to more values than the vectors have is told as such."""
    shop = shop_with(tmp_path, "PCA17,Flat", batch_size=4)
    shop.add(*names("lamp", 20))
    with pytest.raises(ConfigError, match="keeps 17 values, and the vectors have 16"):
        index(shop)


def test_an_index_is_trained_with_enough_pictures_whatever_the_checkpoint_is(tmp_path: Path) -> None:
    """Neither a checkpoint that comes sooner nor Ctrl-C builds it of too few."""
    shop = shop_with(tmp_path, "PCA12,Flat", batch_size=4, checkpoint=4)
    shop.add(*names("lamp", 20))
    report = index(shop, stopping=lambda: True)
    assert (report.finished, report.indexed) == (False, 12)
    assert len(shop.indexed()) == 12
    assert index(shop).indexed == 20
    assert len(shop.indexed()) == 20


def test_a_single_list_is_searched_whole(tmp_path: Path) -> None:
    """An index that needs one picture alone is sound with one."""
    shop = shop_with(tmp_path, "IVF1,Flat", batch_size=4)
    shop.add("lamp/a.png")
    index(shop)
    assert_sound(shop, ["lamp/a.png"])
