"""Tailored multi-execution: how often to run each noisy layer, given how robust it is.

Running a noisy layer k times and averaging divides σ by √k. A budget of executions can be spent
evenly, by rules of thumb on the midpoints μ (*Walking Noise*: Borras, Klein, Fröning, ECML PKDD
2024), or so that the predicted accuracy is highest (`Prediction` and `optimum`, ours).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from flow.errors import Defect, UserError
from flow.experiments.choice import choose

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

MOST = 200
"""Most executions of one site."""
MISFIT = 0.002
"""Standard error of accuracies on the same images and samples, and of the model, in the fit."""
PRIOR = 0.5
"""Standard deviation of log w about what the site weighs alone: a factor of 1.6 either way."""


def _mirrored(values: Floats) -> Floats:
    """Return values that fall as these rise, within the same limits."""
    return values.max() + values.min() - values


def _place(mu: Floats, together: int = 1) -> Ints:
    """Return the place of each site from 0 on, the least robust first, some sites together."""
    return np.argsort(np.argsort(mu, kind="stable")) // together


def _falling(place: Ints) -> Floats:
    """Return weights that fall by one with the place, down to 1."""
    return 1.0 + place.max() - place


def _inverse_log10(mu: Floats) -> Floats:
    """Return 1 / log₁₀ μ, very large where μ is 1."""
    log = np.log10(mu)
    return 1 / np.where(log == 0, np.finfo(np.float64).eps, log)


RULES: Mapping[str, Callable[[Floats], Floats]] = {
    "log10": lambda mu: _mirrored(np.log10(mu)),
    "sqrt": lambda mu: _mirrored(np.sqrt(mu)),
    "inverse linear": lambda mu: 1 / mu,
    "inverse log10": _inverse_log10,
    "inverse sqrt": lambda mu: 1 / np.sqrt(mu),
    "inverse square": lambda mu: 1 / np.square(mu),
    "rank": lambda mu: _falling(_place(mu)),
    "rank in twos": lambda mu: _falling(_place(mu, 2)),
    "rank in threes": lambda mu: _falling(_place(mu, 3)),
    "inverse rank": lambda mu: 1 / (1 + _place(mu)),
    "inverse rank in twos": lambda mu: 1 / (1 + _place(mu, 2)),
    "inverse rank in threes": lambda mu: 1 / (1 + _place(mu, 3)),
}
"""The paper's rules: weight of a site by its midpoint μ, as its public code spends executions, but
for rank, in whose place that code has the order of sorting. The rules with log₁₀ depend on the unit
of μ, and have weights of both signs where some μ are below 1."""


@dataclass(frozen=True)
class Prediction:
    """What executions give: A = A_r + (A₀ − A_r) / (1 + (Σ w_i / k_i)^p), over the noisy sites i.

    w_i is the power of a single execution's noise at the site, in units of what the network
    tolerates there; it falls as 1/k_i. With noise at one site alone this is the logistic of the
    midpoint, with w = (σ/μ)² and twice p as its steepness.
    """

    weights: Floats
    """w, [sites]."""
    steepness: float
    """p."""
    clean: float
    """A₀."""
    guess: float
    """A_r."""

    @classmethod
    def from_midpoints(cls, mu: Floats, sigma: float, clean: float, guess: float) -> Self:
        """Predict from what each site tolerates alone."""
        return cls((sigma / np.asarray(mu, dtype=np.float64)) ** 2, 1.0, clean, guess)

    def losses(self, most: int) -> Floats:
        """Return w_i / k, with whose sum the accuracy falls, [sites, k = 1 … most]."""
        return self.weights[:, None] / np.arange(1, most + 1)

    def accuracy(self, chosen: Ints) -> Floats:
        """Return the predicted accuracy of executions, [..., sites]."""
        power = (self.weights / chosen).sum(axis=-1)
        return self.guess + (self.clean - self.guess) / (1 + power**self.steepness)

    def fitted(self, chosen: Ints, accuracy: Floats) -> Self:
        """Learn from measurements what each site weighs among noise at all others.

        Noise of one layer goes through the noise of the next, so a site weighs more or less in
        company than alone. The fit is a ridge: log w stays near where it is, as far as the
        measurements do not say otherwise.

        Args:
            chosen: executions measured, [plans, sites].
            accuracy: measured accuracy of each plan, [plans].
        """
        start = np.log(np.append(self.weights, self.steepness))

        def misfit(theta: Floats) -> Floats:
            found = replace(self, weights=np.exp(theta[:-1]), steepness=float(np.exp(theta[-1])))
            prior = (theta - start)[:-1] / PRIOR
            return np.append((found.accuracy(chosen) - accuracy) / MISFIT, prior)

        theta = np.exp(least_squares(misfit, start).x)
        return replace(self, weights=theta[:-1], steepness=float(theta[-1]))


def losses_alone(mu: Floats, k: Floats, sigma: float, most: int) -> Floats:
    """Return −log of the share of A₀ − A_r that a site's own noise leaves, [sites, 1 … most].

    Args:
        mu: midpoint of each site alone, in the unit of σ.
        k: steepness of each.
        sigma: noise of a single execution.
        most: executions.
    """
    level = sigma / np.sqrt(np.arange(1, most + 1))
    return np.log1p((level / mu[:, None]) ** k[:, None])


def by_weight(weights: Floats, total: int) -> Ints:
    """Share executions out by weight, whole numbers of 1 or more, largest remainders first.

    Args:
        weights: [sites], 0 or more, one of them above 0.
        total: total number of executions of all sites.

    Raises:
        UserError: the total is less than one execution a site.
    """
    _check(total, len(weights))
    ideal = weights / weights.sum() * total
    # sites that would have less than one get one, and leave the rest to the others
    fixed = np.zeros(len(weights), dtype=bool)
    while (low := (ideal < 1) & ~fixed).any():
        fixed |= low
        rest = ~fixed
        ideal[fixed] = 1
        ideal[rest] = weights[rest] / weights[rest].sum() * (total - fixed.sum())
    whole = np.floor(ideal + 1e-9).astype(np.int64)
    remainder = ideal - whole
    for index in np.argsort(-remainder, kind="stable")[: total - whole.sum()]:
        whole[index] += 1
    return whole


def uniform(sites: int, total: int) -> Ints:
    """Share executions out evenly."""
    return by_weight(np.ones(sites), total)


def by_rule(name: str, midpoints: Sequence[float], total: int) -> Ints:
    """Share executions out by one of `RULES`; a site with a share below 0 runs once.

    Where no site has any weight, all have the same.
    """
    weights = RULES[name](np.asarray(midpoints, dtype=np.float64))
    weights = weights if weights.any() else np.ones_like(weights)
    return by_weight(np.maximum(weights / (weights.sum() or 1), 0), total)


def optimum(losses: Floats, total: int, near: Ints | None = None) -> Ints:
    """Choose the executions of least loss, by integer linear programming.

    Args:
        losses: [sites, executions]: what site i loses when it runs 1, 2, … times; losses add up.
        total: executions of all sites together.
        near: executions, [sites], from which each site's may differ by `reach` at most.

    Returns:
        Executions of each site, [sites].

    Raises:
        UserError: the total is less than one execution a site.
    """
    sites, most = losses.shape
    _check(total, sites)
    first, last = np.ones(sites, dtype=np.int64), np.full(sites, most)
    if near is not None:
        first, last = np.maximum(near - reach(near), 1), np.minimum(near + reach(near), most)
    executions = [np.arange(low, high + 1) for low, high in zip(first, last, strict=True)]
    values = [row[k - 1] for row, k in zip(losses, executions, strict=True)]
    # of equal losses the fewest executions
    chosen = choose(values, executions, total)
    if chosen is None:
        raise Defect(f"no optimum of {sites} sites, {total} executions")
    return first + chosen


def reach(chosen: Ints) -> Ints:
    """Return how far a site's executions may go in one step: a third, or one."""
    return np.maximum(1, chosen // 3)


def most_of_one(sites: int, total: int) -> int:
    """Return the most executions that one of this many sites can have."""
    return max(1, min(MOST, total - sites + 1))


def _check(total: int, sites: int) -> None:
    if total < sites:
        raise UserError(
            f"a budget of {total} executions is below one for each of the {sites} sites: give "
            f"{sites} or more"
        )
