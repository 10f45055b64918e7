"""Judgement of plans at equal accuracy, on images and noise draws that served nothing else.

Each rule gives a family of plans: one factor on every σ. Its plans are measured at several factors
around the one at which the loss is the target. Along a family the share of changed predictions
follows d = exp(a + k log f), and the loss is c · d^ρ, with c, a and k of this family alone, and ρ
from the search. So the factor of the target is known from all its plans, and the cost there. The
ratio of two costs has the percentile interval of resampled images, the same for all families; an
image is resampled with all its noise draws, which the families share. The same ratio where rules
change as many predictions is known several times better, since c cancels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flow.experiments.budget.bench import Bench, Outcome
from flow.experiments.budget.cost import Cost, Floats
from flow.experiments.budget.families import CHEAPEST
from flow.experiments.budget.response import Response
from flow.experiments.budget.selection import Progress
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import percentile_ends
from flow.statistics.midpoint import resample_weights

STEPS = (-0.2, 0.0, 0.2)
"""Logarithms of the factors, about the one at which the target is expected."""
OFF = 0.05
"""Largest distance of the target from the middle of the factors, which otherwise moves: so an error
of ρ hardly counts."""
MOVES = 4
"""Largest number of times that the middle moves."""
SMALLEST_K = 0.5
MOST_FACTOR = np.log(20.0)
"""Largest distance of a resample's factor from that of the images themselves."""


class Scaled(NamedTuple):
    """A plan of a family."""

    log_factor: float
    outcome: Outcome


class Judged(NamedTuple):
    """What a rule costs where it loses as much as the target."""

    direction: Floats
    """log x at factor 1, [sites]."""
    log_factor: Floats
    """Logarithm of the factor of the target: of the images, then of each resample, [1 + B]."""
    cost: Floats
    """Cost there, [1 + B]."""
    cost_changed: Floats
    """Cost where as many predictions change as the search expects at the target, [1 + B]."""
    plans: list[Scaled]


@dataclass(frozen=True)
class Judge:
    """Measures families of plans."""

    bench: Bench
    cost: Cost
    loss: float
    """Accuracy to lose, 0 to 1."""
    exponent: float
    """ρ, relative change of the loss for one of the share of changed predictions."""
    changed: float
    """Share of changed predictions that is expected at that loss."""
    draws: int

    def family(self, direction: Floats, expected: float) -> Judged:
        """Measure a family.

        Args:
            direction: log x at factor 1, [sites].
            expected: logarithm of the factor at which the target is expected.
        """
        plans: dict[float, Scaled] = {}
        middle = expected
        for _ in range(MOVES):
            for step in STEPS:
                place = round(middle + step, 3)
                if place not in plans:
                    outcome = self.bench.measure(direction + place, self.draws)
                    plans[place] = Scaled(place, outcome)
            near = [plans[round(middle + step, 3)] for step in STEPS]
            found = self._factors(near, resamples=False)[0, 0]
            if abs(found - middle) <= OFF:
                break
            middle = float(np.clip(found, middle - 1, middle + 1))
        factors = self._factors(near, resamples=True)
        cost, changed = (self.cost.total(direction + column[:, None]) for column in factors)
        several = [plans[place] for place in sorted(plans)]
        return Judged(direction, factors[0], cost, changed, several)

    def _factors(self, plans: list[Scaled], resamples: bool) -> Floats:
        """Return log factors of the loss and of the changed predictions, [2, 1 + B].

        Without resamples B is 0.
        """
        images = self.bench.images
        weights = np.ones((1, images), dtype=np.float32)
        if resamples:
            weights = np.concatenate([weights, resample_weights(images)])
        changed = np.stack([plan.outcome.changed for plan in plans], axis=1)
        lost = np.stack([plan.outcome.lost for plan in plans], axis=1)
        # half a change more, so that none has a logarithm
        d = ((weights @ changed).astype(np.float64) + 0.5 / self.draws) / images
        power = (d**self.exponent).sum(axis=1)
        c = (weights @ lost).sum(axis=1, dtype=np.float64) / images / power
        t = np.array([plan.log_factor for plan in plans])
        spread, log_d = t - t.mean(), np.log(d)
        k = np.maximum(log_d @ spread / (spread @ spread), SMALLEST_K)
        loss = np.log(self.loss / np.maximum(c, 1e-6)) / self.exponent
        wanted = np.stack([loss, np.full_like(loss, np.log(self.changed))])
        found = t.mean() + (wanted - log_d.mean(axis=1)) / k
        return np.clip(found, found[:, :1] - MOST_FACTOR, found[:, :1] + MOST_FACTOR)


def judge(
    judge: Judge,
    directions: Mapping[str, Floats],
    response: Response,
    progress: Progress,
) -> dict[str, Judged]:
    """Judge each rule.

    Args:
        judge: measures them.
        directions: log x of each rule, up to a common summand; the plan's first.
        response: tells where the target is expected.
        progress: called with the number of judged rules, and of all.
    """
    found: dict[str, Judged] = {}
    for number, (name, direction) in enumerate(directions.items()):
        progress(number, len(directions))
        if name == CHEAPEST:
            # the plan itself is one of those that are measured
            found[name] = judge.family(direction, 0.0)
            continue
        there = float((response.scaled_to(direction, judge.changed) - direction).mean())
        # what these images lose more or less than those of the search, they do in each family
        found[name] = judge.family(direction, there + float(found[CHEAPEST].log_factor[0]))
    progress(len(directions), len(directions))
    return found


def ratio(other: Floats, ours: Floats) -> Estimate:
    """Return how many times as much a rule costs as ours, from costs of resamples, [1 + B]."""
    log = np.log(other) - np.log(ours)
    low, high = percentile_ends(log[1:])
    return Estimate(float(np.exp(log[0])), float(np.exp(low)), float(np.exp(high)))


def mean_of(values: np.ndarray) -> Estimate:
    """Return a mean over images with the percentile interval of resampled images; values: [N]."""
    resampled = (resample_weights(len(values)) @ values.astype(np.float32)) / len(values)
    return Estimate(
        float(values.mean(dtype=np.float64)), *percentile_ends(resampled.astype(np.float64))
    )
