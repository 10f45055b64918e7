"""QONNX's operators in torch, one module per node, with the semantics of ONNX and QONNX.

A module takes the node's streams, float [N, …] for N images, and holds the node's constants.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from flow.models.qonnx.quantisers import ROUNDED


class Convolution(nn.Module):
    """A convolution without bias, of images.

    Args:
        weight: float [O, I / groups, K_H, K_W].
        pads: zero padding above, left, below and right, pixels.
        options: further arguments of torch's ``conv2d``.
    """

    def __init__(self, weight: Tensor, pads: Sequence[int], **options: Any) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.weight: Tensor
        self.pads = tuple(pads)
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        """Return float [N, O, H', W'] of [N, I, H, W]."""
        top, left, bottom, right = self.pads
        if (top, left) != (bottom, right):
            x = functional.pad(x, (left, right, top, bottom))
            top = left = 0
        return functional.conv2d(x, self.weight, padding=(top, left), **self.options)


class Dense(nn.Module):
    """A matrix product without bias.

    Args:
        weight: float [O, I], or [I, O] if ``turned``.
        turned: whether inputs are the first dimension.
    """

    def __init__(self, weight: Tensor, *, turned: bool) -> None:
        super().__init__()
        self.register_buffer("weight", weight.T.contiguous() if turned else weight)
        self.weight: Tensor
        self.turned = turned

    def forward(self, x: Tensor) -> Tensor:
        """Return float [N, O] of [N, I]."""
        return functional.linear(x, self.weight)


class ExactLayer(nn.Module):
    """A layer on a grid, which adds whole numbers up, without rounding, and scales their sum.

    So values that lie on a threshold lie on it in software too, whatever the order of the sum.

    Args:
        layer: the layer, a `Convolution` or `Dense`.
        integers: its weights in steps, float [O, …].
        step: step of its input.
        scale: [O], real value of a whole number of the sum.
    """

    def __init__(self, layer: nn.Module, integers: Tensor, step: float, scale: Tensor) -> None:
        super().__init__()
        self.layer = copy.copy(layer)
        self.layer._buffers = {"weight": integers}
        self.step = step
        self.register_buffer("scale", scale)
        self.scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return float [N, O, …]."""
        sums = self.layer((x / self.step).round())
        return sums * self.scale.view(-1, *[1] * (sums.ndim - 2))


class BatchNorm(nn.Module):
    """(x − mean) / √(variance + ε) · gain + bias, per channel."""

    def __init__(self, gain: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> None:
        super().__init__()
        for name, value in (("gain", gain), ("bias", bias), ("mean", mean), ("var", var)):
            self.register_buffer(name, value)
        self.gain: Tensor
        self.bias: Tensor
        self.mean: Tensor
        self.var: Tensor
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return float [N, C, …] of [N, C, …]."""
        return functional.batch_norm(
            x, self.mean, self.var, self.gain, self.bias, training=False, eps=self.eps
        )


_ARITHMETIC: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
}


class Elementwise(nn.Module):
    """A binary operator on two streams, or on a stream and a constant in either order.

    No stream is subtracted: tidied networks add its negative.
    """

    def __init__(self, operator: str, left: Tensor | None, right: Tensor | None) -> None:
        super().__init__()
        self.operator = operator
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        self.left: Tensor | None
        self.right: Tensor | None

    @property
    def line(self) -> tuple[float, float] | None:
        """Gain and shift of one number for all values; None if it is no such line."""
        constant = self.right if self.left is None else self.left
        if constant is None or constant.numel() != 1:
            return None
        number = float(constant)
        if self.operator == "Add":
            return 1.0, number
        if self.operator == "Sub":
            return 1.0, -number
        if number == 0 or (self.operator == "Div" and self.left is not None):
            return None
        return (number, 0.0) if self.operator == "Mul" else (1 / number, 0.0)

    def gain_of_channels(self, shape: Sequence[int]) -> Tensor | None:
        """Return the factor of a stream with a constant, float64 [1] or [C]; None for no such line.

        Args:
            shape: shape of the stream, [1, C, …].
        """
        constant = self.right if self.left is None else self.left
        if constant is None or (self.operator == "Div" and self.left is not None):
            return None
        channels = (*[1] * (len(shape) - constant.ndim), *constant.shape)
        if constant.numel() > 1 and channels != (1, shape[1], *[1] * (len(shape) - 2)):
            return None
        if self.operator in ("Mul", "Div"):
            factor = constant.double().ravel()
            return factor if self.operator == "Mul" else 1 / factor
        return torch.ones(1).double()

    def forward(self, *streams: Tensor) -> Tensor:
        """Return the result for one or two streams."""
        given = iter(streams)
        left, right = (next(given) if c is None else c for c in (self.left, self.right))
        return _ARITHMETIC[self.operator](left, right)


class Reshaped(nn.Module):
    """The same values in another shape, given for one image."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, *shape]."""
        return x.reshape(x.shape[0], *self.shape)


class Permuted(nn.Module):
    """A transposition that keeps the images' dimension in place."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = tuple(order)

    def forward(self, x: Tensor) -> Tensor:
        """Return the stream with its dimensions in this order."""
        return x.permute(self.order)


class Concatenated(nn.Module):
    """Several streams, one behind the other along one dimension."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *streams: Tensor) -> Tensor:
        """Return the concatenated streams."""
        return torch.cat(streams, self.dim)


class Aligned(Concatenated):
    """Quantised streams side by side, each as whole multiples of a common step.

    Args:
        dim: dimension along which they are concatenated.
        steps: step of each stream.
        multiples: what becomes of these, about the same.
    """

    def __init__(self, dim: int, steps: Sequence[float], multiples: Sequence[float]) -> None:
        super().__init__(dim)
        self.steps, self.multiples = tuple(steps), tuple(multiples)

    def forward(self, *streams: Tensor) -> Tensor:
        """Return the concatenated streams."""
        every = zip(streams, self.steps, self.multiples, strict=True)
        return super().forward(*((x / step).round() * own for x, step, own in every))


class Chosen(nn.Module):
    """Some places of one dimension, in an order of their own."""

    def __init__(self, dim: int, places: Tensor) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("places", places.long())
        self.places: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return the stream at these places alone."""
        return x.index_select(self.dim, self.places % x.shape[self.dim])


class Upsampled(nn.Module):
    """Images enlarged by whole factors, of which each pixel becomes several equal ones."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, *size] of [N, C, H, W]."""
        for dim, size in enumerate(self.size, 2):
            if size % x.shape[dim]:
                raise ValueError(
                    f"{x.shape[dim]} pixels are enlarged to {size}, by no whole factor"
                )
            x = x.repeat_interleave(size // x.shape[dim], dim)
        return x


class MaxPool(nn.MaxPool2d):
    """The largest value of each window of an image.

    Args:
        pads: padding above, left, below and right, pixels, of which none is a largest value.
        window: further arguments of torch's ``MaxPool2d``.
    """

    def __init__(self, pads: Sequence[int], **window: Any) -> None:
        super().__init__(**window)
        self.pads = tuple(pads)

    def forward(self, x: Tensor) -> Tensor:
        """Return float [N, C, H', W'] of [N, C, H, W]."""
        top, left, bottom, right = self.pads
        if any(self.pads):
            x = functional.pad(x, (left, right, top, bottom), value=-torch.inf)
        return super().forward(x)


class Mean(nn.Module):
    """The mean over some dimensions other than the images'."""

    def __init__(self, dims: Sequence[int], *, keep: bool) -> None:
        super().__init__()
        self.dims = tuple(dims)
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """Return the means."""
        return x.mean(self.dims, keepdim=self.keep)


AVERAGES = (nn.AvgPool2d, Mean)


class ExactMean(nn.Module):
    """An average of whole numbers in a unit, whose sum float32 does not round.

    So equal sums give equal averages, whatever they are made of. Sums with noise are kept.

    Args:
        mean: the average, a `Mean` or ``AvgPool2d``.
        places: number of averaged values.
        unit: real value of a whole number, [1] or [C].
    """

    def __init__(self, mean: nn.Module, places: int, unit: Tensor) -> None:
        super().__init__()
        self.mean = mean
        self.register_buffer("unit", (unit.double() / places).view(1, -1, 1, 1))
        self.unit: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, float [N, C, …]."""
        mean = self.mean(x.double())
        unit = self.unit.view(1, -1, *[1] * (mean.ndim - 2))
        sums = mean / unit
        whole = sums.round()
        near = (sums - whole).abs() <= whole.abs() * ROUNDED
        return (torch.where(near, whole, sums) * unit).to(x.dtype)
