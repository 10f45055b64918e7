"""Bit-serial inputs of an analog array: activations in planes of a few bits, one plane a pass.

An activation a of A bits has P = ⌈A / b⌉ planes of b bits, the lowest first:

    a = Σ over j of 2^(b·j) · a_j,    a_j = ⌊a / 2^(b·j)⌋ mod 2^b,    a_(P−1) = ⌊a / 2^(b·(P−1))⌋

The last plane has the bits that are left, and is negative where a is. An activation of −1 and 1 has
one bit, and one plane.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Values = TypeVar("Values", "Tensor", "np.ndarray")


@dataclass(frozen=True)
class Array:
    """Size of an analog array, as far as a walk depends on it."""

    rows: int | None = None
    """Rows of a tile; a whole layer's if None."""
    input_bits: int | None = None
    """Bits of its inputs; those of the activations if None."""

    def __bool__(self) -> bool:
        """Whether anything is given."""
        return self != Array()

    def __str__(self) -> str:
        """Return its part of names and hashes, such as ``-rows-64-input-bits-1``."""
        rows = "" if self.rows is None else f"-rows-{self.rows}"
        return rows + ("" if self.input_bits is None else f"-input-bits-{self.input_bits}")


@dataclass(frozen=True)
class Grid:
    """The values that a quantised stream may have: step · low, …, step · high."""

    step: float
    """Step size, in the unit of the network."""
    low: int
    high: int
    bipolar: bool = False
    """Whether the only values are low and high, −1 and 1."""

    @property
    def bits(self) -> int:
        """Bits of a value."""
        if self.bipolar:
            return 1
        low, high = ((-end - 1 if end < 0 else end).bit_length() for end in (self.low, self.high))
        return max(low, high) + (self.low < 0)

    def above_zero(self) -> "Grid":
        """Return the grid of the values' positive parts."""
        return Grid(self.step, max(self.low, 0), max(self.high, 0))


@dataclass(frozen=True)
class Planes:
    """Division of an activation into planes."""

    bits: int = 0
    """Bits of a plane; 0 for those of the activation."""
    count: int = 1

    @classmethod
    def of(cls, grid: Grid, bits: int) -> "Planes":
        """Return the planes, of this many bits each, of the values of a grid."""
        count = -(-grid.bits // bits)
        return cls(bits, count) if count > 1 else WHOLE

    @property
    def weights(self) -> list[int]:
        """Weight of each plane."""
        return [1 << self.bits * plane for plane in range(self.count)]

    def cut(self, values: Values) -> Iterator[Values]:
        """Yield the planes of whole numbers, the lowest first."""
        *lower, top = self.weights
        for weight in lower:
            yield values // weight % (1 << self.bits)
        yield values if top == 1 else values // top


WHOLE = Planes()
"""An undivided activation."""
