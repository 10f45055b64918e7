"""What every walk shares: where a point lies, its noise, and taking it or measuring it.

A point that is stored is taken; the others are measured together where they share work, and each
is stored as soon as it is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flow.errors import UserError
from flow.noise import Noise

SEEDS = 1 << 64
"""Seeds are below this."""


@dataclass(frozen=True)
class NoiseSetting:
    """The noise of a walk, all but its level.

    Raises:
        UserError: the kind or order is unknown, the ratio outside 0..1, or the seed no seed.
    """

    kind: str
    order: str = "mul-add"
    ratio: float = 0.5
    """For mixed noise: σₐ = σ · ratio, σₘ = σ · (1 − ratio)."""
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the kind."""

    def __post_init__(self) -> None:
        self.noise(0.0)
        if not 0 <= self.seed < SEEDS:
            raise UserError(f"the seed is {self.seed}: give a whole number from 0 to 2^64 − 1")

    def noise(self, sigma: float) -> Noise:
        """Return the noise of a level."""
        return Noise.at(self.kind, sigma, self.ratio, self.order, **self.options)

    def seed_of(self, draw: int) -> int:
        """Return the seed of a draw: the setting's own for draw 0."""
        return (self.seed + (draw << 32)) % SEEDS
