"""Networks that are not in the zoo, as a user would write them: `file.py:factory` names one."""

import brevitas.nn as qnn
import torch
from brevitas.quant import (
    Int32Bias,
    SignedBinaryActPerTensorConst,
    SignedBinaryWeightPerTensorConst,
)
from torch import Tensor, nn

from flow import data

CLASSES = 10


def trained(network: nn.Module, epochs: int = 4) -> nn.Module:
    """Train on some of `digits`: quick, and far better than guessing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = data.load("digits", "train")
    images, labels = data.to_input(found.images), torch.from_numpy(found.labels)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
    torch.set_num_threads(threads)
    return network.eval()


def _depthwise(*, per_channel: bool = False) -> nn.Module:
    torch.manual_seed(1)
    weights = {"weight_bit_width": 4, "weight_scaling_per_output_channel": per_channel}
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantConv2d(1, 4, 3, padding=1, bias=True, **weights),
        nn.BatchNorm2d(4),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantConv2d(4, 4, 3, padding=1, groups=4, bias=False, **weights),
        nn.BatchNorm2d(4),
        qnn.QuantReLU(bit_width=4),
        nn.MaxPool2d(2),
        nn.Flatten(),
        qnn.QuantLinear(64, CLASSES, bias=False, weight_bit_width=4),
    )


def per_channel() -> nn.Module:
    return trained(_depthwise(per_channel=True))


def averaged() -> nn.Module:
    """Averages of windows, one with its low bits dropped, in place of the largest values."""
    torch.manual_seed(4)
    return trained(
        nn.Sequential(
            qnn.QuantIdentity(bit_width=8),
            qnn.QuantConv2d(1, 6, 3, padding=1, bias=False, weight_bit_width=3),
            nn.BatchNorm2d(6),
            qnn.QuantReLU(bit_width=4),
            nn.AvgPool2d(2),
            qnn.QuantIdentity(bit_width=4),
            qnn.QuantConv2d(6, 8, 3, padding=1, bias=False, weight_bit_width=3),
            nn.BatchNorm2d(8),
            qnn.QuantReLU(bit_width=4, return_quant_tensor=True),
            qnn.TruncAvgPool2d(2, bit_width=4, float_to_int_impl_type="floor"),
            nn.Flatten(),
            qnn.QuantLinear(32, CLASSES, bias=False, weight_bit_width=4),
        )
    )


class Residual(nn.Module):
    """A block whose shortcut is quantised once more, for one scale on both sides, and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.images = qnn.QuantIdentity(bit_width=8)
        self.first = qnn.QuantConv2d(1, 6, 3, padding=1, bias=False, weight_bit_width=3)
        self.first_norm, self.first_act = nn.BatchNorm2d(6), qnn.QuantReLU(bit_width=4)
        self.second = qnn.QuantConv2d(6, 6, 3, padding=1, bias=False, weight_bit_width=3)
        self.second_norm = nn.BatchNorm2d(6)
        self.term = qnn.QuantIdentity(bit_width=4)
        self.sum_act = qnn.QuantReLU(bit_width=4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.mean_act = qnn.QuantIdentity(bit_width=6)
        self.head = qnn.QuantLinear(6, CLASSES, bias=False, weight_bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_act(self.first_norm(self.first(self.images(x))))
        y = self.term(self.second_norm(self.second(x))) + self.term(x)
        return self.head(self.mean_act(self.pool(self.sum_act(y))).flatten(1))


def residual() -> nn.Module:
    torch.manual_seed(1)
    return trained(Residual())


def one_bit() -> nn.Module:
    """Weights of ±0.1 in effect, activations of ±0.1, both of Brevitas' binary quantisers."""
    torch.manual_seed(1)
    binary = {"weight_quant": SignedBinaryWeightPerTensorConst, "bias": False}
    return trained(
        nn.Sequential(
            qnn.QuantIdentity(bit_width=8),
            qnn.QuantConv2d(1, 8, 3, **binary),
            nn.BatchNorm2d(8),
            qnn.QuantIdentity(SignedBinaryActPerTensorConst),
            nn.Flatten(),
            qnn.QuantLinear(288, CLASSES, **binary),
        )
    )


def wide() -> nn.Module:
    """Eight bits everywhere, dense, with biases, on flat images."""
    torch.manual_seed(1)
    return trained(
        nn.Sequential(
            nn.Flatten(),
            qnn.QuantIdentity(bit_width=8),
            qnn.QuantLinear(64, 12, bias=True, weight_bit_width=8),
            qnn.QuantReLU(bit_width=8),
            qnn.QuantLinear(12, CLASSES, bias=True, weight_bit_width=8),
        )
    )


def whole_bias() -> nn.Module:
    """A bias of whole LSB at the end, on bits."""
    torch.manual_seed(1)
    return trained(
        nn.Sequential(
            nn.Flatten(),
            qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
            qnn.QuantLinear(64, CLASSES, bias=True, weight_bit_width=3, bias_quant=Int32Bias),
        )
    )


def flat() -> nn.Module:
    """A small one, not trained."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Flatten(),
        qnn.QuantIdentity(bit_width=4),
        qnn.QuantLinear(64, CLASSES, bias=False, weight_bit_width=4),
    )


def unknown() -> nn.Module:
    """Functions that no quantiser follows."""
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        nn.Flatten(),
        qnn.QuantLinear(64, 8, bias=False, weight_bit_width=4),
        nn.Hardswish(),
        nn.SiLU(),
        qnn.QuantLinear(8, CLASSES, bias=False, weight_bit_width=4),
    )


def unfit() -> nn.Module:
    """Known, but not for hardware: a pool with gaps, and sums that nothing quantises anew."""
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantConv2d(1, 4, 3, padding=1, bias=False, weight_bit_width=4),
        qnn.QuantReLU(bit_width=4),
        nn.MaxPool2d(2, 1, dilation=2),
        qnn.QuantConv2d(4, 4, 1, bias=False, weight_bit_width=4),
        nn.Flatten(),
        qnn.QuantLinear(144, CLASSES, bias=True, weight_bit_width=4),
        nn.BatchNorm1d(CLASSES),
    )


def unquantised() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))


def failing() -> nn.Module:
    raise RuntimeError("the weights are on another machine")


def nothing() -> None:
    return None


def separable() -> nn.Module:
    """A depth-wise layer of 32 channels and a pointwise one, not trained, for their costs."""
    torch.manual_seed(1)
    bits = {"weight_bit_width": 4, "bias": False}
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=4),
        qnn.QuantConv2d(1, 32, 1, **bits),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantConv2d(32, 32, 3, padding=1, groups=32, **bits),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantConv2d(32, 32, 1, **bits),
        qnn.QuantReLU(bit_width=4),
        nn.MaxPool2d(4),
        nn.Flatten(),
        qnn.QuantLinear(128, CLASSES, **bits),
    )
