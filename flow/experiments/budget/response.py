"""How many predictions noise at several sites changes: the model that plans are chosen by.

With noise x_i of source i, as a share of the standard deviation of the site's values, the share d
of images whose prediction is not the one without noise has the odds

    d / (D − d) = (Σ_i (x_i / m_i)^q_i)^s

where D is that share where noise drowns everything. With s = 1 and noise at one site alone, m_i is
where half of D is reached and q_i is the steepness there. q_i near 2 means that powers of noise
add, as they do in a linear network; quantisation makes it steeper.

An ADC of few bits is no small noise: fewer bits clip, or miss the step of the values, and its error
is the same in every draw. So for bits x is what they change alone (`Effect`): the root of the odds.

The share of *changed* predictions takes many times fewer images than the accuracy: near a small
loss, nearly as many images turn right as turn wrong, and the loss is the small difference. First
the images change that the network is in doubt about, whatever the layer of the noise. So the loss
of accuracy is a function of d alone, which is fitted to all plans (`Losses`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.special import logsumexp, softmax

from flow.experiments.budget.sources import Floats

MISFIT = 0.05
"""Standard error of log odds near the target, beyond that of counting: the model's own."""
DISTANCE = 0.25
"""What that error grows by for each unit of log odds away from the target."""
USUAL = 2.0
"""q of a linear network."""
SPREAD = 0.35
"""Standard deviation of log q about log 2, and of log s about 0, before anything is measured."""
FEW = 10
"""Changed predictions below which a share of them is hardly known."""
MOST_FACTOR = 100.0
"""Largest logarithm of a factor on a plan."""
SHARES = np.geomspace(1e-9, 1e3, 20_000)
"""Shares of changed predictions between which others are interpolated."""
LOSS_ERROR = 0.003
"""Standard error of the loss of a plan, beyond that of counting."""


class Trial(NamedTuple):
    """What was measured of one plan."""

    log_noise: Floats
    """log x of each site, [sites]; −inf without noise."""
    changed: float
    """Share of predictions that noise changed."""
    lost: float
    """Accuracy without noise minus that with noise."""
    samples: int
    """Images times draws."""


class Trials(NamedTuple):
    """Several plans as arrays."""

    log_noise: Floats
    """[plans, sites]."""
    changed: Floats
    """[plans]."""
    lost: Floats
    """[plans]."""
    samples: Floats
    """[plans]."""

    @classmethod
    def of(cls, trials: list[Trial]) -> Self:
        """Gather plans."""
        return cls(*(np.array(column) for column in zip(*trials, strict=True)))


@dataclass(frozen=True)
class Losses:
    """Loss of accuracy over the share d of changed predictions: t d · d^r / (d^r + h^r)."""

    top: float
    """t, the loss of a changed prediction where noise drowns everything."""
    h: float = 0.1
    """d at which a changed prediction loses half of that."""
    r: float = 1.5

    def loss(self, changed: Floats | float) -> Floats:
        """Return the loss, of the shape of d."""
        d = np.maximum(changed, 1e-12)
        return np.asarray(self.top * d / (1 + (self.h / d) ** self.r))

    def exponent(self, changed: float) -> float:
        """Return d log loss / d log d."""
        return float(1 + self.r / (1 + (changed / self.h) ** self.r))

    def changed(self, loss: float) -> float:
        """Return the share of changed predictions at which so much is lost."""
        return float(brentq(lambda d: float(self.loss(d)) - loss, 1e-12, loss + 1 / self.top + 1))

    def changed_at(self, loss: Floats) -> Floats:
        """Return `changed` of many losses, of their shape, within 0.01 %."""
        known = self.loss(SHARES)
        return np.exp(np.interp(np.log(loss), np.log(known), np.log(SHARES)))

    def fitted(self, trials: Trials) -> "Losses":
        """Fit h and r to plans; they stay near their values where plans do not say otherwise."""
        error = np.sqrt(trials.changed / trials.samples + LOSS_ERROR**2 + (0.1 * trials.lost) ** 2)
        start = np.log([self.h, self.r])

        def misfit(theta: Floats) -> Floats:
            losses = replace(self, h=float(np.exp(theta[0])), r=float(np.exp(theta[1])))
            prior = (theta - start) / [1.0, 0.4]
            return np.append((losses.loss(trials.changed) - trials.lost) / error, prior)

        h, r = np.exp(least_squares(misfit, start).x)
        return replace(self, h=float(h), r=float(r))


@dataclass(frozen=True)
class Effect:
    """Noise that bits have in effect: half the log odds of a changed prediction with them alone."""

    levels: Floats
    """Nominal log x of each number of bits, ascending."""
    noise: Floats
    """Effective log x of each."""

    @classmethod
    def of(cls, levels: Floats, trials: list[Trial], source: int, ceiling: float) -> Self:
        """Take the effect from what bits change alone.

        Where few predictions or none change, more bits are expected to change as many as x² says.

        Args:
            levels: nominal log x of each number of bits, ascending.
            trials: each number of bits alone; those with most bits may be missing.
            source: number of the source.
            ceiling: D.
        """
        measured = {float(one.log_noise[source]): one for one in trials}
        noise, expected = np.empty(len(levels)), ceiling / 2
        for number in reversed(range(len(levels))):
            one = measured.get(float(levels[number]))
            changed = 0.0 if one is None else one.changed * one.samples
            trusted = 0 if one is None else one.samples
            if changed < FEW:
                d = (changed + 1) / (trusted + 1 / expected)
            else:
                d = min(changed / trusted, 0.98 * ceiling)
            noise[number] = np.log(d / (ceiling - d)) / 2
            if number:
                expected = d * np.exp(2 * (levels[number - 1] - levels[number]))
        return cls(levels, noise)

    def __call__(self, u: Floats) -> Floats:
        """Return effective log x, of the shape of nominal log x."""
        inside = np.clip(u, self.levels[0], self.levels[-1])
        return np.asarray(np.interp(inside, self.levels, self.noise) + (u - inside))


@dataclass(frozen=True)
class Response:
    """The model (module docstring)."""

    log_m: Floats
    """log m, [sources]."""
    q: Floats
    """[sources]."""
    s: float
    ceiling: float
    """D."""
    effects: Mapping[int, Effect] = field(default_factory=dict)
    """Effective noise of those sources that have it, by number."""

    def effective(self, u: Floats) -> Floats:
        """Return effective log x, [..., sources], of log x of that shape."""
        found = np.array(u, dtype=np.float64)
        for number, effect in self.effects.items():
            found[..., number] = effect(found[..., number])
        return found

    def terms(self, effective: Floats) -> Floats:
        """Return log((x / m)^q) of each source, [..., sources], of effective log x."""
        return np.asarray(self.q * (effective - self.log_m))

    def log_odds(self, u: Floats) -> Floats:
        """Return log(d / (D − d)), [...], of log x, [..., sources]."""
        return np.asarray(self.s * logsumexp(self.terms(self.effective(u)), axis=-1))

    def slopes(self, u: Floats) -> Floats:
        """Return the derivative of `log_odds` by log x, [sources], for log x of one plan.

        Those of sources with effective noise, which is not smooth, are missing: 0.
        """
        slopes = self.s * softmax(self.terms(self.effective(u))) * self.q
        slopes[list(self.effects)] = 0.0
        return np.asarray(slopes)

    def changed(self, u: Floats) -> Floats:
        """Return d, [...], of log x, [..., sites]."""
        return np.asarray(self.ceiling / (1 + np.exp(-self.log_odds(u))))

    def odds_of(self, changed: float) -> float:
        """Return the log odds of a share d of changed predictions, below D."""
        d = min(changed, 0.999 * self.ceiling)
        return float(np.log(d / (self.ceiling - d)))

    def scaled_to(self, u: Floats, changed: float) -> Floats:
        """Return a plan with the same factor on each noise, at which d is `changed`."""
        wanted = self.odds_of(changed)
        factor = brentq(lambda t: float(self.log_odds(u + t)) - wanted, -MOST_FACTOR, MOST_FACTOR)
        return np.asarray(u + factor)

    def fitted(self, trials: Trials, changed: float) -> "Response":
        """Fit the model to plans, best where the share of changed predictions is a given one.

        The fit is a ridge: q stays near 2 and s near 1 as far as the plans do not say otherwise.

        Args:
            trials: the plans.
            changed: d of the target.
        """
        d = np.clip((trials.changed * trials.samples + 0.5) / (trials.samples + 1), 1e-9,
                    0.98 * self.ceiling)  # fmt: skip
        measured = np.log(d / (self.ceiling - d))
        counting = 1 / (trials.samples * d * (1 - d / self.ceiling))
        away = np.abs(measured - self.odds_of(changed))
        error = np.sqrt(counting + (MISFIT + DISTANCE * away) ** 2)
        sites = len(self.q)
        start = np.concatenate([self.log_m, np.log(self.q), [np.log(self.s)]])
        noise = self.effective(trials.log_noise)

        def at(theta: Floats) -> Response:
            return replace(self, log_m=theta[:sites], q=np.exp(theta[sites:-1]),
                           s=float(np.exp(theta[-1])))  # fmt: skip

        def misfit(theta: Floats) -> Floats:
            prior = np.append(theta[sites:-1] - np.log(USUAL), theta[-1]) / SPREAD
            near = (theta[:sites] - start[:sites]) / 3
            found = at(theta)
            odds = found.s * logsumexp(found.terms(noise), axis=-1)
            return np.concatenate([(odds - measured) / error, prior, near])

        return at(least_squares(misfit, start).x)


def first_response(
    log_mu: Floats, ceiling: float, effects: Mapping[int, Effect] | None = None
) -> Response:
    """Return the model before any plan was measured, from each source alone.

    Args:
        log_mu: log x of the midpoint of each source, [sources].
        ceiling: D.
        effects: effective noise of those sources that have it, by number.
    """
    log_m = np.array(log_mu, dtype=np.float64)
    log_m[list(effects or {})] = 0.0
    return Response(log_m, np.full(len(log_m), USUAL), 1.0, ceiling, effects or {})
