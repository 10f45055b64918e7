"""Networks of branches, each quantised in its own way, with settled batch norms: `file.py:factory`.

They take images of 3×16×16.
"""

import brevitas.nn as qnn
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.helpers.gated_networks import BITS, settled

IMAGE = (3, 16, 16)


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Return a convolution and a batch norm."""
    return nn.Sequential(
        qnn.QuantConv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False, **BITS),
        nn.BatchNorm2d(outputs),
    )


def layer(*sizes: int) -> nn.Sequential:
    """Return a convolution, a batch norm and a quantised ReLU."""
    return nn.Sequential(*convolution(*sizes), qnn.QuantReLU(bit_width=4))


def classifier(channels: int, *body: nn.Module) -> nn.Module:
    """Return a network of ten classes, which are told by the mean of each channel."""
    torch.manual_seed(0)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), qnn.QuantLinear(channels, 10, bias=True, **BITS)
    return settled(nn.Sequential(qnn.QuantIdentity(bit_width=8), *body, *head), IMAGE)


class Bottleneck(nn.Module):
    """ResNet-D's: nothing is quantised but behind the sum, and the shortcut averages."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(layer(inputs, 4), layer(4, 4, 3, stride), convolution(4, outputs))
        pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
        self.shortcut = nn.Sequential(pool, convolution(inputs, outputs))
        self.act = qnn.QuantReLU(bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.body(x) + self.shortcut(x))


class WithoutWeights(nn.Module):
    """A shortcut of every second pixel, with channels of zeros, behind a PReLU of any slopes."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm, self.slopes = nn.BatchNorm2d(inputs), nn.PReLU(inputs)
        nn.init.normal_(self.slopes.weight, std=0.5)
        self.images = qnn.QuantIdentity(bit_width=4)
        self.body = nn.Sequential(
            layer(inputs, 2 * inputs, 3, 2), convolution(2 * inputs, 2 * inputs)
        )
        self.act = qnn.QuantReLU(bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.images(self.slopes(self.norm(x)))
        half = self.norm.num_features // 2
        picked = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))
        return self.act(self.body(x) + picked)


class Inception(nn.Module):
    """GoogLeNet's block, whose branches have a scale each."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, 1, 1)
        self.branches = nn.ModuleList(
            [
                layer(inputs, 3),
                nn.Sequential(layer(inputs, 2), layer(2, 4, 3)),
                nn.Sequential(layer(inputs, 2), layer(2, 3, 5)),
                nn.Sequential(pool, layer(inputs, 2)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class TwoScales(nn.Module):
    """A U of two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = layer(3, 4, 3), layer(4, 6, 3)
        self.up, self.both = nn.Upsample(scale_factor=2), layer(10, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        return self.both(torch.cat([fine, self.up(self.coarse(functional.max_pool2d(fine, 2)))], 1))


def bottlenecks() -> nn.Module:
    return classifier(8, layer(3, 6, 3, 2), Bottleneck(6, 8, 2), Bottleneck(8, 8, 1))


def without_weights() -> nn.Module:
    return classifier(8, *convolution(3, 4, 3), WithoutWeights(4))


def inceptions() -> nn.Module:
    return classifier(12, layer(3, 6, 3, 2), Inception(6), Inception(12))


def two_scales() -> nn.Module:
    return classifier(8, TwoScales())
