"""The demo network: a small residual network in torch, and its layers for Caffe with batch normalisation folded in."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ddsim.networks.layers import Layer, add, convolution, data, inner_product, pooling, relu, softmax

FEATURES = 192
_INPUT_SCALE = 1 / 64
_STAGES = ((32, 1, 1), (64, 2, 2), (112, 2, 2))


class Normed(nn.Module):
    """A convolution followed by batch normalisation."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.pad = stride, size // 2
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, values: Tensor) -> Tensor:
        """Return the normalised convolution."""
        return self.norm(self.convolution(values))

    def folded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights and bias of the one convolution that does the same."""
        norm = self.norm
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        weights = self.convolution.weight.detach() * scale[:, None, None, None]
        bias = norm.bias.detach() - norm.running_mean * scale
        return weights.numpy().astype(np.float32), bias.numpy().astype(np.float32)


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = Normed(inputs, outputs, 3, stride)
        self.second = Normed(outputs, outputs, 3)
        self.shortcut = Normed(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None

    def forward(self, values: Tensor) -> Tensor:
        """Return the block's rectified sum."""
        side = values if self.shortcut is None else self.shortcut(values)
        return torch.relu(self.second(torch.relu(self.first(values))) + side)


class DemoNetwork(nn.Module):
    """Pictures (n, 3, 112, 112), B, G, R less the mean, to features (n, 192) and scores of the categories."""

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.stem = Normed(3, 24, 5, 2)
        width, blocks = 24, []
        for outputs, count, stride in _STAGES:
            for number in range(count):
                blocks.append(Block(width, outputs, stride if number == 0 else 1))
                width = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = Normed(width, FEATURES, 1)
        self.classes = nn.Linear(FEATURES, categories)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and scores."""
        values = torch.relu(self.stem(pictures * _INPUT_SCALE))
        values = nn.functional.max_pool2d(values, 2, 2)
        for block in self.blocks:
            values = block(values)
        features = torch.relu(self.head(values)).mean((2, 3))
        return features, self.classes(features)


def caffe_layers(network: DemoNetwork, side: int) -> list[Layer]:
    """Return the network as Caffe layers, named as those of the ResNet-50 that it stands in for.

    The input's scale is folded into the first convolution, since a server subtracts a mean but does not scale. All
    sizes divide evenly, so it does not matter that Caffe rounds pooling up and convolutions down.
    """
    weights, bias = network.stem.folded()
    layers = [data(side, side), convolution("conv1", "data", weights * np.float32(_INPUT_SCALE), bias, stride=2, pad=2)]
    layers += [relu("conv1_relu", "conv1"), pooling("pool1", "conv1", "MAX", 2, 2)]
    blob, names = "pool1", [f"res{k + 2}{'abc'[n]}" for k, (_, count, _) in enumerate(_STAGES) for n in range(count)]
    for name, block in zip(names, network.blocks, strict=True):
        layers += _block_layers(name, blob, block)
        blob = name
    layers += [convolution("conv5", blob, *network.head.folded()), relu("conv5_relu", "conv5")]
    layers.append(pooling("pool5/7x7_s1", "conv5", "AVE", 7, 1))
    layer = network.classes
    layers.append(
        inner_product("fc5", "pool5/7x7_s1", layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
    )
    return [*layers, softmax("prob", "fc5")]


def _block_layers(name: str, blob: str, block: Block) -> list[Layer]:
    layers, side = [], blob
    if block.shortcut is not None:
        side = f"{name}_branch1"
        layers.append(convolution(side, blob, *block.shortcut.folded(), stride=block.shortcut.stride))
    first, second = f"{name}_branch2a", f"{name}_branch2b"
    layers.append(convolution(first, blob, *block.first.folded(), stride=block.first.stride, pad=1))
    layers.append(relu(f"{first}_relu", first))
    layers.append(convolution(second, first, *block.second.folded(), pad=1))
    return [*layers, add(name, side, second), relu(f"{name}_relu", name)]
