"""The repositories that the recorded Torch server saw, with ONNX files in the place of traced networks.

The traced files themselves are not there. These have the same inputs, outputs and numbers of weights, so that statuses
and shapes can be compared; ``torch-pixels`` computes exactly what the recorded one does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx_writer
from recorded import IMAGES
from world import World

_LABELS = "".join(f"{i} {label}\n" for i, label in enumerate(("bed", "chair", "lamp", "sofa", "table")))


def build(root: Path) -> World:
    """The folders that a scenario finds at its start."""
    world = World({name: f"{root}{name}" for name in ("/opt/models", "/data")})
    models = world.path("/opt/models")
    for name in ("torch-empty", "torch-resnet18", "torch-resnet50", "torch-badnpt"):
        (models / name).mkdir(parents=True)
    classifier = onnx_writer.classifier()
    for name, content in {
        "torch-cnn-nocorresp": classifier,
        "torch-both": classifier,
        "torch-embed": onnx_writer.embedder(),
        "torch-tuple": onnx_writer.classifier(second_output=True),
        "torch-map": onnx_writer.mapper(),
        "torch-fixed1": onnx_writer.classifier(batch=1),
        "torch-pixels": onnx_writer.pixels(),
        "torch-corrupt": b"not a network",
        "torch-statedict": b"",
        "torch-trunc": classifier[:1000],
    }.items():
        onnx_writer.write(models / name, content)
    for name in ("torch-cnn", "torch-tuple"):
        restore(world, f"/opt/models/{name}")
    onnx_writer.write(models / "torch-pth", classifier, "net.pth")
    onnx_writer.write(models / "torch-caffe", b'name: "net"', "deploy.prototxt")
    shutil.copytree(IMAGES, world.path("/data/images"))
    return world


def restore(world: World, repository: str) -> None:
    """A repository of the classifier as it was, whatever became of it."""
    folder = world.path(repository)
    if not (folder / "net.onnx").exists():
        onnx_writer.write(folder, onnx_writer.classifier())
    (folder / "corresp.txt").write_text(_LABELS)
