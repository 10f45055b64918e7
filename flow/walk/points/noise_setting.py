"""What every walk shares: where a point lies, its noise, and taking it or measuring it.

A point that is stored is taken; the others are measured together where they share work, and each
is stored as soon as it is there.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from flow.errors import UserError
from flow.noise import Noise
from flow.walk.points.side import Side
from flow.walk.points.store import Point, Store

Done = Callable[[int], None]
"""Called with the number of points finished since the last call."""

Labels = npt.NDArray[np.uint8]

SEEDS = 1 << 64
"""Seeds are below this."""


@dataclass(frozen=True)
class Place:
    """One point to measure."""

    site: str
    """Empty for the clean network."""
    sigma: float
    draw: int = 0
    """Which of several noise draws; each has a seed of its own."""


@dataclass(frozen=True)
class PointRequest:
    """A point of one side that is to be measured."""

    side: Side
    place: Place
    images: int
    """Number of images; the first ones are taken."""


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


Where = TypeVar("Where", bound=Hashable)
Group = TypeVar("Group", bound=Hashable)


def take_or_measure(
    store: Store,
    keys: Mapping[Where, dict],
    group: Callable[[Where], Group],
    measure: Callable[[Group, Sequence[Where]], Iterable[Point]],
    done: Done,
) -> list[Point]:
    """Take stored points, and measure the others, those of a group together.

    Args:
        store: where they lie.
        keys: what each point depends on.
        group: tells which group a point is measured in.
        measure: given a group and its points that are missing: those points, in that order.
        done: told about progress.

    Returns:
        The points, in the order of the keys.
    """
    found = {where: store.get(key) for where, key in keys.items()}
    missing: dict[Group, list[Where]] = {}
    for where, point in found.items():
        if point is None:
            missing.setdefault(group(where), []).append(where)
    done(sum(point is not None for point in found.values()))
    for shared, wanted in missing.items():
        for where, point in zip(wanted, measure(shared, wanted), strict=True):
            found[where] = point
            store.put(keys[where], point)
            done(1)
    return [point for point in found.values() if point is not None]
