"""Midpoint noise level of an accuracy curve: its fit, its interval, and bounds without a midpoint.

The curve is A(σ) = A_r + (A₀ − A_r) / (1 + (σ/μ)^k) (Borras, Klein, Fröning, ECML PKDD 2024),
with A₀ the accuracy without noise on the same images and A_r = 1/classes. μ and k maximise the
binomial likelihood of the counts.

**Interval.** The points of a curve share their images, and often their noise draws, so the counts
are correlated, and intervals from the binomial information are too narrow or too wide, depending on
the correlation. The independent unit is the image. The interval is therefore a percentile bootstrap
over images: resample image indices, recount every point *and* A₀, refit. This keeps together
whatever the points of one image share. If all images share their noise, devices are a unit too, and
the interval is widened by their variance (`flow.statistics.devices`).

**When μ is a number.** μ is a number if the whole 95 % interval lies within the tested levels
[σ_min, σ_max]. Otherwise the data give only a bound, which the other end of the interval supports:

- the upper end lies above σ_max (the curve never falls, or not surely before the last level):
  "above", μ > min(lower end, σ_max);
- the lower end lies below σ_min (fallen before the first level): "below",
  μ < max(upper end, σ_min);
- both, or a network that does not beat guessing even without noise: "above" with level 0, because
  the data say nothing.

**Steps.** If fewer than two levels lie within the fall (5 % to 95 % of it), the likelihood hardly
constrains μ between neighbouring levels, and a bootstrap interval would be too narrow. It is then
widened to the tested levels that enclose it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from flow.statistics.devices import Spread, jackknife, widened
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import Float, percentile_ends, wilson
from flow.statistics.logistic import fit

RESAMPLES = 1000
"""Number of bootstrap resamples; 1,000 put a 2.5 % point within about 0.08 standard errors."""


Ratio = tuple[float, float, float]
"""An estimate with the ends of its 95 % interval."""


@dataclass(frozen=True)
class Curve:
    """Results per image of one accuracy curve: one site, one kind of noise, one side."""

    levels: Float
    """σ of each point, [L], ascending, > 0, in the run's unit."""
    correct: NDArray[np.float32]
    """[L, images], in [0, 1]: 1 where the label is right (mean over the seeds of a point)."""
    clean: NDArray[np.float32]
    """[images]: the results without noise, as in `correct`."""
    seeds: NDArray[np.int64]
    """[L]: number of seeds of each point."""
    devices: Float | None = None
    """[D, L]: accuracy of each device if images share their noise (`flow.statistics.devices`),
    otherwise None."""

    @property
    def images(self) -> int:
        """Number of images of each point."""
        return int(self.clean.size)

    @property
    def accuracy(self) -> Float:
        """Accuracy at each level, [L]."""
        return self.correct.mean(axis=1, dtype=np.float64)

    @property
    def without_each_device(self) -> Float:
        """Accuracy at each level with each device left out, [D, L]; [0, L] for a single device."""
        if self.devices is None or len(self.devices) < 2:
            return np.empty((0, len(self.levels)))
        return np.asarray((self.accuracy * self.seeds - self.devices) / (self.seeds - 1))


@dataclass(frozen=True)
class Midpoint:
    """μ with its 95 % interval, or the bound that the data support (module docstring)."""

    mu: float | None
    """Midpoint noise level in the unit of the levels; None for a bound."""
    lo: float
    """Lower end; 0 for a bound "below"."""
    hi: float
    """Upper end; inf for a bound "above"."""
    k: float | None
    """Steepness of the fall; None for a bound."""
    bound: Literal["above", "below"] | None = None
    step: bool = False
    """Whether fewer than two levels lie in the fall; the interval then ends at tested levels."""
    devices: int | None = None
    """Number of devices if images share their noise; the interval for a single one is its own."""

    @property
    def estimate(self) -> Estimate:
        """μ with its interval, or the σ that it lies above or below."""
        if self.bound == "above":
            return Estimate(None, self.lo, None)
        return Estimate(self.mu, None if self.bound else self.lo, self.hi)

    def __str__(self) -> str:
        return str(self.estimate)


def logistic(sigma: ArrayLike, mu: float, k: float, clean: float, guess: float) -> Float:
    """Return A(σ) of the module docstring; σ ≥ 0, any shape."""
    with np.errstate(divide="ignore"):
        fall = k * (np.log(np.asarray(sigma, dtype=np.float64)) - np.log(mu))
    return np.asarray(guess + (clean - guess) * expit(-fall))


@lru_cache(maxsize=4)
def resample_weights(images: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float32]:
    """Return how often each image occurs in each resample: [resamples, images], read-only."""
    rng = np.random.default_rng([seed, images])
    weights = np.empty((resamples, images), dtype=np.float32)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
    weights.flags.writeable = False
    return weights


def estimate(curve: Curve, guess: float) -> tuple[float, float] | None:
    """Return (μ, k) of the fit, without an interval; None if the network only guesses.

    Args:
        curve: the curve, with at least one level.
        guess: A_r.
    """
    if wilson(curve.clean.sum(), curve.images)[0] <= guess:
        return None
    log_mu, log_k = _best(curve, guess)
    return float(np.exp(log_mu)), float(np.exp(log_k))


def _trials(curve: Curve) -> Float:
    return np.asarray(curve.seeds * float(curve.images), dtype=np.float64)


def _inside(right: Float, images: int, guess: float) -> Float:
    """Return A₀ from counts, kept inside (A_r, 1), where the likelihood is defined."""
    inside: Float = np.maximum((right + 0.5) / (images + 1), guess + 0.5 / images)
    return inside


def _best(curve: Curve, guess: float) -> Float:
    """Return the (log μ, log k) of largest likelihood among the fits from three starts."""
    clean = _inside(np.array([curve.clean.sum(dtype=np.float64)]), curve.images, guess)
    accuracy = curve.accuracy[None]
    x = np.log(curve.levels)
    fallen = np.flatnonzero(accuracy[0] < (clean[0] + guess) / 2)
    at = x[fallen[0]] if fallen.size else x[-1] + 1.0
    starts = np.array([[at, np.log(k)] for k in (1.0, 3.0, 10.0)])
    fits, likelihood = fit(
        accuracy.repeat(3, 0), _trials(curve), clean.repeat(3), curve.levels, guess, starts
    )
    best: Float = fits[np.argmax(likelihood)]
    return best


class Fits(NamedTuple):
    """The fit of a curve, and its variation over images and devices."""

    best: Float
    """(log μ, log k), [2]."""
    resampled: Float
    """log μ of each resample of the images, [B]."""
    devices: Spread | None
    """Spread of log μ over the devices; None if each image has its own noise."""


def bootstrap(curve: Curve, guess: float, weights: NDArray[np.float32]) -> Fits | None:
    """Fit a curve, its resamples, and the curves with one device left out.

    Args:
        curve: the curve.
        guess: A_r.
        weights: from `resample_weights`, [B, images].

    Returns:
        The fits; None if the network does not beat guessing without noise (its Wilson interval
        contains A_r).
    """
    n = curve.images
    if wilson(curve.clean.sum(), n)[0] <= guess:
        return None
    best = _best(curve, guess)

    def again(accuracy: Float, right: Float) -> Float:
        start = np.broadcast_to(best, (len(accuracy), 2))
        clean = _inside(right, n, guess)
        return fit(accuracy, _trials(curve), clean, curve.levels, guess, start)[0][:, 0]

    rows = np.vstack([curve.correct, curve.clean[None]])
    recount = (weights @ rows.T).astype(np.float64)
    resampled = again(recount[:, :-1] / n, recount[:, -1])
    if curve.devices is None:
        return Fits(best, resampled, None)
    without = curve.without_each_device
    right = np.full(len(without), curve.clean.sum(dtype=np.float64))
    return Fits(best, resampled, jackknife(again(without, right)))


def midpoint(curve: Curve, guess: float, *, resamples: int = RESAMPLES, seed: int = 0) -> Midpoint:
    """Fit μ with its 95 % interval, or find the bound (rules: module docstring).

    Args:
        curve: the curve, with at least one level.
        guess: A_r, in (0, 1).
        resamples: bootstrap resamples.
        seed: seed of the resampling; curves with equally many images share their resamples.
    """
    return midpoint_of(
        curve, bootstrap(curve, guess, resample_weights(curve.images, resamples, seed))
    )


def midpoint_of(curve: Curve, found: Fits | None) -> Midpoint:
    """Return μ or its bound from the fits of `bootstrap`."""
    devices = None if curve.devices is None else len(curve.devices)
    if found is None:
        return Midpoint(None, 0.0, np.inf, None, "above", devices=devices)
    log_mu, log_k = found.best
    ends = percentile_ends(found.resampled)
    if found.devices is not None and found.devices.dof:
        ends = widened((log_mu, log_mu), ends, [found.devices]).ends
    lo, hi = (float(np.exp(end)) for end in ends)
    first, last = float(curve.levels[0]), float(curve.levels[-1])
    share = expit(-np.exp(log_k) * (np.log(curve.levels) - log_mu))
    step = bool(np.count_nonzero((share > 0.05) & (share < 0.95)) < 2)
    if step:
        lo = float(curve.levels[curve.levels <= lo].max(initial=min(lo, first)))
        hi = float(curve.levels[curve.levels >= hi].min(initial=max(hi, last)))
    if lo < first and hi > last:
        return Midpoint(None, 0.0, np.inf, None, "above", devices=devices)
    if hi > last:
        return Midpoint(None, min(lo, last), np.inf, None, "above", devices=devices)
    if lo < first:
        return Midpoint(None, 0.0, max(hi, first), None, "below", devices=devices)
    return Midpoint(float(np.exp(log_mu)), lo, hi, float(np.exp(log_k)), None, step, devices)
