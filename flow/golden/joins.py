"""Layers of the golden model where two branches join."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flow.golden.layers import Layer


@dataclass(frozen=True)
class Addition(Layer):
    """Addition of two branches, or of multiples of them, where they join."""

    gains: Tensor | None = None
    """Factor of each branch, int64 [2, C] or [2, 1]; 1 if None."""
    wide: bool = False
    """Whether float32 would round the sums."""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the sums, [N, …], of two streams of equal shape."""
        if self.wide:
            # noise in real arithmetic gives no whole numbers
            kind = torch.float64 if torch.float64 in (a.dtype, b.dtype) else torch.int64
            a, b = a.to(kind), b.to(kind)
        if self.gains is None:
            return a + b
        return a * self.gains[0] + b * self.gains[1]


@dataclass(frozen=True)
class Product(Layer):
    """Product of two branches where they join."""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return [N, …, C] of [N, …, C] and as many values, or a vector [N, C] or [N, 1, 1, C]."""
        return a * b.view(len(b), *[1] * (a.ndim - 2), -1) if b[0].numel() < a[0].numel() else a * b


@dataclass(frozen=True)
class Concatenation(Layer):
    """Concatenation of the channels of two branches, or of multiples of them, where they join."""

    gains: tuple[int, int] = (1, 1)
    """Factor of each branch."""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return [N, …, C_a + C_b] of [N, …, C_a] and [N, …, C_b]."""
        parts = (one if g == 1 else one * g for g, one in zip(self.gains, (a, b), strict=True))
        return torch.cat(tuple(parts), -1)
