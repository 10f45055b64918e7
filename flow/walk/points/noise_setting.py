"""What every walk shares: where a point lies, its noise, and taking it or measuring it.

A point that is stored is taken; the others are measured together where they share work, and each
is stored as soon as it is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow.errors import UserError
from flow.noise import Noise

SEEDS = 1 << 64
"""Seeds are below this."""


@dataclass(frozen=True)
class Setting:
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


@dataclass(frozen=True, kw_only=True)
class NoiseChoice:
    """What a user may say of the noise, whatever the command; its kind and levels apart."""

    order: str = "mul-add"
    ratio: float = 0.5
    """Of mixed noise: σₐ = σ · ratio, σₘ = σ · (1 − ratio)."""
    executions: int | None = None
    """Executions of a noisy layer, whose mean goes on; 1 when not given."""
    device: int | None = None
    """Of fixed-pattern noise: the device's seed; each noise draw has its own when not given."""
    gain_rate: float | None = None
    """Of drift: change of the gain over 1,000 images."""
    sigma_rate: float | None = None
    """Of drift: change of σ over 1,000 images, as a share."""
    samples: Path | None = None
    """Of empirical noise: the file of measured samples, or of their table of quantiles."""
    seed: int = 0

    def of_kinds(self, kinds: Sequence[str]) -> list[Setting]:
        """Return the noise of each kind, each with those options that it has.

        Raises:
            UserError: as for `Setting`, or an option is none of any kind's.
        """
        options = {
            "executions": self.executions,
            "device": self.device,
            "gain_rate": self.gain_rate,
            "sigma_rate": self.sigma_rate,
            "file": None if self.samples is None else str(self.samples),
        }
        given = {option: value for option, value in options.items() if value is not None}
        for option in given:
            if not any(option in Noise.options_of(kind) for kind in kinds):
                what = "file of samples" if option == "file" else option.replace("_", " ")
                raise UserError(f"{','.join(kinds)} noise has no {what}: leave it out")
        return [
            Setting(
                kind,
                self.order,
                self.ratio,
                self.seed,
                {o: value for o, value in given.items() if o in Noise.options_of(kind)},
            )
            for kind in kinds
        ]
