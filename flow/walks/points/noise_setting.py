"""Common parts of all walks: the noise of a point, and taking it from the store or measuring it.

Stored points are taken; the others are measured together if they share work, and each is stored at
once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from flow.errors import UserError
from flow.noise import Noise, class_of

SEEDS = 1 << 64
"""Seeds are below this."""


@dataclass(frozen=True)
class NoiseSetting:
    """The noise of a walk, except its level.

    Raises:
        UserError: the kind or order is unknown, the ratio outside 0..1, or the seed is invalid.
    """

    kind: str
    """Name of the kind; given as ``file.py:MyNoise``, it becomes the name of that class."""
    order: str = "mul-add"
    ratio: float = 0.5
    """For mixed noise: σₐ = σ · ratio, σₘ = σ · (1 − ratio)."""
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the kind."""
    made: type[Noise] = Noise
    """Class of the kind; if not given, the one that the name stands for."""

    def __post_init__(self) -> None:
        made = class_of(self.kind if self.made is Noise else self.made)
        object.__setattr__(self, "made", made)
        object.__setattr__(self, "kind", made.kind)
        self.noise(0.0)
        if not 0 <= self.seed < SEEDS:
            raise UserError(f"the seed is {self.seed}: give a whole number from 0 to 2^64 − 1")

    @classmethod
    def of(cls, noise: Noise, seed: int = 0) -> Self:
        """Return the setting of a noise, whose levels count only as the ratio of the two.

        Args:
            noise: noise of any kind and level.
            seed: seed of the first noise draw.

        Raises:
            UserError: as for the class; or a field is None where the class has another default.
        """
        made, total = type(noise), noise.sigma_add + noise.sigma_mul
        both = made.adds and made.multiplies and total > 0
        usual = {one.name: one.default for one in fields(made)}
        own = {name: getattr(noise, name) for name in sorted(Noise.options_of(made))}
        setting = cls(
            kind=made.kind,
            order=getattr(noise, "order", "mul-add"),
            ratio=noise.sigma_add / total if both else 0.5,
            seed=seed,
            options={name: value for name, value in own.items() if value != usual[name]},
            made=made,
        )
        if setting.noise(0.0) != replace(noise, sigma_add=0.0, sigma_mul=0.0):
            raise UserError(f"{noise} cannot be made again from its fields: give each a value")
        return setting

    def noise(self, sigma: float, unit: float = 1.0) -> Noise:
        """Return the noise of a level.

        Args:
            sigma: the level; of σₐ in units of `unit`.
            unit: size of that unit, in the unit of the layer's output.
        """
        noise = Noise.at(self.made, sigma, self.ratio, self.order, **self.options)
        return noise if unit == 1 else replace(noise, sigma_add=noise.sigma_add * unit)

    def share_of(self, deviation: float, unit: float = 1.0) -> float:
        """Return the noise at σ = 1 relative to a site's values.

        Args:
            deviation: standard deviation of the values without noise, in the unit of the layer's
                output.
            unit: as for `noise`.
        """
        noise = self.noise(1.0, unit)
        return math.hypot(noise.sigma_add / max(deviation, 1e-6), noise.sigma_mul)

    def seed_of(self, draw: int) -> int:
        """Return the seed of a draw: the setting's own for draw 0."""
        return (self.seed + (draw << 32)) % SEEDS


def distinct(settings: list[NoiseSetting]) -> list[NoiseSetting]:
    """Return the noise of several kinds; UserError if results could not distinguish them."""
    kinds = [setting.kind for setting in settings]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise UserError(f"two classes are of the kind {kind}: give one of them another kind")
    return settings
