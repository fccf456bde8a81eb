"""Network files as people have them, with the embedded server: put right, or named before anything is sent."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from shop import TINY, Shop

from ddsim import ConfigError

LABELS = (TINY / "corresp.txt").read_bytes()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with a network of its own beside it."""
    monkeypatch.setenv("DDSIM_CACHE", str(tmp_path / "cache"))
    shutil.copytree(TINY, tmp_path / "own")
    shop = Shop(tmp_path)
    own = {"def": "deploy.prototxt", "weights": "tiny.caffemodel", "corresp": "corresp.txt"}
    shop.base = {"network": {key: str(tmp_path / "own" / name) for key, name in own.items()}}
    shop.configure()
    shop.add("lamp/a.png", "lamp/b.png", "bed/c.png")
    return shop


def labels_of(shop: Shop) -> set[str]:
    """The labels that a search shows."""
    with shop.search() as search:
        search.index()
        return {label.name for label in search.query(shop.catalogue / "lamp/a.png").labels}


@pytest.mark.parametrize(
    "spelling",
    [
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.decode().encode("utf-16"),
        lambda content: b"".join(line.partition(b" ")[2] + b"\n" for line in content.splitlines()),
        lambda content: content.replace(b" ", b"\t", 1),
    ],
    ids=["crlf", "bom", "utf-16", "plain", "tab"],
)
def test_labels_are_those_that_are_meant(shop: Shop, spelling: Callable[[bytes], bytes]) -> None:
    """Whatever the file of labels looks like; the user's own file stays as it is."""
    wanted = labels_of(shop)
    file = shop.root / "own" / "corresp.txt"
    file.write_bytes(spelling(LABELS))
    shop.tap.restart()
    assert labels_of(shop) == wanted
    assert file.read_bytes() == spelling(LABELS)


def test_a_definition_with_input_fields_and_a_byte_order_mark_works(shop: Shop) -> None:
    """As the one that a server takes."""
    file = shop.root / "own" / "deploy.prototxt"
    text = file.read_text("utf-8")
    head = text[: text.index("layer", text.index("MemoryData"))]
    dims = 'input: "data"\ninput_shape { dim: 1 dim: 3 dim: 32 dim: 32 }\n'
    file.write_text("\ufeff" + dims + text[len(head) :], "utf-8")
    assert labels_of(shop)


@pytest.mark.parametrize("key", ["def", "weights", "corresp"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a page of HTML"),
        (b"", "empty"),
    ],
)
def test_files_that_are_something_else_are_named_before_anything_is_sent(
    shop: Shop, key: str, content: bytes, words: str
) -> None:
    """With the file's name, and what to do."""
    names = {"def": "deploy.prototxt", "weights": "tiny.caffemodel", "corresp": "corresp.txt"}
    (shop.root / "own" / names[key]).write_bytes(content)
    shop.tap.sent.clear()
    with pytest.raises(ConfigError, match=rf"{names[key]}.*{words}"), shop.search() as search:
        search.index()
    assert not shop.tap.matching("PUT")
