"""The machine that the recorded server saw, rebuilt in a temporary folder, and the paths between the two.

Requests name /opt/models, /data and /root/cannot; here these lie below one folder. On a live server the same places are
named by options of the command line.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorded import IMAGES, RECORDINGS

TINY = RECORDINGS / "models" / "tiny"
#: Networks too large for the repository; they lie beside the checkout where there are any.
SHARED_MODELS = Path(__file__).parents[3] / "shared" / "models"
SQUEEZENET = SHARED_MODELS / "squeezenet_v1.1"

_FURNITURE = ("bed", "chair", "lamp", "sofa", "table")


class World:
    """Paths of the recordings and where they are now.

    Attributes:
        places: recorded path -> path now, longest first.
    """

    def __init__(self, places: dict[str, str]) -> None:
        self.places = dict(sorted(places.items(), key=lambda place: -len(place[0])))

    def there(self, value: Any) -> Any:
        """A recorded request (JSON or text) with the paths of now."""
        if isinstance(value, str):
            for recorded, now in self.places.items():
                value = value.replace(recorded, now)
            return value
        if isinstance(value, dict):
            return {key: self.there(part) for key, part in value.items()}
        return [self.there(part) for part in value] if isinstance(value, list) else value

    def back(self, body: bytes) -> bytes:
        """An answer with the recorded paths."""
        for recorded, now in self.places.items():
            # A real server writes a slash in JSON as \\/, the embedded one as it is.
            body = body.replace(now.replace("/", "\\/").encode(), recorded.encode())
            body = body.replace(now.encode(), recorded.encode())
        return body

    def path(self, recorded: str) -> Path:
        """A recorded path's place now."""
        return Path(self.there(recorded))


def build(root: Path, scenario: str) -> World:
    """The folders that a scenario finds at its start."""
    world = World({name: f"{root}{name}" for name in ("/opt/models", "/data", "/root/cannot")})
    tiny = world.path("/opt/models/tiny")
    shutil.copytree(TINY, tiny)
    if SQUEEZENET.is_dir():
        shutil.copytree(SQUEEZENET, world.path("/opt/models/squeezenet_v1.1"), copy_function=_link)
    world.path("/data/indexes").mkdir(parents=True)
    pictures = world.path("/data/images")
    pictures.mkdir()
    for picture in IMAGES.iterdir():
        if picture.name.startswith(_FURNITURE):
            shutil.copy(picture, pictures)
    world.path("/root/cannot").parent.mkdir(mode=0o500)
    if scenario in _SETUPS:
        _SETUPS[scenario](world.path("/data/indexes"))
    return world


def _link(source: str, target: str) -> None:
    """Link the large files and copy the small ones, which a server may write to."""
    if os.path.getsize(source) > 100_000:
        os.symlink(source, target)
    else:
        shutil.copy(source, target)


def _tiny_variants(indexes: Path) -> None:
    """Repositories with something wrong (04-service-repository)."""
    names = "noweights badweights badproto shape names nolabels badlabels shortlabels thecorresp inputlayer"
    for name in names.split():
        shutil.copytree(TINY, indexes / name)
    (indexes / "noweights/tiny.caffemodel").unlink()
    (indexes / "badweights/tiny.caffemodel").write_bytes(b"not a caffemodel")
    (indexes / "nolabels/corresp.txt").unlink()
    (indexes / "badlabels/corresp.txt").write_text("chair\nlamp\n")
    (indexes / "shortlabels/corresp.txt").write_text("0 chair\n1 n02 lamp, with, commas\n")
    _edit(indexes / "badproto", '"Softmax"', '"NoSuchType"')
    _edit(indexes / "shape", "num_output: 16", "num_output: 17")
    _edit(indexes / "names", '"fc1"', '"renamed"')
    _replace_head(indexes / "inputlayer", 'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 32\ninput_dim: 32\n')


def _edit(repository: Path, old: str, new: str) -> None:
    deploy = repository / "deploy.prototxt"
    text = deploy.read_text()
    if old not in text:
        raise ValueError(f"{old} is not in {deploy}")
    deploy.write_text(text.replace(old, new))


def _replace_head(repository: Path, head: str) -> None:
    deploy = repository / "deploy.prototxt"
    text = deploy.read_text()
    second = text.index("layer {", text.index("layer {") + 1)
    deploy.write_text('name: "stock"\n' + head + text[second:])


def _stock_heads(indexes: Path) -> None:
    """SqueezeNet as it is found in the wild, with other heads than MemoryData (04b-stock-input-layer)."""
    if not SQUEEZENET.is_dir():
        return  # the test skips itself
    for name in ("il", "ih"):
        shutil.copytree(SQUEEZENET, indexes / name, copy_function=_link)
    shape = "shape: { dim: 1 dim: 3 dim: 227 dim: 227 }"
    _replace_head(indexes / "il", f'layer {{ name: "data" type: "Input" top: "data" input_param {{ {shape} }} }}\n')
    _replace_head(indexes / "ih", 'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 227\ninput_dim: 227\n')


def _copies(*names: str) -> Callable[[Path], None]:
    def make(indexes: Path) -> None:
        for name in names:
            shutil.copytree(TINY, indexes / name)

    return make


_SETUPS: dict[str, Callable[[Path], None]] = {
    "04-service-repository": _tiny_variants,
    "04b-stock-input-layer": _stock_heads,
    "04c-directory-name-corresp": _copies("my-corresp-dir"),
    "07-service-get-delete": _copies(*(f"c{i}" for i in range(11))),
}


def damage(world: World, scenario: str) -> None:
    """What happened to the files while the recorded server was down."""
    index = world.path("/data/indexes/sim")
    if scenario == "47-sim-corrupt-index":
        (index / "index.faiss").write_bytes(b"garbage" * 20)
    elif scenario == "47b-sim-names-missing":
        shutil.rmtree(index / "names.bin")
    elif scenario == "47c-sim-index-missing":
        (index / "index.faiss").unlink()


def listing(folder: Path) -> list[str]:
    """A folder's files as the recordings list them."""
    found = []
    for path in sorted(folder.rglob("*")):
        found.append(path.relative_to(folder).as_posix() + ("/" if path.is_dir() else ""))
    return found


def config_text(path: Path, world: World) -> str:
    """config.json with the recorded paths."""
    text = world.back(path.read_bytes()).decode()
    json.loads(text)
    return text
