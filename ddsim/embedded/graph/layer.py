"""One layer of a definition: its settings with Caffe's defaults, and its weights, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ddsim.caffe import Message, PrototxtError, Shape, Weights

Array = NDArray[np.float32]
_Taken = TypeVar("_Taken")


class GraphError(ValueError):
    """A network cannot be built; the message names the layer and what is wrong with it."""


@dataclass(frozen=True)
class Layer:
    """A layer as the definition describes it.

    Attributes:
        message: its definition.
        file: all blobs of the weights file, by the names of layers.
    """

    message: Message
    file: Weights

    @property
    def name(self) -> str:
        """What the definition calls it; its weights are found by that."""
        return self.message.text("name")

    @property
    def kind(self) -> str:
        """Caffe's type, such as ``Convolution``."""
        return self.message.text("type")

    @property
    def tops(self) -> list[str]:
        """The blobs it gives."""
        return self.message.texts("top")

    def error(self, reason: str) -> GraphError:
        """The error that says what is wrong with this layer."""
        return GraphError(f"layer {self.name!r} ({self.kind}): {reason}")

    def settings(self, key: str) -> Settings:
        """The block of that name, such as ``convolution_param``; empty where there is none."""
        return Settings(self, Message([field for part in self.message.messages(key) for field in part.fields]))

    def only(self, inputs: Sequence[_Taken]) -> _Taken:
        """The one input of a layer that takes one.

        Raises:
            GraphError: it is given more.
        """
        if len(inputs) != 1:
            raise self.error(f"takes {len(inputs)} inputs; the embedded server knows it with one only")
        return inputs[0]

    def weights(self, *expected: Shape) -> list[Array]:
        """Its blobs, in the shapes that its definition asks for; old files pad shapes with ones in front.

        Raises:
            GraphError: they are missing or of another shape.
        """
        if self.name not in self.file:
            names = list(self.file)
            raise self.error(
                f"has no weights under this name; the weights name {', '.join(names[:5])}{', ...' * (len(names) > 5)}"
            )
        found = self.file[self.name]
        if [_bare(blob.shape) for blob in found] != [_bare(shape) for shape in expected]:
            raise self.error(
                f"the definition asks for weights of shape {[list(shape) for shape in expected]}, "
                f"the file holds {[list(blob.shape) for blob in found]}"
            )
        return [blob.reshape(shape) for blob, shape in zip(found, expected, strict=True)]


@dataclass(frozen=True)
class Settings:
    """The settings of one block of a layer; of a setting given twice the last counts, as with protobuf."""

    layer: Layer
    message: Message

    def integer(self, key: str, default: int) -> int:
        """A whole number."""
        return [default, *self.integers(key)][-1]

    def integers(self, key: str) -> list[int]:
        """All whole numbers of a repeated setting."""
        try:
            return self.message.integers(key)
        except PrototxtError as problem:
            raise self.layer.error(str(problem)) from None

    def number(self, key: str, default: float) -> float:
        """A number."""
        return [default, *self.numbers(key)][-1]

    def numbers(self, key: str) -> list[float]:
        """All numbers of a repeated setting."""
        try:
            return self.message.floats(key)
        except PrototxtError as problem:
            raise self.layer.error(str(problem)) from None

    def flag(self, key: str, default: bool) -> bool:
        """True or false, in any way that protobuf's text format writes them."""
        text = self.message.text(key, str(default))
        if text not in {"true", "True", "t", "1", "false", "False", "f", "0"}:
            raise self.layer.error(f"{key}: expected true or false, found {text!r}")
        return text in {"true", "True", "t", "1"}

    def word(self, key: str, words: Sequence[str], default: str | None = None) -> str:
        """One of an enumeration's names, given as such or by its number; by default the first of them."""
        text = self.message.text(key, default or words[0])
        if text.isdecimal() and int(text) < len(words):
            return words[int(text)]
        if text not in words:
            raise self.layer.error(f"{key}: expected {', '.join(words)}, found {text!r}")
        return text

    def sides(self, key: str, short: str, default: int) -> tuple[int, int]:
        """A size given once for both sides, for height and width in a row, or for each by its own name.

        Args:
            key: the setting for both, e.g. ``kernel_size``.
            short: what the separate settings begin with, e.g. ``kernel`` of ``kernel_h`` and ``kernel_w``.
            default: where nothing is given.
        """
        given = self.integers(key) or [default]
        if len(given) > 2:
            raise self.layer.error(f"{key} is given {len(given)} times; pictures have height and width")
        return self.integer(f"{short}_h", given[0]), self.integer(f"{short}_w", given[-1])

    def axis(self, key: str, default: int, dimensions: int, *, least: int = 1) -> int:
        """An axis of a blob, counted from its end where negative.

        Raises:
            GraphError: the blob has no such axis; or it is below ``least``, which for 1 means that the layer would mix
                up pictures that go through the network together.
        """
        given = self.integer(key, default)
        found = given + dimensions if given < 0 else given
        if not 0 <= found < dimensions:
            raise self.layer.error(f"{key} is {given}; what it takes has {dimensions} dimensions")
        if found < least:
            raise self.layer.error(f"{key} is {given}: it would mix up pictures that go through the network together")
        return found


def _bare(shape: Shape) -> Shape:
    start = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[start:])
