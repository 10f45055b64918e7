"""Networks whose streams multiply each other, with settled batch norms: `file.py:factory`."""

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

BITS = {"weight_bit_width": 4}


class SqueezeExcite(nn.Module):
    """MobileNet-v3's block in small: hard-swish, depth-wise, squeeze-and-excite, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.images = qnn.QuantIdentity(bit_width=8)
        self.stem = nn.Sequential(
            qnn.QuantConv2d(3, 8, 3, stride=2, padding=1, bias=False, **BITS),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
        )
        self.common = qnn.QuantIdentity(bit_width=5)
        self.depth_wise = nn.Sequential(
            qnn.QuantConv2d(8, 8, 3, padding=1, groups=8, bias=False, **BITS),
            nn.BatchNorm2d(8),
            nn.SiLU(),
            qnn.QuantIdentity(bit_width=5),
        )
        self.gate = nn.Sequential(
            qnn.QuantIdentity(bit_width=6),
            qnn.QuantLinear(8, 4, bias=True, **BITS),
            qnn.QuantReLU(bit_width=4),
            qnn.QuantLinear(4, 8, bias=True, **BITS),
            nn.Hardsigmoid(),
            qnn.QuantIdentity(bit_width=5, signed=False),
        )
        self.excited = qnn.QuantIdentity(bit_width=5)
        self.last = nn.Sequential(
            qnn.QuantConv2d(8, 8, 1, bias=False, **BITS), nn.BatchNorm2d(8), self.common
        )
        self.head = qnn.QuantLinear(8, 10, bias=True, **BITS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.common(self.stem(self.images(x)))
        y = self.depth_wise(x)
        gate = self.gate(y.mean((2, 3))).view(y.shape[0], y.shape[1], 1, 1)
        x = x + self.last(self.excited(y * gate.expand_as(y)))
        return self.head(x.mean((2, 3)))


class GatedSignal(nn.Module):
    """WaveNet's unit on signals: a tanh times a sigmoid, of which each has a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.signal = nn.Sequential(nn.BatchNorm1d(2), qnn.QuantIdentity(bit_width=8))
        self.value = nn.Sequential(qnn.QuantConv1d(2, 8, 5, **BITS), qnn.QuantTanh(bit_width=5))
        self.gate = nn.Sequential(qnn.QuantConv1d(2, 8, 5, **BITS), qnn.QuantSigmoid(bit_width=4))
        self.product = qnn.QuantIdentity(bit_width=5)
        self.head = nn.Sequential(
            nn.MaxPool1d(4), nn.Flatten(), qnn.QuantLinear(56, 11, bias=True, **BITS)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.signal(x)
        return self.head(self.product(self.value(x) * self.gate(x)))


def squeeze_excite() -> nn.Module:
    """Return a network for images of 3×16×16."""
    torch.manual_seed(0)
    return settled(SqueezeExcite(), (3, 16, 16))


def gated_signal() -> nn.Module:
    """Return a network for signals of 2×32."""
    torch.manual_seed(0)
    return settled(GatedSignal(), (2, 32))


def settled(network: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return a network in evaluation, whose batch norms, of both signs, have seen images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.5)
    with torch.no_grad():
        for _ in range(8):
            network.train()(torch.rand(32, *shape) * 2 - 1)
    return network.eval()
