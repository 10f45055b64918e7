"""Networks whose quantisers are arithmetic in torch, in the styles in which people write them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flow.models import Network
from flow.models.qonnx.network import open_network

Quantiser = Callable[[Tensor], Tensor]


def _straight(quantised: Tensor, x: Tensor) -> Tensor:
    """Return quantised values, with the gradient of the others."""
    return x + (quantised - x).detach()


def _rounded(step: float, low: int, high: int) -> Quantiser:
    return lambda x: torch.clamp(torch.round(x / step), low, high) * step


def _weights(bits: int, narrow: int = 0, each: bool = False) -> Quantiser:
    """LSQ's quantiser of weights, whose step is that of the largest, of each output or all."""
    low, high = -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1

    def quantise(w: Tensor) -> Tensor:
        size = (
            w.abs().flatten(1).amax(1).reshape(-1, *[1] * (w.dim() - 1)) if each else w.abs().max()
        )
        return torch.round((w / (size / high)).clamp(low, high)) * (size / high)

    return quantise


def _dorefa_weights(w: Tensor) -> Tensor:
    w = torch.tanh(w)
    return 2 * torch.round((w / (2 * w.abs().max()) + 0.5) * 15) / 15 - 1


def _ternary(w: Tensor) -> Tensor:
    least = 0.7 * w.abs().mean()
    size = w[w.abs() > least].abs().mean()
    return torch.where(w > least, size, torch.where(w < -least, -size, torch.zeros(())))


def _powers(w: Tensor) -> Tensor:
    return torch.sign(w) * 2 ** torch.round(torch.log2(w.abs() + 1e-9)).clamp(-6, -1)


def _pact(x: Tensor) -> Tensor:
    y = 0.5 * (x.abs() - (x - 2.0).abs() + 2.0)
    return torch.round(y * 15 / 2.0) * 2.0 / 15


STYLES: dict[str, tuple[Quantiser, Quantiser]] = {
    "LSQ": (_rounded(0.13, 0, 15), _weights(4, each=True)),
    "straight-through": (
        lambda x: _straight(_rounded(0.13, 0, 15)(x), x),
        lambda w: _straight(_weights(4)(w), w),
    ),
    "DoReFa": (
        lambda x: x - (x - torch.round(x.clamp(0, 1) * 7) / 7).detach(),
        lambda w: (_dorefa_weights(w) + w).detach() - w,
    ),
    "PACT": (_pact, _weights(4, narrow=1)),
    "zero point": (
        lambda x: (torch.clamp(torch.round(x / 0.05) + 37, 0, 255) - 37) * 0.05,
        _weights(8, narrow=1),
    ),
    "floor": (lambda x: torch.floor((x / 0.2 + 0.5).clamp(0, 15.999)) * 0.2, _ternary),
    "powers of two": (lambda x: torch.round((F.relu(x) * 8).clamp(max=15)) / 8, _powers),
    "tanh": (lambda x: torch.round(torch.tanh(x) * 7) / 7, _weights(6)),
    "whole numbers": (
        lambda x: torch.clamp(torch.round(x * 4), 0, 15),
        lambda w: torch.clamp(torch.round(w * 8), -8, 7),
    ),
    "sign": (torch.sign, lambda w: torch.sign(w) * w.abs().mean()),
    "zero and one": (lambda x: (x > 0).float(), torch.sign),
    "minus one and one": (
        lambda x: torch.where(x > 0.1, 1.0, -1.0) * 0.5,
        lambda w: torch.where(w >= 0, 0.1, -0.1),
    ),
    "falling": (lambda x: torch.where(x < 0.1, 1.0, 0.0), _weights(2, narrow=1)),
}
"""Quantisers of activations and of weights."""


class Net(nn.Module):
    """Three convolutions, of which two pad, an average and a dense layer, for images 1×8×8."""

    def __init__(self, activation: Quantiser, weights: Quantiser) -> None:
        super().__init__()
        self.activation, self.weights = activation, weights
        self.conv0 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm0 = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 8, 3, stride=2)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images."""
        x = torch.round(x.clamp(0, 1) * 255) / 255
        for layer, norm in (
            (self.conv0, self.norm0), (self.conv1, self.norm1), (self.conv2, nn.Identity())
        ):  # fmt: skip
            x = layer._conv_forward(x, self.weights(layer.weight), layer.bias)
            x = self.activation(norm(x))
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return F.linear(x, self.weights(self.dense.weight), self.dense.bias)


def network(style: str) -> nn.Module:
    """Return a network in one of `STYLES`, with random weights and settled norms."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        made = Net(*STYLES[style]).train()
        for _ in range(10):
            made(torch.rand(64, 1, 8, 8))
    return made.eval()


class Residual(nn.Module):
    """A residual network as torch's own quantisation takes it, for images 1×8×8."""

    def __init__(self) -> None:
        from torch.ao.nn.quantized import FloatFunctional
        from torch.ao.quantization import DeQuantStub, QuantStub

        super().__init__()
        self.begin, self.end, self.sum = QuantStub(), DeQuantStub(), FloatFunctional()
        self.conv0, self.norm0, self.relu0 = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.conv1, self.relu1 = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
        self.dense = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images."""
        x = self.relu0(self.norm0(self.conv0(self.begin(x))))
        x = self.sum.add(x, self.relu1(self.conv1(x)))
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1)
        return self.end(self.dense(x.flatten(1)))


def prepared(backend: str, *, graph: bool = False) -> nn.Module:
    """Return a network prepared by ``torch.ao.quantization``, whose observers have seen images.

    Args:
        backend: name of torch's settings: ``fbgemm`` has a step for each channel of the weights.
        graph: whether its graph was prepared, rather than its modules.
    """
    from torch.ao import quantization as q
    from torch.ao.quantization.quantize_fx import prepare_qat_fx

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(2)
        made = Residual().train()
        if graph:
            settings = q.get_default_qat_qconfig_mapping(backend)
            made = prepare_qat_fx(made, settings, (torch.zeros(1, 1, 8, 8),))
        else:
            made.qconfig = q.get_default_qat_qconfig(backend)
            pairs = [["conv0", "norm0", "relu0"], ["conv1", "relu1"]]
            made = q.prepare_qat(q.fuse_modules_qat(made, pairs))
        for _ in range(10):
            made(torch.rand(64, 1, 8, 8))
    return made.eval()


def converted(backend: str, *, graph: bool = False) -> nn.Module:
    """Return a network of integers, which torch converted from a prepared one."""
    from torch.ao.quantization import convert
    from torch.ao.quantization.quantize_fx import convert_fx

    made = prepared(backend, graph=graph)
    return convert_fx(made) if graph else convert(made)


def _pair(scale: float, zero: int, low: int, high: int) -> Quantiser:
    """Return a quantiser of the operators that torchao's ``convert_pt2e`` writes."""
    how = (scale, zero, low, high, torch.int8)

    def quantise(x: Tensor) -> Tensor:
        library = torch.ops.quantized_decomposed
        return library.dequantize_per_tensor(library.quantize_per_tensor(x, *how), *how)

    return quantise


def _pairs_of_channels(bits: int) -> Quantiser:
    """Return a quantiser of weights by such operators, with a step of each output."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def quantise(w: Tensor) -> Tensor:
        library = torch.ops.quantized_decomposed
        scales = w.detach().abs().flatten(1).amax(1) / high
        how = (scales, torch.zeros_like(scales, dtype=torch.int64), 0, low, high, torch.int8)
        return library.dequantize_per_channel(library.quantize_per_channel(w, *how), *how)

    return quantise


def graph_of_pairs(bits: int, batch: int | None = None) -> nn.Module:
    """Return a graph as ``convert_pt2e`` returns it, whose values may have fewer bits than bytes.

    Args:
        bits: bits of weights and activations.
        batch: images that it takes at a time; None for any number.
    """
    import torch.ao.quantization.fx._decomposed

    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = Net(_pair(2.0 / (high - low), low, low, high), _pairs_of_channels(bits)).eval()
    images = torch.zeros(batch or 2, 1, 8, 8)
    shapes = None if batch else ({0: torch.export.Dim("images")},)
    return torch.export.export(made, (images,), dynamic_shapes=shapes).module()


def exported(module: nn.Module, path: Path) -> Path:
    """Export a module as anyone does, without Brevitas, and return the file's path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 1, 8, 8),), path, dynamo=False, opset_version=17)
    return path


def of_signs(folder: Path, bias: str) -> Network:
    """Return a network of −1 and 1, which it pads with 0 and averages."""
    return open_network(exported(network("minus one and one"), folder / "signs.onnx"))
