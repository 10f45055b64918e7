"""Models of an accuracy curve, each of which gives the crossing of half way.

Half way is (A₀ + A_r)/2: half of the accuracy above guessing is lost there. The models are

- **logistic**: A(σ) = A_r + (A₀ − A_r) / (1 + (σ/μ)^k) (Borras, Klein, Fröning, ECML PKDD 2024);
- **logistic with a floor**: the same with a fitted floor f in place of A_r, as for multiplicative
  noise, which leaves zeros alone. Half way then lies elsewhere than half way to the floor, and the
  curve never reaches it if f lies above;
- **monotone**: the falling curve nearest to the points (`flow.statistics.isotonic`), interpolated
  in log σ. It assumes no shape.

**Choice.** The simplest model that fits is chosen. A model fits if three deviations are no larger
than chance makes them in 95 % of right models: its residuals, by Pearson's X² = Σ n (a − p)² /
(p (1 − p)); its log μ from that of the monotone curve; and, without a floor, the fitted floor from
guessing. How large chance makes them is seen in the resamples, less the curve's own deviation.
Points that share their images or devices do so in every resample, so nothing is assumed of their
correlation.

**The choice is repeated in each resample**, as a part of what varies. With the curve's own choice
alone, intervals hold μ too rarely where a misfit is as large as chance
(docs/results/error-rates.md). A resample's deviations have the variance of chance twice, once
from the curve and once of their own; their squares may therefore be twice as large.

**Curves that are compared** get one model, the simplest that fits all of them, in each resample
too, and a test keeps 99.9 % of right models. A misfit that it overlooks is smaller than chance,
and common to the curves, so that it hardly moves the ratio of their midpoints; two models, or one
without a shape, would widen its interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from flow.statistics.intervals import Float
from flow.statistics.isotonic import crossing, falling, interpolated
from flow.statistics.logistic import REACH, fit, logistic

Method = Literal["logistic", "logistic with a floor", "monotone"]

_RIGHT = 0.95
"""Share of correct models that a test accepts for a single curve."""
_RIGHT_OF_COMPARED = 0.999
"""The same for the curves of a comparison."""
_LIKELIER = 4.0
"""Smallest fall of X² for a floor where the choice only decides on further levels."""
_FLOOR_LEVELS = 4
"""Fewest levels for a fit of the floor: one more than it has parameters."""
_COARSE = 1 / 2
"""Largest share of the fall between two levels at which interpolation counts as exact."""


class Shape(NamedTuple):
    """Part of a fitted curve that a summary stores."""

    method: Method
    mu: float
    k: float | None
    """Steepness; None if monotone."""
    floor: float | None
    """Floor of a logistic with a floor, otherwise None."""

    def accuracy(
        self, sigma: Float, clean: float, guess: float, points: tuple[Float, Float, Float]
    ) -> Float:
        """Return the fitted curve.

        Args:
            sigma: where, any shape, > 0; a monotone curve ends at its first and last point.
            clean: A₀.
            guess: A_r.
            points: σ, accuracy and trials of the points, [L] each, which a monotone curve joins.
        """
        levels, measured, trials = points
        if self.k is None:
            fallen = falling(measured[None], trials)[0]
            if len(levels) < 2:
                return np.full_like(sigma, fallen[0])
            x = np.log(np.clip(sigma, levels[0], levels[-1]))
            return np.asarray(interpolated(np.log(levels), fallen)(x))
        if self.floor is None:
            return logistic(sigma, self.mu, self.k, clean, guess)
        beyond = float(_beyond_centre(np.array(clean), guess, np.array(self.floor)))
        return logistic(sigma, self.mu / np.exp(beyond / self.k), self.k, clean, self.floor)


class Rows(NamedTuple):
    """Versions of one curve: itself, then its resamples, then the curves without one device."""

    accuracy: Float
    """[R, L]."""
    clean: Float
    """A₀, [R]."""
    levels: Float
    """σ, [L]."""
    trials: Float
    """Binomial trials of each accuracy, [L]."""
    guess: float
    """A_r."""
    devices: int
    """Number of curves without one device, at the end; 0 if each image has its own noise."""

    @property
    def first(self) -> "Rows":
        """The curve alone."""
        return self._replace(accuracy=self.accuracy[:1], clean=self.clean[:1], devices=0)

    @property
    def half_way(self) -> Float:
        """(A₀ + A_r)/2 of each row, [R]."""
        return (self.clean + self.guess) / 2

    @property
    def resamples(self) -> slice:
        """The rows of the resamples."""
        return slice(1, len(self.accuracy) - self.devices)

    @property
    def without_device(self) -> slice:
        """The rows without one device."""
        return slice(len(self.accuracy) - self.devices, None)


@dataclass(frozen=True)
class Fitted:
    """A model, fitted to every row."""

    method: Method
    log_mu: Float
    """log σ at which each row crosses half way, [R]; far outside the levels if it does not."""
    accuracy: Float
    """The fitted accuracies, [R, L]."""
    step: bool
    """Whether the first row's fall lies between two levels, so that its shape is unknown there."""
    k: float | None = None
    """Steepness of the first row; None if monotone."""
    centre: float | None = None
    """σ at which half of the first row's fall to its floor has happened; None if monotone."""
    floor: Float | None = None
    """Fitted floor of each row, [R]."""


def fit_logistic(rows: Rows, *, floor: bool = False) -> Fitted:
    """Fit a logistic to each row, to guessing or to a floor of its own."""
    best = _best(rows.first, floor)
    start = np.broadcast_to(best, (len(rows.accuracy), len(best)))
    theta, _ = _fit(rows, start)
    x = np.log(rows.levels)
    share = expit(-np.exp(theta[:, 1:2]) * (x - theta[:, :1]))
    end = theta[:, 2] if floor else np.full(len(theta), rows.guess)
    log_mu = theta[:, 0]
    if floor:
        log_mu = log_mu + _beyond_centre(rows.clean, rows.guess, end) / np.exp(theta[:, 1])
    return Fitted(
        "logistic with a floor" if floor else "logistic",
        np.clip(log_mu, x[0] - REACH, x[-1] + REACH),
        end[:, None] + (rows.clean - end)[:, None] * share,
        bool(np.count_nonzero((share[0] > 0.05) & (share[0] < 0.95)) < 2),
        float(np.exp(theta[0, 1])),
        float(np.exp(theta[0, 0])),
        end if floor else None,
    )


def _beyond_centre(clean: Float, guess: float, floor: Float) -> Float:
    """Return k log(μ / centre) of a logistic with a floor; inf if it does not reach half way."""
    half_way = (clean + guess) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (clean - half_way) / (half_way - floor)
        return np.where(odds > 0, np.log(odds), np.inf)


def fit_monotone(rows: Rows) -> Fitted:
    """Fit the nearest falling curve to each row."""
    fallen, x = falling(rows.accuracy, rows.trials), np.log(rows.levels)
    log_mu = crossing(fallen, x, rows.half_way)
    after = int(np.clip(np.searchsorted(x, log_mu[0]), 1, max(len(x) - 1, 1)))
    drop = fallen[0, after - 1] - fallen[0, min(after, len(x) - 1)]
    coarse = bool(drop > _COARSE * (rows.clean[0] - rows.guess))
    return Fitted("monotone", np.clip(log_mu, x[0] - REACH, x[-1] + REACH), fallen, coarse)


def likelier_logistic(rows: Rows) -> Fitted:
    """Return the logistic to guessing, or that with a floor if X² is smaller by more than 4."""
    plain = fit_logistic(rows)
    if len(rows.levels) < _FLOOR_LEVELS:
        return plain
    floored = fit_logistic(rows, floor=True)
    weights = pearson_weights(rows, plain)
    x2 = [(rows.accuracy[0] - model.accuracy[0]) ** 2 @ weights for model in (plain, floored)]
    return floored if x2[0] - x2[1] > _LIKELIER else plain


class Models(NamedTuple):
    """The models of a curve, fitted to its rows."""

    rows: Rows
    plain: Fitted
    floored: Fitted | None
    """None if the curve has too few levels."""
    monotone: Fitted

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Fit every model."""
        enough = len(rows.levels) >= _FLOOR_LEVELS
        floored = fit_logistic(rows, floor=True) if enough else None
        return cls(rows, fit_logistic(rows), floored, fit_monotone(rows))


def choose(several: Sequence[Models]) -> list[Fitted]:
    """Return the simplest model that fits the first rows of all curves, fitted to each curve.

    `Fitted.log_mu` is of the model that fits each row of one curve; of several curves, and without
    a device, of the model of the first rows.

    Args:
        several: curves that are compared, with the same resamples; one curve alone as well.
    """
    right = _RIGHT if len(several) == 1 else _RIGHT_OF_COMPARED
    found = [_candidates(models, right) for models in several]
    methods = [method for method in found[0] if all(method in others for others in found)]
    first = several[0].rows
    common = 1 + len(first.accuracy[first.resamples])
    fits = np.array([np.all([one[m].fits[:common] for one in found], axis=0) for m in methods])
    choice = np.argmax(fits, axis=0)
    if len(several) > 1:
        choice[:] = choice[0]
    chosen = []
    for (rows, *_), candidates in zip(several, found, strict=True):
        models = [candidates[method].model for method in methods]
        of_rows = np.append(choice, np.full(rows.devices, choice[0]))
        log_mu = np.choose(of_rows, [model.log_mu for model in models])
        chosen.append(replace(models[choice[0]], log_mu=log_mu))
    return chosen


class _Candidate(NamedTuple):
    """A model of a curve."""

    model: Fitted
    fits: NDArray[np.bool_]
    """Whether it fits each row, [R]."""


def _candidates(models: Models, right: float) -> dict[Method, _Candidate]:
    """Return the models of a curve, the simplest first; the last one always fits.

    Args:
        models: the models.
        right: share of correct models that a test accepts.
    """
    rows, plain, floored, monotone = models
    fits = _fits(rows, plain, monotone, right)
    found: dict[Method, _Candidate] = {}
    if floored is not None:
        assert floored.floor is not None
        fits &= _by_chance(rows, floored.floor[:, None] - rows.guess, np.ones(1), right)
        found[floored.method] = _Candidate(floored, _fits(rows, floored, monotone, right))
    always = np.ones(len(rows.clean), dtype=bool)
    return {
        plain.method: _Candidate(plain, fits),
        **found,
        monotone.method: _Candidate(monotone, always),
    }


def _fit(rows: Rows, start: Float) -> tuple[Float, Float]:
    return fit(rows.accuracy, rows.trials, rows.clean, rows.levels, rows.guess, start)


def _best(row: Rows, floor: bool) -> Float:
    """Return the parameters of largest likelihood among the fits from three starts."""
    x = np.log(row.levels)
    fallen = np.flatnonzero(row.accuracy[0] < row.half_way[0])
    at = x[fallen[0]] if fallen.size else x[-1] + 1.0
    starts = np.array([[at, np.log(k)] for k in (1.0, 3.0, 10.0)])
    if floor:
        lowest = row.accuracy[0].min()
        middle = x[np.argmax(row.accuracy[0] < (row.clean[0] + lowest) / 2)]
        starts = np.column_stack([np.full(3, middle), starts[:, 1], np.full(3, lowest)])
    three = row._replace(accuracy=row.accuracy.repeat(3, 0), clean=row.clean.repeat(3))
    fits, likelihood = _fit(three, starts)
    best: Float = fits[np.argmax(likelihood)]
    return best


def _fits(rows: Rows, model: Fitted, monotone: Fitted, right: float) -> NDArray[np.bool_]:
    """Return whether a model's residuals and its μ are right within chance, [R]."""
    same = _by_chance(rows, (model.log_mu - monotone.log_mu)[:, None], np.ones(1), right)
    residuals = rows.accuracy - model.accuracy
    return same & _by_chance(rows, residuals, pearson_weights(rows, model), right)


def pearson_weights(rows: Rows, model: Fitted) -> Float:
    """Return n / (p (1 − p)) of the first row, [L]."""
    p = model.accuracy[0]
    return np.asarray(rows.trials / (p * (1 - p)).clip(1e-9))


def _by_chance(rows: Rows, deviations: Float, weights: Float, right: float) -> NDArray[np.bool_]:
    """Return whether chance explains each row's sum of weighted squares.

    Args:
        rows: the curve and its resamples.
        deviations: [R, M], zero on average if the model is right.
        weights: [M].
        right: share of correct models for which the answer is yes.
    """
    chance = deviations[rows.resamples] - deviations[0]
    if rows.devices > 1:
        without = deviations[rows.without_device]
        normal = np.random.default_rng(0).standard_normal((len(chance), rows.devices))
        scale = np.sqrt((rows.devices - 1) / rows.devices)
        chance = chance + scale * normal @ (without - without.mean(axis=0))
    times = np.where(np.arange(len(deviations)) == 0, 1.0, 2.0)
    return np.asarray(deviations**2 @ weights <= times * np.quantile(chance**2 @ weights, right))
