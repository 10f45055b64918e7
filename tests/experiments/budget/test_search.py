"""The search and the judgement on a network whose cheapest noise is known in closed form."""

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments.budget.bench import Alone, Outcome
from flow.experiments.budget.cost import Cost, PowerCost
from flow.experiments.budget.families import CHEAPEST, SAME_SNR, families
from flow.experiments.budget.judgement import Judge, judge, ratio
from flow.experiments.budget.optimum import optimum, start
from flow.experiments.budget.response import Response
from flow.experiments.budget.selection import Target, select
from flow.experiments.budget.sources import Space

WEIGHTS = np.array([2e3, 5e4, 1e3, 3e5, 80.0])
M = np.array([0.4, 2.5, 0.9, 1.1, 0.2])
COST = Cost([PowerCost(weight, 2.0) for weight in WEIGHTS])
WIDE = Space.of_sigmas("abcde", np.full(5, -12.0), np.full(5, 5.0))
LOST_OF_CHANGED = 0.5
CEILING = 0.9
TARGET = 0.02


class LinearNetwork:
    """A network that adds up the powers of its noise; each image has samples of its own."""

    random = True
    ceiling = CEILING
    all_lost = LOST_OF_CHANGED * CEILING

    def __init__(self, seed: int, images: int = 20_000) -> None:
        self.images = images
        self.rng = np.random.default_rng(seed)
        # the same for every plan, as noise samples are
        self.samples = self.rng.random((8, images))
        self.worse = self.rng.random(images) < (1 + LOST_OF_CHANGED) / 2

    def share(self, u: np.ndarray) -> float:
        """Share of changed predictions."""
        power = float((np.exp(u) ** 2 / M**2).sum())
        return CEILING * power / (1 + power)

    def measure(self, u: np.ndarray, draws: int) -> Outcome:
        changed = (self.samples[:draws] < self.share(u)).mean(axis=0, dtype=np.float32)
        return Outcome(changed, np.where(self.worse, changed, -changed), draws)

    def alone(self, site: str) -> Alone:
        number, trials = WIDE.names.index(site), []
        for factor in (0.05, 0.2, 0.6, 1.0, 3.0):
            u = np.full(5, -np.inf)
            u[number] = np.log(factor * M[number])
            trials.append(self.measure(u, 1).trial(u))
        return Alone(float(np.log(M[number])), trials)


def least(changed: float) -> float:
    """Least cost: Σ e / x² where Σ x² / m² is given, by Lagrange's multiplier."""
    power = changed / (CEILING - changed)
    return float((np.sqrt(WEIGHTS) / M).sum() ** 2 / power)


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def found():
    return select(LinearNetwork(1), COST, Target(TARGET, 0.2 * TARGET), WIDE, silent)


def test_the_solver_meets_the_closed_form():
    response = Response(np.log(M), np.full(5, 2.0), 1.0, CEILING)
    for solved in (optimum(COST, response, 0.04, WIDE), start(COST, response, 0.04, WIDE)):
        assert COST.total(solved) == pytest.approx(least(0.04), rel=1e-6)
        assert response.changed(solved) == pytest.approx(0.04, rel=1e-6)


def test_the_solver_meets_its_conditions_where_there_is_no_closed_form():
    response = Response(np.log(M), np.array([1.2, 2.0, 3.0, 4.0, 2.5]), 1.4, CEILING)
    cost = Cost([PowerCost(weight, 1.0 + number / 4) for number, weight in enumerate(WEIGHTS)])
    high = np.array([5.0, 5.0, -3.0, 5.0, 5.0])
    solved = optimum(cost, response, 0.05, Space.of_sigmas("abcde", WIDE.low, high))
    assert response.changed(solved) == pytest.approx(0.05, rel=1e-5)
    assert solved[2] == pytest.approx(-3.0)
    # one multiplier for all sites that no bound holds
    multipliers = np.exp(cost.log_shares(solved)) * cost.slopes(solved) / response.slopes(solved)
    free = np.delete(multipliers, 2)
    assert free == pytest.approx(free.mean(), rel=1e-3)
    assert multipliers[2] / free.mean() > 1


def test_what_is_out_of_reach_is_said():
    response = Response(np.log(M), np.full(5, 2.0), 1.0, CEILING)
    with pytest.raises(UserError, match="out of reach"):
        optimum(COST, response, 0.01, Space.of_sigmas("abcde", np.zeros(5), np.ones(5)))


def test_the_search_finds_the_known_optimum(found):
    changed = TARGET / LOST_OF_CHANGED
    network = LinearNetwork(2)
    # at the accuracy that it has in truth, the plan costs what the cheapest does
    assert found.cost.total(found.plan) == pytest.approx(least(network.share(found.plan)), rel=0.03)
    assert network.share(found.plan) == pytest.approx(changed, rel=0.1)
    assert found.met and found.steps[-1].loss.low <= TARGET <= found.steps[-1].loss.high
    last = found.steps[-1]
    assert last.predicted_changed == pytest.approx(last.changed, rel=0.05)


def test_the_judgement_tells_the_known_saving(found):
    network = LinearNetwork(3)
    rules = families(found.plan, found.log_mu, WIDE, np.ones(5), seed=0)
    by = Judge(network, COST, WIDE, TARGET, found.losses, found.changed, draws=4)
    judged = judge(by, rules, found.response, silent)
    ours = judged[CHEAPEST]
    saving = ratio(judged[SAME_SNR].cost, ours.cost)
    changed = ratio(judged[SAME_SNR].cost_changed, ours.cost_changed)
    power = (TARGET / LOST_OF_CHANGED) / (CEILING - TARGET / LOST_OF_CHANGED)
    known = WEIGHTS.sum() * (1 / M**2).sum() / power / least(TARGET / LOST_OF_CHANGED)
    assert saving.low <= known * 1.03 and saving.high >= known * 0.97
    assert saving.value == pytest.approx(known, rel=0.05)
    assert changed.low <= known * 1.03 and changed.high >= known * 0.97
    # no rule is cheaper than the optimum
    assert all(ratio(one.cost, ours.cost).high >= 0.97 for one in judged.values())
    assert ours.cost[0] == pytest.approx(least(TARGET / LOST_OF_CHANGED), rel=0.1)
