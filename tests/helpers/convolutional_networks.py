"""Convolutional networks, scaled down, that have only seen their batch norms' statistics."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from flow import data
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.models import Network
from flow.models.blocks import Conv, Dense, Last
from flow.models.quantised import LeNet5
from flow.models.quantisers import input_identity
from flow.models.residual import ResNet
from flow.noise import NoiseTap

SHAPE = (16, 16, 1)
SLOWEST = 10_000
"""Cycles per image: another folding than the default, with width converters."""


class Short(Network):
    """Convolutions of 3×3 on images of 8×8, of which the last is pooled, and two dense layers."""

    def __init__(self, name: str, convolutions: int, *, weight_bits: int, act_bits: int) -> None:
        super().__init__(name, (8, 8, 1), 4)
        bits = {"weight_bits": weight_bits, "act_bits": act_bits}
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.convolutions = [f"conv{number}" for number in range(convolutions)]
        channels, size = 1, 8
        for block in self.convolutions:
            last = block == self.convolutions[-1]
            setattr(self, block, Conv(channels, 4, kernel=3, pool=2 if last else 1, **bits))
            channels, size = 4, size - 2
        self.fc0 = Dense(4 * (size // 2) ** 2, 8, **bits)
        self.fc1 = Last(8, 4, weight_bits)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(self.input_quant(x))
        for block in self.convolutions:
            x = self.get_submodule(block)(x)
        return self.fc1(self.fc0(x.flatten(1)))


class ResNet6(ResNet):
    """The first two stages of ResNet-8, with a shortcut of each kind, on images of 16×16."""

    blocks: ClassVar = {"stage0": 1, "stage1": 2}

    def __init__(self, name: str) -> None:
        super().__init__(name, SHAPE, 10, weight_bits=4, act_bits=4, width=4)
        self.image_shape = (*SHAPE[:2], 3)


NETWORKS: dict[str, Callable[[str], Network]] = {
    "lenet5-w4a4": lambda name: LeNet5(name, SHAPE, 10, weight_bits=4, act_bits=4),
    "resnet6-w4a4": ResNet6,
    # the layers of CNV on the other widths of its operands
    "short-w1a2": lambda name: Short(name, 2, weight_bits=1, act_bits=2),
    "short-w1a1": lambda name: Short(name, 2, weight_bits=1, act_bits=1),
}


@dataclass(frozen=True)
class Case:
    """A compiled network with a tap at every site, and 64 random images."""

    network: Network
    accelerator: Accelerator
    inputs: Tensor


def settled(network: Network, shape: tuple[int, int, int]) -> Tensor:
    """Show a network images, so that its batch norms have statistics; return them and more."""
    images = np.random.default_rng(5).integers(0, 256, (64, *shape), dtype=np.uint8)
    inputs = data.to_input(images, network.image_shape)
    with torch.no_grad():
        for _ in range(12):
            network.train()(inputs[:16])
    network.eval()
    return inputs


def compiled(name: str, root: Path) -> Case:
    """Return a network of `NETWORKS`, compiled once for all who share the folder."""
    torch.manual_seed(7)
    network = NETWORKS[name](name)
    inputs = settled(network, (8, 8, 1) if isinstance(network, Short) else SHAPE)
    if isinstance(network, Short):
        # a channel that training has all but switched off, whose thresholds lie far out
        network.fc0.bn.weight.data[2] = 1e-9
    accelerator = compile_network(
        network, inputs[:8], sites=network.sites, cycles=SLOWEST, root=root / "accelerators"
    )
    return Case(network, accelerator, inputs)
