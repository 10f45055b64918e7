"""Judgement of plans at equal accuracy, on images and noise draws that nothing else used.

Each rule gives a family of plans: one factor on the noise of every source; whole numbers are
rounded. Its plans are measured at several factors around the one at which the loss is the
target. Along a family the share of changed predictions follows d = exp(a + k log f), and the loss
is c L(d), with c, a and k of this family alone, and L from the search
(`flow.experiments.budget.response.Losses`). So the factor of the target is known from all its
plans, and the cost there.

A plan of whole numbers loses what it loses. So there the target is what the plan itself loses, or
changes, on these images. Factors lie as far apart as the numbers: k is that of the two plans around
the target, and log cost is interpolated between them.

The ratio of two costs has the percentile interval of resampled images, the same for all families;
an image is resampled with all its noise draws, which the families share. The same ratio where rules
change as many predictions is known several times better, since c cancels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from flow.experiments.budget.bench import Bench, Outcome
from flow.experiments.budget.cost import Cost
from flow.experiments.budget.families import CHEAPEST
from flow.experiments.budget.response import Losses, Response
from flow.experiments.budget.selection import Progress
from flow.experiments.budget.sources import Floats, Space
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import percentile_ends
from flow.statistics.midpoint import resample_weights

STEP = 0.2
"""Distance of the logarithms of the three factors, about that at which the target is expected;
where there are whole numbers, it is theirs."""
OFF = 0.05
"""Largest distance of the target from the middle of the factors, which otherwise moves: so an error
of L hardly counts."""
MOVES = 4
"""Largest number of times that the middle moves."""
SMALLEST_K = 0.5
SMALLEST_C = 1e-3
MOST_FACTOR = np.log(20.0)
"""Largest distance of a resample's factor from that of the images themselves."""


class Scaled(NamedTuple):
    """A plan of a family."""

    log_factor: float
    log_noise: Floats
    """log x, [sources]."""
    outcome: Outcome


class Aim(NamedTuple):
    """Target loss and changes of the rules, for the images and for each resample, [1 + B]."""

    loss: Floats
    changed: Floats


class Judged(NamedTuple):
    """What a rule costs where it loses as much as the target, or as the plan of whole numbers."""

    direction: Floats
    """log x at factor 1, [sites]."""
    log_factor: Floats
    """Logarithm of the factor at the target: for the images, then for each resample, [1 + B]."""
    cost: Floats
    """Cost at that factor, [1 + B]."""
    cost_changed: Floats
    """Cost at the changed predictions that the search expects at the target, [1 + B]."""
    plans: list[Scaled]


@dataclass(frozen=True)
class Judge:
    """Measures families of plans."""

    bench: Bench
    cost: Cost
    space: Space
    loss: float
    """Accuracy to lose, 0 to 1."""
    losses: Losses
    """L, the loss as a function of the share of changed predictions."""
    changed: float
    """Expected share of changed predictions at that loss."""
    draws: int
    aim: Aim | None = None
    """Loss and changes of the plan: the target if there are whole numbers."""

    def family(self, direction: Floats, expected: float) -> Judged:
        """Measure a family.

        Args:
            direction: log x at factor 1, [sites].
            expected: logarithm of the factor at which the target is expected.
        """
        plans: dict[float, Scaled] = {}
        middle, whole = expected, self.space.step
        # with whole numbers, the middle is the factor nearest to the target
        off = max(OFF, whole / 2)
        for _ in range(MOVES):
            near = [
                self._measured(plans, direction, round(middle + side * (whole or STEP), 3))
                for side in (-1, 0, 1)
            ]
            found = self._factors(near, resamples=False)[0, 0]
            if abs(found - middle) <= off:
                break
            move = float(np.clip(found - middle, -1, 1))
            middle += whole * round(move / whole) if whole else move
        factors = self._factors(near, resamples=True)
        cost, changed = (self._costs(direction, near, column) for column in factors)
        several = [plans[place] for place in sorted(plans)]
        return Judged(direction, factors[0], cost, changed, several)

    def _measured(self, plans: dict[float, Scaled], direction: Floats, place: float) -> Scaled:
        """Return the plan of a family at the logarithm of a factor, measured once."""
        if place not in plans:
            plan = self.space.nearest(direction + place)
            plans[place] = Scaled(place, plan, self.bench.measure(plan, self.draws))
        return plans[place]

    def _costs(self, direction: Floats, plans: list[Scaled], log_factor: Floats) -> Floats:
        """Return the cost of a family, [...], at logarithms of factors of that shape."""
        if not self.space.step:
            return self.cost.total(direction + log_factor[:, None])
        t = np.array([plan.log_factor for plan in plans])
        log_cost = np.log([float(self.cost.total(plan.log_noise)) for plan in plans])
        after = np.where(log_factor > t[1], 1, 0)
        slope = np.diff(log_cost) / np.diff(t)
        return np.exp(log_cost[1] + slope[after] * (log_factor - t[1]))

    def own(self, plans: list[Scaled], plan: Scaled) -> Aim:
        """Return the loss and changes of one of a family's plans, estimated from all of them."""
        d, c = self._shares(plans, resamples=True)
        changed = d[:, [one.log_factor for one in plans].index(plan.log_factor)]
        return Aim(c * self.losses.loss(changed), changed)

    def _shares(self, plans: list[Scaled], resamples: bool) -> tuple[Floats, Floats]:
        """Return d of each plan, [1 + B, plans], and c of their family, [1 + B]."""
        images = self.bench.images
        weights = np.ones((1, images), dtype=np.float32)
        if resamples:
            weights = np.concatenate([weights, resample_weights(images)])
        changed = np.stack([plan.outcome.changed for plan in plans], axis=1)
        lost = np.stack([plan.outcome.lost for plan in plans], axis=1)
        # add half a change, so that zero has a logarithm
        d = ((weights @ changed).astype(np.float64) + 0.5 / self.draws) / images
        lost_here = (weights @ lost).sum(axis=1, dtype=np.float64) / images
        return d, np.maximum(lost_here / self.losses.loss(d).sum(axis=1), SMALLEST_C)

    def _factors(self, plans: list[Scaled], resamples: bool) -> Floats:
        """Return log factors of the loss and of the changed predictions, [2, 1 + B].

        Without resamples B is 0.
        """
        d, c = self._shares(plans, resamples)
        t, log_d = np.array([plan.log_factor for plan in plans]), np.log(d)
        loss, share = np.full_like(c, self.loss), np.full_like(c, self.changed)
        if self.aim is not None:
            loss, share = self.aim.loss[: len(c)], self.aim.changed[: len(c)]
        wanted = np.log([self.losses.changed_at(loss / c), share])
        if self.space.step:
            # the two plans between which the target lies
            k = np.maximum(np.diff(log_d) / np.diff(t), SMALLEST_K)
            found = t[1] + (wanted - log_d[:, 1]) / np.where(wanted > log_d[:, 1], k[:, 1], k[:, 0])
        else:
            spread = t - t.mean()
            k = np.maximum(log_d @ spread / (spread @ spread), SMALLEST_K)
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
        directions: log x of each rule, up to a common summand; the plan comes first.
        response: gives the expected place of the target.
        progress: called with the number of judged rules, and of all.
    """
    found: dict[str, Judged] = {}
    for number, (name, direction) in enumerate(directions.items()):
        progress(number, len(directions))
        if name == CHEAPEST:
            # the plan itself is among the measured ones
            found[name] = judge.family(direction, 0.0)
            if judge.space.step:
                judge, found[name] = _of_plan(judge, found[name])
            continue
        there = float((response.scaled_to(direction, judge.changed) - direction).mean())
        # these images lose more or less than those of the search, equally in each family
        found[name] = judge.family(direction, there + float(found[CHEAPEST].log_factor[0]))
    progress(len(directions), len(directions))
    return found


def _of_plan(judge: Judge, family: Judged) -> tuple[Judge, Judged]:
    """Return the aim for rules, the loss of a plan of whole numbers, and that plan."""
    (plan,) = (one for one in family.plans if one.log_factor == 0.0)
    cost = np.full_like(family.cost, float(judge.cost.total(plan.log_noise)))
    own = family._replace(log_factor=np.zeros_like(cost), cost=cost, cost_changed=cost)
    return replace(judge, aim=judge.own(family.plans, plan)), own


def ratio(other: Floats, ours: Floats) -> Estimate:
    """Return a rule's cost divided by our plan's, from costs of resamples, [1 + B]."""
    log = np.log(other) - np.log(ours)
    low, high = percentile_ends(log[1:])
    return Estimate(float(np.exp(log[0])), float(np.exp(low)), float(np.exp(high)))


def mean_of(values: np.ndarray) -> Estimate:
    """Return a mean over images with the percentile interval of resampled images; values: [N]."""
    resampled = (resample_weights(len(values)) @ values.astype(np.float32)) / len(values)
    return Estimate(
        float(values.mean(dtype=np.float64)), *percentile_ends(resampled.astype(np.float64))
    )
