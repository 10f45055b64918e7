"""QONNX's quantisers in torch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flow.models.qonnx.tidy.steps import reach

ROUNDED = 2.0**-21
"""Relative error that a few roundings of float32 leave."""


class Quant(nn.Module):
    """QONNX's Quant: clip(x / scale + zero point), rounded halves to even, and converted back.

    Args:
        scale: size of a step; any shape that broadcasts.
        zero_point: zero point, in steps.
        bits: bits of a value; one signed bit is −1 or 1.
        signed: whether values may be negative.
        narrow: whether the smallest (signed) or largest (unsigned) value is excluded.
    """

    def __init__(
        self, scale: Tensor, zero_point: Tensor, bits: int, *, signed: bool, narrow: bool
    ) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        self.scale: Tensor
        self.zero_point: Tensor
        self.bits = bits
        self.signed = signed
        self.narrow = narrow

    @property
    def bipolar(self) -> bool:
        """Whether values are −1 and 1."""
        return self.bits == 1 and self.signed

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest values, in steps."""
        if self.bipolar:
            return -1, 1
        if self.signed:
            high = 2 ** (self.bits - 1) - 1
            return -high - (not self.narrow), high
        return 0, 2**self.bits - 1 - self.narrow

    def integers(self, x: Tensor) -> Tensor:
        """Return values in steps, including the zero point."""
        return self._rounded(x / self.scale)

    def _rounded(self, quotient: Tensor) -> Tensor:
        steps = quotient + self.zero_point
        if self.bipolar:
            return torch.where(steps >= 0, 1.0, -1.0)
        return steps.clamp(*self.limits).round()

    def on_grid(self, x: Tensor) -> Tensor:
        """Return the nearest values of the grid."""
        return (self.integers(x) - self.zero_point) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantised values."""
        return self.on_grid(x)


class ExactHalves(Quant):
    """A quantiser of quantised values, their sums or averages, which often lie between two steps.

    What float32 rounds away from such a half is a half here, whose rounding is to even.
    """

    @classmethod
    def of(cls, quant: Quant) -> "ExactHalves":
        """Return a quantiser with the constants of another."""
        flags = {"signed": quant.signed, "narrow": quant.narrow}
        return cls(quant.scale, quant.zero_point, quant.bits, **flags)

    def integers(self, x: Tensor) -> Tensor:
        """Return values in steps, including the zero point."""
        twice = 2 * x / self.scale
        whole = twice.round()
        near = (twice - whole).abs() <= whole.abs() * ROUNDED
        return self._rounded(torch.where(near, whole, twice) / 2)


class Thresholds(Quant):
    """QONNX's MultiThreshold: scale · (number of thresholds not above the value) + bias.

    Its values are the grid of a quantiser, whose zero point is 0 if the bias is a multiple of the
    scale.

    Of the steps that fall, it counts the thresholds above the value.

    Args:
        thresholds: float [1 or C, steps], in any order, which may be infinite.
        scale: step of the output per threshold, above 0.
        bias: output where nothing is counted.
        falls: whether each step falls; empty if none does.
    """

    def __init__(
        self, thresholds: Tensor, scale: float, bias: float, falls: Sequence[int] = ()
    ) -> None:
        steps, low = thresholds.shape[1], bias / scale
        whole = abs(low - round(low)) < 1e-4
        least, most = reach(thresholds.numpy(), falls)
        base = round(low) if whole else 0
        self._levels = base + least, base + most
        bipolar = steps == 1 and abs(low + 0.5) < 1e-4
        if bipolar:
            self._levels, whole, step = (-1, 1), True, scale / 2
        else:
            step = scale
        zero = torch.tensor(0.0 if whole else -low)
        bits = 1 if bipolar else _bits(*self._levels)
        super().__init__(torch.tensor(step), zero, bits, signed=self._levels[0] < 0, narrow=False)
        ordered = thresholds.sort(dim=1)
        self.register_buffer("thresholds", ordered.values.contiguous())
        self.thresholds: Tensor
        signs = 1.0 - 2.0 * torch.tensor([*falls] or [0] * steps)
        rises = torch.cat((torch.zeros(len(thresholds), 1), signs[ordered.indices].cumsum(1)), 1)
        # of as many thresholds that are not above a value
        self.register_buffer("counts", rises + sum(falls) if any(falls) else None)
        self.counts: Tensor | None
        self.factor = scale
        # in steps, so that the sum of a count and a bias is rounded once
        self.shift = round(2 * low) / 2 if whole else low

    @property
    def bipolar(self) -> bool:
        """Whether values are −1 and 1."""
        return self._levels == (-1, 1) and self.thresholds.shape[1] == 1

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest values, in steps."""
        return self._levels

    def forward(self, x: Tensor) -> Tensor:
        """Return the quantised values of [N, C, …]."""
        rows = x.movedim(1, 0)
        flat = rows.reshape(len(self.thresholds), -1).contiguous()
        count = torch.searchsorted(self.thresholds, flat, right=True)
        if self.counts is not None:
            count = self.counts.gather(1, count)
        return (count.view(rows.shape).movedim(0, 1).to(x.dtype) + self.shift) * self.factor


def _bits(low: int, high: int) -> int:
    """Return the bits of whole numbers from low to high."""
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + (low < 0)
