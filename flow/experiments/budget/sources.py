"""What a plan decides: σ of a site, the bits of its ADC, or how often its layer is executed.

Each is a source of noise, whose power adds to that of the others. The currency of all is x, the
noise as a share of the standard deviation of the site's values:

=============  =================  ==================================================
what varies    x                  where
=============  =================  ==================================================
σ              σ / std            any σ that the registers hold
bits B         x₀ · 2^−B          x₀ · 2^−B = Δ / √12 / std, with Δ the step of B bits
executions k   x₀ / √k            x₀ is the noise of one execution, from a noise map
=============  =================  ==================================================

So plans of bits and of executions lie on a lattice of log x.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA, Knob
from flow.noise.adc import MOST_BITS
from flow.noise.base import MOST_EXECUTIONS

Floats = npt.NDArray[np.floating]

DB = 20 / math.log(10)
"""Decibels of a factor e."""
SAME = 1e-6
"""Difference of log x below which two levels are the same."""

_FALLS: Mapping[Knob, Callable[[Floats], Floats]] = {
    SIGMA: lambda snr: snr / DB,
    ADC: lambda bits: bits * math.log(2),
    EXECUTIONS: lambda k: np.log(k) / 2,
}
"""By how much log x falls at a number: signal-to-noise ratio in dB, bits, or executions."""
_NUMBERS: Mapping[Knob, range] = {
    SIGMA: range(0),
    ADC: range(MOST_BITS, 0, -1),
    EXECUTIONS: range(MOST_EXECUTIONS, 0, -1),
}
"""Numbers of the levels of a lattice, from the least noise on."""
_STEPS: Mapping[Knob, float] = {SIGMA: 0.0, ADC: math.log(2), EXECUTIONS: math.log(2) / 2}
"""Width of a lattice in log x; of executions from one to two."""


@dataclass(frozen=True)
class Source:
    """One source of noise."""

    site: str
    knob: Knob
    name: str
    """Name in tables: the site, and what varies if a site has several sources."""
    origin: float = 0.0
    """log x₀."""
    low: float = -math.inf
    """Smallest log x."""
    high: float = math.inf
    """Largest log x."""

    def log_noise(self, number: npt.ArrayLike) -> Floats:
        """Return log x at numbers: SNR in dB, bits, or executions."""
        return self.origin - _FALLS[self.knob](np.asarray(number, dtype=np.float64))

    @cached_property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Bits or executions of each level, from the least noise on; empty without a lattice."""
        every = np.array(_NUMBERS[self.knob], dtype=np.int64)
        u = self.log_noise(every)
        return every[(u >= self.low - SAME) & (u <= self.high + SAME)]

    @cached_property
    def levels(self) -> Floats:
        """Log x of each level, ascending."""
        return self.log_noise(self.numbers)

    @property
    def on_lattice(self) -> bool:
        """Whether only whole numbers are possible."""
        return self.knob != SIGMA

    def index(self, u: float) -> int:
        """Return the number of the level nearest to log x."""
        return int(np.abs(self.levels - u).argmin())

    def nearest(self, u: float) -> float:
        """Return the possible log x nearest to one."""
        if self.on_lattice:
            return float(self.levels[self.index(u)])
        return float(np.clip(u, self.low, self.high))

    def number(self, u: float) -> int:
        """Return the bits or executions nearest to log x."""
        return int(self.numbers[self.index(u)])

    def raised(self, u: float, by: float) -> float | None:
        """Return log x with more noise: by a difference, or that of the next level of a lattice.

        Returns:
            None if the lattice ends there.
        """
        if not self.on_lattice:
            return u + by
        above = self.index(u) + 1
        return float(self.levels[above]) if above < len(self.levels) else None


@dataclass(frozen=True)
class Space:
    """Every plan: log x of each source, [sources]."""

    sources: Sequence[Source] = field()

    @classmethod
    def of_sigmas(cls, sites: Sequence[str], low: Floats, high: Floats) -> Self:
        """Return the space of σ at sites, with bounds of log x, [sites] each."""
        rows = zip(sites, map(float, low), map(float, high), strict=True)
        return cls([Source(site, SIGMA, site, 0.0, *ends) for site, *ends in rows])

    def within(self, low: Floats, high: Floats) -> Self:
        """Return the part within further bounds of log x, [sources] each."""
        narrowed = [
            replace(one, low=max(one.low, float(least)), high=min(one.high, float(most)))
            for one, least, most in zip(self.sources, low, high, strict=True)
        ]
        return replace(self, sources=narrowed)

    @property
    def names(self) -> list[str]:
        """Names of the sources."""
        return [one.name for one in self.sources]

    @property
    def knobs(self) -> list[Knob]:
        """What varies."""
        return list(dict.fromkeys(one.knob for one in self.sources))

    @cached_property
    def low(self) -> Floats:
        """Smallest log x of each source, [sources]."""
        return np.array([one.levels[0] if one.on_lattice else one.low for one in self.sources])

    @cached_property
    def high(self) -> Floats:
        """Largest log x of each source, [sources]."""
        return np.array([one.levels[-1] if one.on_lattice else one.high for one in self.sources])

    @cached_property
    def origins(self) -> Floats:
        """Log x₀ of each source, [sources]."""
        return np.array([one.origin for one in self.sources])

    @cached_property
    def on_lattice(self) -> npt.NDArray[np.bool_]:
        """Whether only whole numbers are possible of each source, [sources]."""
        return np.array([one.on_lattice for one in self.sources])

    @cached_property
    def step(self) -> float:
        """Width of the coarsest lattice in log x; 0 without one."""
        return max(_STEPS[one.knob] for one in self.sources)

    def nearest(self, u: Floats) -> Floats:
        """Return the plan nearest to log x, [sources]."""
        return np.array([one.nearest(float(v)) for one, v in zip(self.sources, u, strict=True)])

    def indices(self, u: Floats) -> npt.NDArray[np.int64]:
        """Return the number of the level of each source that is nearest to log x, [sources]."""
        pairs = zip(self.sources, u, strict=True)
        return np.array([one.index(float(value)) for one, value in pairs], dtype=np.int64)

    def raised(self, u: Floats, number: int, by: float) -> Floats | None:
        """Return a plan with more noise of one source; as `Source.raised`."""
        more = self.sources[number].raised(float(u[number]), by)
        return None if more is None else np.where(np.arange(len(u)) == number, more, u)
