"""The search for the cheapest plan: solve, measure, fit again, until the accuracy is as wanted.

A plan of whole numbers cannot lose just as much as wanted. So where all sources are whole numbers,
the search ends as well when it solves for a plan that is measured well already. If that plan
changes more predictions than it may, it is solved for no more. Bits alone, of which draws tell no
more, are searched for until then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from flow.experiments.budget.bench import Bench, Outcome
from flow.experiments.budget.cost import Cost
from flow.experiments.budget.knobs import ADC
from flow.experiments.budget.optimum import optimum
from flow.experiments.budget.response import (
    Effect,
    Losses,
    Response,
    Trial,
    Trials,
    first_response,
)
from flow.experiments.budget.sources import Floats, Space
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import percentile_ends
from flow.statistics.midpoint import resample_weights

DRAWS, SAMPLES = 2, 2000
"""Least noise draws of a plan, at first, and images times draws of a small set."""
MORE_DRAWS = 4
"""Largest factor on them."""
ROUNDS = 12
"""Largest number of plans that are solved for."""
EXPLORED = 2
"""Number of plans around which the noise of each site is raised alone."""
RAISED = np.log(1.5)
"""By how much."""
CLOSE = np.log(1.5)
"""A plan is close to the target if its share of changed predictions is, within this."""

BEYOND = 1.02
"""Factor on the share of changed predictions of the target up to which a plan is allowed."""

NEAR = np.log(2.0)
"""Plans within this distance of the target determine the loss of a plan there."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Target:
    """What a plan is to lose."""

    loss: float
    """Accuracy to lose, 0 to 1."""
    tolerance: float
    """Largest difference from it of an end of the interval, 0 to 1."""


class Step(NamedTuple):
    """A plan that was solved for, and how well the response foretold what it changes."""

    cost: float
    draws: int
    predicted_changed: float
    changed: float
    predicted_loss: float
    loss: Estimate


@dataclass
class Selection:
    """The search so far."""

    bench: Bench
    cost: Cost
    target: Target
    space: Space
    trials: list[Trial] = field(default_factory=list)
    near: list[Outcome] = field(default_factory=list)
    """Joint plans close enough to the target to show what a changed prediction loses."""
    steps: list[Step] = field(default_factory=list)
    log_mu: Floats = field(default_factory=lambda: np.empty(0))
    """Logarithm of the midpoint of each source alone, [sources]."""
    plan: Floats = field(default_factory=lambda: np.empty(0))
    """log x of the plan, [sources]."""
    solved: dict[bytes, tuple[int, Trial, Estimate]] = field(default_factory=dict)
    """Noise draws, outcome and loss of each plan that was solved for and measured."""
    avoided: list[Floats] = field(default_factory=list)
    """Plans of whole numbers that change more predictions than they may."""
    met: bool = False
    """Whether the interval of the plan's loss lies within the tolerance; of a plan of whole
    numbers, whether its upper end does."""
    losses: Losses = field(init=False)
    response: Response = field(init=False)

    def __post_init__(self) -> None:
        # noise that drowns everything leaves what guessing reaches
        self.losses = Losses(self.bench.all_lost / self.bench.ceiling)

    @property
    def changed(self) -> float:
        """Share of changed predictions at which the loss is the target."""
        return min(self.losses.changed(self.target.loss), 0.9 * self.bench.ceiling)

    @property
    def exponent(self) -> float:
        """Relative change of the loss for one of the share of changed predictions, there."""
        return self.losses.exponent(self.changed)

    def predicted_loss(self, plan: Floats) -> float:
        """Return the loss of accuracy that is predicted of a plan, log x."""
        return float(self.losses.loss(self.response.changed(plan)))

    def solve(self) -> None:
        """Fit the response to everything measured, and choose the cheapest plan of the target."""
        trials = Trials.of(self.trials)
        self.losses = Losses(self.losses.top).fitted(trials)
        self.response = self.response.fitted(trials, self.changed)
        self.plan = optimum(self.cost, self.response, self.changed, self.space, self.avoided)

    @property
    def whole(self) -> bool:
        """Whether all sources are whole numbers."""
        return bool(self.space.on_lattice.all())

    def settle(self, draws: int) -> bool:
        """Whether the plan of whole numbers that was just solved for is the answer.

        If it is measured with so many draws, and changes too many predictions, another one is
        solved for.
        """
        while self.whole and self.plan.tobytes() in self.solved:
            measured, trial, loss = self.solved[self.plan.tobytes()]
            if measured < draws:
                break
            if trial.changed <= BEYOND * self.changed:
                self.met = float(loss.high or 0.0) <= self.target.loss + self.target.tolerance
                return True
            self.avoided.append(self.plan)
            self.solve()
        return False

    def measure(self, plan: Floats, draws: int) -> Outcome:
        """Measure a plan, and keep it for the fit."""
        outcome = self.bench.measure(plan, draws)
        trial = outcome.trial(plan)
        self.trials.append(trial)
        if abs(np.log(max(trial.changed, 1e-9) / self.changed)) < NEAR:
            self.near.append(outcome)
        return outcome

    def loss_of(self, outcome: Outcome) -> Estimate:
        """Return the loss of a plan: that of plans near by, by its share of changed predictions.

        Plans share their images, so the loss of a share of changed predictions is known better from
        several. The interval is that of resampled images.
        """
        several = [one for one in self.near if one is not outcome] + [outcome]
        images = self.bench.images
        weights = np.concatenate([np.ones((1, images), np.float32), resample_weights(images)])
        changed, lost = (
            (weights @ np.stack(rows, axis=1)).astype(np.float64) / images
            for rows in ([one.changed for one in several], [one.lost for one in several])
        )
        draws, power = np.array([one.draws for one in several]), changed**self.exponent
        found = lost @ draws / np.maximum(power @ draws, 1e-12) * power[:, -1]
        return Estimate(float(found[0]), *percentile_ends(found[1:]))


def select(bench: Bench, cost: Cost, target: Target, space: Space, progress: Progress) -> Selection:
    """Find the cheapest plan that loses as much as the target.

    Args:
        bench: measures plans.
        cost: what they cost.
        target: what the plan is to lose.
        space: every plan.
        progress: called with the number of measured plans, and of those to measure.

    Raises:
        UserError: no plan loses as little, or the network only guesses.
    """
    found, sources = Selection(bench, cost, target, space), len(space.sources)
    total = sources * (1 + EXPLORED) + ROUNDS // 2
    alone = []
    for number, name in enumerate(space.names):
        progress(number, total)
        alone.append(bench.alone(name))
    found.log_mu = np.array([one.log_mu for one in alone])
    found.trials = [trial for one in alone for trial in one.trials]
    effects = {
        number: Effect.of(one.levels, alone[number].trials, number, bench.ceiling)
        for number, one in enumerate(space.sources)
        if one.knob == ADC
    }
    found.response = first_response(found.log_mu, bench.ceiling, effects)
    few = max(DRAWS, SAMPLES // bench.images) if bench.random else 1
    most = MORE_DRAWS * few if bench.random else 1
    explored, draws, done = 0, few, sources
    for _ in range(ROUNDS):
        done += 1
        progress(min(done, total), total)
        found.solve()
        if found.settle(most):
            break
        trial, loss = _step(found, most if found.plan.tobytes() in found.solved else draws)
        close = abs(np.log(max(trial.changed, 1e-9) / found.changed)) < CLOSE
        if close and explored < EXPLORED:
            explored += 1
            for number in range(sources):
                raised = space.raised(found.plan, number, RAISED)
                if raised is not None:
                    found.measure(raised, few)
                done += 1
                progress(min(done, total), total)
        elif close and bench.random:
            allowed = not found.whole or trial.changed <= BEYOND * found.changed
            found.met = allowed and _within(loss, target)
            if found.met or (allowed and draws == most and _covers(loss, target)):
                break
            draws = min(2 * draws, most)
    progress(total, total)
    return found


def _step(found: Selection, draws: int) -> tuple[Trial, Estimate]:
    """Measure the plan that was solved for."""
    plan = found.plan
    predicted = float(found.response.changed(plan)), found.predicted_loss(plan)
    outcome = found.measure(plan, draws)
    trial, loss = outcome.trial(plan), found.loss_of(outcome)
    cost = float(found.cost.total(plan))
    found.solved[plan.tobytes()] = draws, trial, loss
    found.steps.append(Step(cost, draws, predicted[0], trial.changed, predicted[1], loss))
    return trial, loss


def _covers(loss: Estimate, target: Target) -> bool:
    """Whether the target is within an interval, which only more images make shorter."""
    return float(loss.low or 0.0) <= target.loss <= float(loss.high or 0.0)


def _within(loss: Estimate, target: Target) -> bool:
    """Whether both ends of an interval are within the tolerance of the target."""
    ends = float(loss.low or 0.0), float(loss.high or 0.0)
    return all(abs(end - target.loss) <= target.tolerance for end in ends)
