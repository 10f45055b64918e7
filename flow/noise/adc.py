"""An analog-to-digital converter (ADC) at a site: the value becomes the nearest of a few codes.

With B bits and step s, whole numbers v and s in units of 2^−F LSB of the accumulator,

    code = clamp(⌊(2v + s) / (2s)⌋, least, most),  v' = code · s

with codes −2^(B−1)..2^(B−1) − 1, or 0..2^B − 1 if no value is negative. One bit is a comparator:
v' = s/2 for v ≥ 0 and −s/2 below. Halves round up, in the hardware's sign of a channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from flow.errors import UserError

MOST_BITS = 12
STEP_BITS = 32
"""Bits of a step in units of 2^−F LSB, a register of the tap."""
_FINEST = 1 << 20
"""Units in the range of a network that is not compiled, which has no LSB."""
_ROUNDING = 2.0**-20
"""Share of the full scale by which a tie may be missed: float32's rounding of v."""


@dataclass(frozen=True)
class Adc:
    """A converter of one site.

    Raises:
        UserError: there are fewer than 1 or more than 12 bits, or the step is beyond its register.
    """

    bits: int
    """B, 1 to 12."""
    step: int
    """s, in units of `unit`; even for a comparator."""
    unit: float
    """Size of 2^−F LSB, in the unit of the layer's output."""
    signed: bool = True
    """Whether codes are negative, too."""
    negated: tuple[int, ...] = ()
    """Channels that FINN negated, whose converter reads −v."""

    def __post_init__(self) -> None:
        check_bits(self.bits)
        if not 1 <= self.step < 1 << STEP_BITS:
            raise UserError(f"the step of an ADC is {self.step}: give 1 to 2^{STEP_BITS} − 1")

    @classmethod
    def of_range(
        cls,
        bits: int,
        full_scale: float,
        unit: float | None = None,
        *,
        signed: bool = True,
        negated: Sequence[int] = (),
    ) -> Self:
        """Return the converter whose codes cover a range: s = 2r / 2^B, or r / 2^B if unsigned.

        Args:
            bits: B.
            full_scale: r, in the unit of the layer's output.
            unit: size of 2^−F LSB in that unit; as fine as the range allows if not given.
            signed: whether there are negative values.
            negated: channels that FINN negated.

        Raises:
            UserError: as for the class.
        """
        check_bits(bits)
        full_scale = full_scale or 1.0
        unit = unit or full_scale / _FINEST
        step = max(1, round(full_scale * (1 + signed) / 2**bits / unit))
        if bits == 1 and signed:
            step += step % 2
        return cls(bits, step, unit, signed, tuple(negated))

    @property
    def compares(self) -> bool:
        """Whether it is a comparator, which has no code for 0."""
        return self.bits == 1 and self.signed

    @property
    def codes(self) -> tuple[int, int]:
        """The least and the largest code."""
        least = -(1 << self.bits - 1) if self.signed else 0
        return least, least + (1 << self.bits) - 1

    @property
    def full_scale(self) -> float:
        """The range that the codes cover, in the unit of the layer's output."""
        return self.real_step * 2**self.bits / (1 + self.signed)

    @property
    def real_step(self) -> float:
        """The step, in the unit of the layer's output."""
        return self.step * self.unit

    def __call__(self, y: Tensor) -> Tensor:
        """Return what the converter reads.

        Args:
            y: values in the unit of the layer's output, float [N, C] or [N, C, H, W].
        """
        if not self.negated:
            return self._read(y)
        sign = torch.ones(y.shape[1], dtype=y.dtype, device=y.device)
        sign[list(self.negated)] = -1
        sign = sign.view(1, -1, *[1] * (y.ndim - 2))
        return sign * self._read(sign * y)

    def _read(self, v: Tensor) -> Tensor:
        step, near = self.real_step, _ROUNDING * 2**self.bits
        if self.compares:
            return torch.where(v >= -near * step, step / 2, -step / 2).to(v.dtype)
        return (v / step + (0.5 + near)).floor_().clamp_(*self.codes).mul_(step)

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return vars(self) | {"negated": list(self.negated)}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """Make the converter that `to_json` described."""
        return cls(**told | {"negated": tuple(told["negated"])})


def check_bits(bits: int) -> None:
    """Raise a UserError if no converter has this many bits."""
    if not 1 <= bits <= MOST_BITS:
        raise UserError(f"an ADC has {bits} bits: give 1 to {MOST_BITS}")
