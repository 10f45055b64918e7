"""Midpoint noise level of an accuracy curve: its fit, its interval, and bounds without a midpoint.

μ is the σ at which half of the accuracy above guessing is lost, whatever the curve's shape:
A(μ) = (A₀ + A_r)/2, with A₀ the accuracy without noise on the same images and A_r = 1/classes. It
is read from the simplest model that fits the points (`flow.statistics.curve_models`), whose
parameters maximise the binomial likelihood of the counts.

**Interval.** The points of a curve share their images, and often their noise draws, so the counts
are correlated, and intervals from the binomial information are too narrow or too wide, depending on
the correlation. The independent unit is the image. The interval is therefore a percentile bootstrap
over images: resample image indices, recount every point *and* A₀, choose the
model and fit again. This keeps together
whatever the points of one image share. If all images share their noise, devices are a unit too, and
the interval is widened by their variance (`flow.statistics.devices`).

**When μ is a number.** μ is a number if the whole 95 % interval lies within the tested levels
[σ_min, σ_max]. Otherwise the data give only a bound, which the other end of the interval supports:

- the upper end lies above σ_max (the curve never reaches half way, or not surely before the last
  level):
  "above", μ > min(lower end, σ_max);
- the lower end lies below σ_min (fallen before the first level): "below",
  μ < max(upper end, σ_min);
- both, or a network that does not beat guessing even without noise: "above" with level 0, because
  the data say nothing.

**Steps.** If fewer than two levels lie within the fall (5 % to 95 % of it), the likelihood hardly
constrains μ between neighbouring levels, and a bootstrap interval would be too narrow. It is then
widened to the tested levels that enclose it. The same happens to a monotone curve that loses more
than half of the accuracy above guessing between the two levels around μ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flow.statistics.curve_models import (
    Fitted,
    Method,
    Models,
    Rows,
    choose,
    fit_monotone,
    likelier_logistic,
)
from flow.statistics.devices import Spread, jackknife, widened
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import Float, percentile_ends, wilson

RESAMPLES = 1000
"""Number of bootstrap resamples; 1,000 put a 2.5 % point within about 0.08 standard errors."""


Ratio = tuple[float, float, float]
"""An estimate with the ends of its 95 % interval."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Results per image of one accuracy curve: one site, one kind of noise, one side.

    A curve equals only itself.
    """

    levels: Float
    """σ of each point, [L], ascending, > 0, in the run's unit."""
    correct: NDArray[np.float32]
    """[L, images], in [0, 1]: 1 where the label is right (mean over the seeds of a point); NaN for
    an image that a level was not measured on."""
    clean: NDArray[np.float32]
    """[images]: the results without noise, as in `correct`."""
    seeds: NDArray[np.int64]
    """[L]: number of seeds of each point."""
    devices: Float | None = None
    """[D, L]: accuracy of each device if images share their noise (`flow.statistics.devices`),
    otherwise None."""

    @property
    def images(self) -> int:
        """Number of images without noise, and at the levels that have most."""
        return int(self.clean.size)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Whether a level was measured on an image, [L, images]."""
        return np.asarray(~np.isnan(self.correct))

    @property
    def accuracy(self) -> Float:
        """Accuracy at each level, [L]."""
        return np.asarray(np.nanmean(self.correct, axis=1, dtype=np.float64))

    @property
    def trials(self) -> Float:
        """Binomial trials at each level, [L]."""
        return np.asarray(self.seeds * self.measured.sum(axis=1), dtype=np.float64)

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
    """Steepness of the fitted logistic; None for a bound, and for a monotone curve."""
    bound: Literal["above", "below"] | None = None
    step: bool = False
    """Whether fewer than two levels lie in the fall; the interval then ends at tested levels."""
    devices: int | None = None
    """Number of devices if images share their noise; the interval for a single one is its own."""
    method: Method | None = None
    """Model of the curve that gave μ or its bound; None if the network only guesses."""
    floor: float | None = None
    """Floor of a logistic with a floor; None for other models, and for a bound."""
    misfit: float | None = None
    """Largest difference in accuracy between the model and a point; None for a bound."""

    @property
    def estimate(self) -> Estimate:
        """μ with its interval, or the σ that it lies above or below."""
        if self.bound == "above":
            return Estimate(None, self.lo, None)
        return Estimate(self.mu, None if self.bound else self.lo, self.hi)

    def __str__(self) -> str:
        return str(self.estimate)


@lru_cache(maxsize=4)
def resample_weights(images: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float32]:
    """Return how often each image occurs in each resample: [resamples, images], read-only."""
    rng = np.random.default_rng([seed, images])
    weights = np.empty((resamples, images), dtype=np.float32)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
    weights.flags.writeable = False
    return weights


def _inside(right: Float, images: int, guess: float) -> Float:
    """Return A₀ from counts, kept inside (A_r, 1), where the likelihood is defined."""
    inside: Float = np.maximum((right + 0.5) / (images + 1), guess + 0.5 / images)
    return inside


class Fits(NamedTuple):
    """The fit of a curve, and its variation over images and devices."""

    model: Fitted
    """The model that was chosen, fitted to the curve first."""
    resampled: Float
    """log μ of each resample of the images, [B]."""
    devices: Spread | None
    """Spread of log μ over the devices; None if each image has its own noise."""

    @property
    def log_mu(self) -> float:
        """Log μ of the curve."""
        return float(self.model.log_mu[0])


def bootstrap(
    curves: Sequence[Curve], guess: float, resamples: int, seed: int
) -> list[Fits] | None:
    """Fit curves, their resamples, and the curves with one device left out, with one model for all.

    Args:
        curves: the curves, on the same images.
        guess: A_r.
        resamples: number of resamples B.
        seed: seed of the resampling.

    Returns:
        The fits of each; None if a network does not beat guessing without noise (its Wilson
        interval contains A_r).
    """
    if any(only_guesses(curve, guess) for curve in curves):
        return None
    models = [_models(curve, guess, resamples, seed) for curve in curves]
    return [
        Fits(
            model,
            model.log_mu[rows.resamples],
            None if curve.devices is None else jackknife(model.log_mu[rows.without_device]),
        )
        for curve, (rows, *_), model in zip(curves, models, choose(models), strict=True)
    ]


@lru_cache(maxsize=64)
def _models(curve: Curve, guess: float, resamples: int, seed: int) -> Models:
    """Fit every model to a curve that takes part in several comparisons."""
    return Models.of(_rows(curve, guess, resample_weights(curve.images, resamples, seed)))


def _rows(curve: Curve, guess: float, weights: NDArray[np.float32]) -> Rows:
    n = curve.images
    right = np.vstack([np.nan_to_num(curve.correct), curve.clean[None]])
    recount = (weights @ right.T).astype(np.float64)
    drawn = (weights @ curve.measured.T.astype(np.float32)).astype(np.float64)
    without = curve.without_each_device
    clean = curve.clean.sum(dtype=np.float64)
    return Rows(
        accuracy=np.vstack([curve.accuracy[None], recount[:, :-1] / drawn, without]),
        clean=_inside(np.hstack([clean, recount[:, -1], clean.repeat(len(without))]), n, guess),
        levels=curve.levels,
        trials=curve.trials,
        guess=guess,
        devices=len(without),
    )


def only_guesses(curve: Curve, guess: float) -> bool:
    """Return whether a network does not beat guessing without noise (its Wilson interval)."""
    return bool(wilson(curve.clean.sum(), curve.images)[0] <= guess)


class Outline(NamedTuple):
    """Where a curve falls, estimated from the points alone, to choose further levels."""

    crossing: float
    """σ at which the points cross half way, interpolated; beyond the levels if they do not."""
    centre: float
    """σ at which half of the fall to the curve's own floor has happened."""
    k: float
    """Steepness of that fall."""
    floored: bool
    """Whether the curve levels off above guessing."""
    coarse: bool
    """Whether the two levels around the crossing are too far apart to interpolate between them."""


def outline(curve: Curve, guess: float) -> Outline | None:
    """Return where a curve falls; None if the network only guesses.

    Args:
        curve: the curve, with at least one level.
        guess: A_r.
    """
    if only_guesses(curve, guess):
        return None
    right = np.array([curve.clean.sum(dtype=np.float64)])
    clean = _inside(right, curve.images, guess)
    rows = Rows(curve.accuracy[None], clean, curve.levels, curve.trials, guess, devices=0)
    shape, points = likelier_logistic(rows), fit_monotone(rows)
    assert shape.centre is not None and shape.k is not None
    crossing = float(np.exp(points.log_mu[0]))
    return Outline(crossing, shape.centre, shape.k, shape.floor is not None, points.step)


def midpoint(curve: Curve, guess: float, *, resamples: int = RESAMPLES, seed: int = 0) -> Midpoint:
    """Fit μ with its 95 % interval, or find the bound (rules: module docstring).

    Args:
        curve: the curve, with at least one level.
        guess: A_r, in (0, 1).
        resamples: bootstrap resamples.
        seed: seed of the resampling; curves with equally many images share their resamples.
    """
    found = bootstrap([curve], guess, resamples, seed)
    return midpoint_of(curve, None if found is None else found[0])


def midpoint_of(curve: Curve, found: Fits | None) -> Midpoint:
    """Return μ or its bound from the fits of `bootstrap`."""
    devices = None if curve.devices is None else len(curve.devices)
    if found is None:
        return Midpoint(None, 0.0, np.inf, None, "above", devices=devices)
    log_mu, model = found.log_mu, found.model
    ends = percentile_ends(found.resampled)
    if found.devices is not None and found.devices.dof:
        ends = widened((log_mu, log_mu), ends, [found.devices]).ends
    lo, hi = (float(np.exp(end)) for end in ends)
    first, last = float(curve.levels[0]), float(curve.levels[-1])
    if model.step:
        lo = float(curve.levels[curve.levels <= lo].max(initial=min(lo, first)))
        hi = float(curve.levels[curve.levels >= hi].min(initial=max(hi, last)))
    bound = partial(Midpoint, None, k=None, devices=devices, method=model.method)
    if lo < first and hi > last:
        return bound(0.0, np.inf, bound="above")
    if hi > last:
        return bound(min(lo, last), np.inf, bound="above")
    if lo < first:
        return bound(0.0, max(hi, first), bound="below")
    return Midpoint(
        float(np.exp(log_mu)),
        lo,
        hi,
        model.k,
        step=model.step,
        devices=devices,
        method=model.method,
        floor=None if model.floor is None else float(model.floor[0]),
        misfit=float(np.abs(curve.accuracy - model.accuracy[0]).max()),
    )
