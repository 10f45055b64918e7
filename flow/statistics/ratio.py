"""Ratio of two midpoints on the same images, with its interval and tests against a margin.

**Interval.** Both sides are refitted on the same resampled images (`flow.statistics.midpoint`), and
the interval of log r, r = μ_hardware / μ_software, is the percentile interval of the differences of
log μ. An image is resampled with all its noise draws, so the interval includes the variance of both
images and draws. Sides with noise of their own have an independent part of the variance; sides with
common random numbers have hardly any.

**p-values** come from that interval: on each side of the estimate, log r is taken as normal, with
the standard deviation (end − estimate) / 1.96 of that side. Intervals of other levels, and p-values
far below the 1/1000 that 1,000 resamples can resolve, then follow from the 95 % interval, and p =
2.5 % means that an end lies at the margin. (If devices are few, Student's distribution replaces the
normal one in both.) With the margin's ends L = log(1 − m) and U = log(1 + m):

- `p_agree`: two one-sided tests (TOST; Schuirmann, J. Pharmacokin. Biopharm. 1987), the larger
  p-value of "log r ≥ U" and "log r ≤ L".
- `p_disagree`: the p-value of "L ≤ log r ≤ U" at the end next to the estimate, where a wrong
  rejection is most likely: the chance of an estimate this far out on this side, or on the other.

**Ranges.** If a side has a bound instead of μ, or its fall lies between two levels
(`flow.statistics.midpoint`), its μ may be anything between the tested levels around it, in the
estimate and in every resample. The ratio is then a range, and each test uses the end that supports
its claim least.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from scipy.special import ndtr, stdtr

from flow.statistics.devices import FEWEST, Spread, quantile, widened
from flow.statistics.intervals import Float, percentile_ends
from flow.statistics.midpoint import (
    RESAMPLES,
    Curve,
    Fits,
    Ratio,
    bootstrap,
    midpoint_of,
)

_FAR = 50.0  # stands for the log of an unbounded ratio


@dataclass(frozen=True)
class LogRatio:
    """log(μ_hardware / μ_software) with its 95 % interval."""

    low: float
    """Estimate of log r, or the lower end of its range."""
    high: float
    """Estimate of log r again, or the upper end of its range."""
    lo: float
    """Lower end of the 95 % interval of `low`."""
    hi: float
    """Upper end of the 95 % interval of `high`."""
    dof: float = np.inf
    """Degrees of freedom of the interval; 0 if devices are too few for an interval."""
    devices: float = 0.0
    """Share of the variance due to devices, in [0, 1]; 0 if each image has its own noise."""

    @property
    def number(self) -> bool:
        """Whether both sides have a μ, so that the ratio is a number rather than a range."""
        return self.low == self.high

    @property
    def measured(self) -> bool:
        """Whether the ratio is a number with an interval."""
        return self.number and self.dof > 0

    @property
    def spread(self) -> float:
        """Standard deviation of log r; for a range, it includes the width of the range."""
        return (self.hi - self.lo) / (2 * quantile(0.975, self.dof)) if self.dof else np.inf

    def to_json(self) -> list[float] | None:
        """Return ``[r, lo, hi]``, or None for a range or without an interval."""
        return [float(v) for v in np.exp([self.low, self.lo, self.hi])] if self.measured else None

    def p_agree(self, margin: float) -> float:
        """Return the p-value of the claim that r lies within ± margin of 1."""
        lower, upper = np.log1p([-margin, margin])
        return max(self._tail_above(upper - self.high), self._tail_below(self.low - lower))

    def p_disagree(self, margin: float) -> float:
        """Return the p-value of the claim that r lies beyond ± margin of 1."""
        lower, upper = np.log1p([-margin, margin])
        above = self._tail_below(self.low - upper) + self._tail_below(self.low - lower)
        below = self._tail_above(lower - self.high) + self._tail_above(upper - self.high)
        return min(above, below, 1.0)

    def _tail_above(self, distance: float) -> float:
        return _tail(distance, self.hi - self.high, self.dof)

    def _tail_below(self, distance: float) -> float:
        return _tail(distance, self.low - self.lo, self.dof)

    def __str__(self) -> str:
        if self.number and not self.dof:
            return f"{np.exp(self.low):.3f}, without an interval"
        if self.number:
            return "{:.3f} [{:.3f}, {:.3f}]".format(*np.exp([self.low, self.lo, self.hi]))
        ends = (f"{np.exp(end):.2g}" if abs(end) < _FAR else "" for end in (self.lo, self.hi))
        low, high = ends
        if low and high:
            return f"between {low} and {high}"
        return f"above {low}" if low else f"below {high}" if high else "not bounded"


def _tail(distance: float, half: float, dof: float) -> float:
    """Return the share of values beyond `distance` if 97.5 % lie below `half`; 1 if unknown."""
    if not dof:
        return 1.0
    if half <= 0:  # all resamples are equal
        return 0.0 if distance > 0 else 1.0
    deviations = -distance / half * quantile(0.975, dof)
    return float(ndtr(deviations) if np.isinf(dof) else stdtr(dof, deviations))


class _Resampled(NamedTuple):
    """log r and its variation."""

    low: Float
    """Lower end of the range of log r, of the curves and of each resample, [1 + B]."""
    high: Float
    """Upper end; equal to `low` where both sides have a μ."""
    spreads: list[Spread]
    """Spread over the devices of each side whose images share their noise."""

    @classmethod
    def of(
        cls, hardware: Curve, software: Curve, guess: float, resamples: int, seed: int
    ) -> Self | None:
        """Resample the ratio of two sides; arguments, None and errors as of `log_ratio`."""
        if hardware.images != software.images:
            raise ValueError("a ratio is paired by image: both sides need the same images")
        fits = bootstrap((hardware, software), guess, resamples, seed)
        if fits is None:
            return None
        above, below = _ranges(hardware, fits[0]), _ranges(software, fits[1])
        low = np.maximum(above[0] - below[1], -_FAR)
        high = np.minimum(above[1] - below[0], _FAR)
        return cls(low, high, [found.devices for found in fits if found.devices])

    @property
    def measured(self) -> bool:
        """Whether both sides have a μ and enough devices for an interval."""
        return bool(self.low[0] == self.high[0]) and not self.few_devices

    @property
    def few_devices(self) -> bool:
        """Whether a side has too few devices for an interval."""
        return any(spread.dof < FEWEST - 1 for spread in self.spreads)

    @property
    def variance(self) -> float:
        """Variance of log r."""
        return float(self.low[1:].var()) + sum(spread.variance for spread in self.spreads)

    @property
    def ratio(self) -> LogRatio:
        """The ratio with its interval."""
        range_ = float(self.low[0]), float(self.high[0])
        ends = percentile_ends(self.low[1:])[0], percentile_ends(self.high[1:])[1]
        if not self.spreads:
            return LogRatio(*range_, *ends)
        if self.few_devices:
            return LogRatio(*range_, -_FAR, _FAR, dof=0.0)
        wide = widened(range_, ends, self.spreads)
        return LogRatio(*range_, *wide.ends, wide.dof, wide.share)


def log_ratio(
    hardware: Curve, software: Curve, guess: float, *, resamples: int = RESAMPLES, seed: int = 0
) -> LogRatio | None:
    """Compare the midpoints of two curves, paired by image (module docstring).

    Args:
        hardware: the curve of one side.
        software: the curve of the other side, on the same images.
        guess: accuracy of guessing, in (0, 1).
        resamples: bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The ratio, or None if a side does not beat guessing without noise.

    Raises:
        ValueError: the sides have different numbers of images.
    """
    found = _Resampled.of(hardware, software, guess, resamples, seed)
    return found and found.ratio


class Pooled(NamedTuple):
    """The common ratio of several sites."""

    ratio: LogRatio
    sites: tuple[str, ...]
    """Sites with a ratio and an interval, which contribute to the mean."""


def pooled_ratio(
    pairs: Mapping[str, tuple[Curve, Curve]],
    guess: float,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Pooled | None:
    """Return the mean of log r over sites, each weighted by its precision, 1 / variance.

    The sites share their images, and so their resamples: the interval of the mean includes what
    their estimates have in common.

    Args:
        pairs: (hardware, software) of each site, all on the same images.
        guess: accuracy of guessing, in (0, 1).
        resamples: bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The mean; None if no site has a ratio with an interval.
    """
    found = {site: _Resampled.of(*curves, guess, resamples, seed) for site, curves in pairs.items()}
    ratios = {site: one for site, one in found.items() if one is not None and one.measured}
    if not ratios:
        return None
    precise = np.array([1 / max(one.variance, 1e-12) for one in ratios.values()])
    weights = precise / precise.sum()
    mean = np.einsum("s,sb->b", weights, [one.low for one in ratios.values()])
    spreads = [
        Spread(spread.variance * weight**2, spread.dof)
        for weight, one in zip(weights, ratios.values(), strict=True)
        for spread in one.spreads
    ]
    return Pooled(_Resampled(mean, mean, spreads).ratio, tuple(ratios))


def midpoint_ratio(
    hardware: Curve, software: Curve, guess: float, *, resamples: int = RESAMPLES, seed: int = 0
) -> Ratio | None:
    """Return (ratio, lo, hi) of `log_ratio`; None if the ratio is a range or has no interval."""
    found = log_ratio(hardware, software, guess, resamples=resamples, seed=seed)
    plain = found and found.to_json()
    return (plain[0], plain[1], plain[2]) if plain else None


def noise_share(
    halves: tuple[tuple[Curve, Curve], tuple[Curve, Curve]],
    whole: LogRatio,
    guess: float,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float | None:
    """Return the share of the variance of log r that more noise draws reduce, in [0, 1].

    The rest is due to the images: some are easier for one side, whatever the draw. The two halves
    of the draws share their images, so the bootstrap variance of the difference of their log r is
    due to noise alone, and is four times that of all draws together. Further draws also reduce the
    variance of the devices.

    Args:
        halves: (hardware, software) for each half of the draws.
        whole: the ratio from all draws.
        guess: accuracy of guessing.
        resamples: bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The share; None if a curve does not beat guessing, or nothing varies.
    """
    fits = bootstrap([curve for half in halves for curve in half], guess, resamples, seed)
    if fits is None or not whole.spread:
        return None
    log_mu = [fit.resampled for fit in fits]
    difference = (log_mu[0] - log_mu[1]) - (log_mu[2] - log_mu[3])
    return float(min(difference.var() / 4 / whole.spread**2 + whole.devices, 1.0))


def _ranges(curve: Curve, found: Fits) -> tuple[Float, Float]:
    """Return lower and upper log μ of the curve and of each resample, [1 + B] each."""
    log_mu = np.hstack([found.log_mu, found.resampled])
    mu = midpoint_of(curve, found)
    if not mu.bound and not mu.step:
        return log_mu, log_mu
    tested = np.concatenate([[-_FAR], np.log(curve.levels), [_FAR]])
    upper = np.clip(np.searchsorted(tested, log_mu), 1, len(tested) - 1)
    return tested[upper - 1], tested[upper]
