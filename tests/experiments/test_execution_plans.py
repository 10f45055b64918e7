"""Tailored multi-execution: budgets are kept, ours is the optimum of what it predicts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments import execution_plans
from flow.experiments.execution_plans import RULES, Prediction
from flow.statistics.logistic import logistic


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("total", [5, 6, 10, 23, 100])
def test_a_budget_is_spent_whole_and_every_site_runs(name, total):
    chosen = execution_plans.by_rule(name, [0.3, 4.0, 1.0, 80.0, 2.0], total)
    assert chosen.sum() == total and chosen.min() >= 1


def test_sensitive_sites_get_more_by_every_rule():
    mu = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    for name in RULES:
        steps = np.diff(execution_plans.by_rule(name, mu, 150))
        assert (steps <= 0).all() and steps.any(), name
    assert execution_plans.by_rule("rank", mu[:4], 100).tolist() == [40, 30, 20, 10]
    assert execution_plans.by_rule("rank in threes", mu[:5], 40).tolist() == [10, 10, 10, 5, 5]
    assert execution_plans.by_rule("inverse rank in twos", mu[:4], 60).tolist() == [20, 20, 10, 10]
    assert execution_plans.by_rule("inverse linear", mu[:3], 70).tolist() == [40, 20, 10]


PUBLISHED = {
    "log10": "59 29 34 16 19 1 1 1",
    "sqrt": "31 26 27 22 23 13 14 4",
    "inverse linear": "99 16 22 7 9 3 3 1",
    "inverse log10": "1 34 45 20 22 13 14 11",
    "inverse sqrt": "55 22 26 15 17 9 10 6",
    "inverse square": "144 4 7 1 1 1 1 1",
    "rank": "36 27 31 18 22 9 13 4",
    "rank in twos": "32 24 32 16 24 8 16 8",
    "rank in threes": "28 28 28 19 19 10 19 9",
    "inverse rank": "59 20 29 12 15 8 10 7",
    "inverse rank in twos": "38 19 38 13 19 10 13 10",
    "inverse rank in threes": "31 31 31 16 15 10 16 10",
}
"""Executions of the MLP without batch norm on MNIST, 20 a site on average, in the paper's public
code: UniHD-CEG/walking-noise, experiment_configs/multi_run_layers/mlp_MNIST_multi_run_inf.yaml."""


def test_rules_are_those_of_the_paper():
    # midpoints of our own network, of docs/results/paper.md
    mu = [0.491, 2.99, 2.28, 6.3, 5.23, 17.0, 16.0, 35.4]
    assert PUBLISHED.keys() == RULES.keys()
    for name, text in PUBLISHED.items():
        published = np.array(text.split(), dtype=int)
        found = execution_plans.by_rule(name, mu, 160)
        assert np.abs(found - published).max() <= 1, name


def test_logarithms_of_both_signs_share_a_budget_out():
    # as the paper's code: the sign of the sum decides
    assert execution_plans.by_rule("inverse log10", [0.5, 0.6, 5.0], 30).tolist() == [12, 17, 1]
    assert execution_plans.by_rule("inverse log10", [0.1, 2.0, 4.0], 31).tolist() == [1, 20, 10]
    for name in ("log10", "inverse log10"):
        for mu in ([0.5, 2.0], [1.0, 3.0], [1.0, 1.0]):
            chosen = execution_plans.by_rule(name, mu, 10)
            assert chosen.sum() == 10 and chosen.min() >= 1, (name, mu)


def test_an_even_budget_is_spent_evenly_and_its_rest_first():
    assert execution_plans.uniform(4, 12).tolist() == [3, 3, 3, 3]
    assert execution_plans.uniform(4, 14).tolist() == [4, 4, 3, 3]


def test_the_optimum_is_that_of_all_choices():
    rng = np.random.default_rng(5)
    for _ in range(20):
        weights, total = rng.lognormal(0, 1.5, 4), int(rng.integers(4, 14))
        choices = itertools.product(range(1, total), repeat=4)
        best = min((weights / c).sum() for c in choices if sum(c) <= total)
        losses = weights[:, None] / np.arange(1, execution_plans.most_of_one(4, total) + 1)
        chosen = execution_plans.optimum(losses, total)
        assert chosen.sum() <= total and chosen.min() >= 1
        assert (weights / chosen).sum() == pytest.approx(best, rel=1e-6)


@pytest.mark.slow
def test_the_optimum_predicts_at_least_what_every_rule_does():
    mu = np.random.default_rng(6).lognormal(0, 1.2, 16)
    prediction = Prediction.from_midpoints(mu, 2.0, 0.9, 0.1)
    for mean in (1, 2, 3, 5, 7, 10, 20):
        losses = prediction.losses(execution_plans.most_of_one(16, 16 * mean))
        ours = prediction.accuracy(execution_plans.optimum(losses, 16 * mean))
        for name in RULES:
            assert ours >= prediction.accuracy(execution_plans.by_rule(name, mu, 16 * mean)) - 1e-6


def test_a_prediction_of_one_noisy_site_is_its_logistic():
    prediction = Prediction(np.array([(3.0 / 2.0) ** 2]), 1.5, 0.9, 0.1)
    assert prediction.accuracy(np.array([1])) == pytest.approx(logistic(3.0, 2.0, 3.0, 0.9, 0.1))
    again = prediction.accuracy(np.array([4]))
    assert again == pytest.approx(logistic(1.5, 2.0, 3.0, 0.9, 0.1))


def test_the_fit_finds_what_sites_weigh_in_company():
    rng = np.random.default_rng(7)
    mu = np.array([0.5, 1.0, 2.0, 0.8, 4.0, 1.5])
    alone = Prediction.from_midpoints(mu, 1.0, 0.9, 0.1)
    true = replace(alone, weights=alone.weights * rng.uniform(0.5, 2, 6), steepness=1.3)
    plans = [execution_plans.by_rule(n, mu, 6 * mean) for n in RULES for mean in (1, 2, 3, 5, 10)]
    plans += [execution_plans.uniform(6, 6 * mean) for mean in (2, 4, 7)]
    chosen = np.stack(plans)
    measured = true.accuracy(chosen) + rng.normal(0, 0.003, len(chosen))
    fitted = alone.fitted(chosen, measured)
    assert fitted.steepness == pytest.approx(1.3, rel=0.1)
    for total in (12, 18, 30):
        ours, rule = (
            true.accuracy(execution_plans.optimum(p.losses(total), total)) for p in (fitted, alone)
        )
        best = true.accuracy(execution_plans.optimum(true.losses(total), total))
        assert ours > best - 0.004 and ours >= rule - 0.001


def test_a_budget_below_one_execution_a_site_is_refused():
    for spend in (
        lambda: execution_plans.uniform(3, 2),
        lambda: execution_plans.by_rule("sqrt", [1.0, 2.0, 3.0], 2),
        lambda: execution_plans.optimum(np.ones((3, 4)), 2),
    ):
        with pytest.raises(UserError, match="2 executions is below one for each of the 3 sites"):
            spend()


def test_a_step_stays_near():
    losses = np.array([8.0, 1.0, 1.0, 0.1])[:, None] / np.arange(1, 31)
    near = np.array([3, 9, 9, 9])
    chosen = execution_plans.optimum(losses, 30, near=near)
    assert (np.abs(chosen - near) <= execution_plans.reach(near)).all()
    assert chosen[0] == 4 and chosen[3] == 6


def test_losses_alone_are_those_of_the_logistic():
    losses = execution_plans.losses_alone(np.array([2.0]), np.array([3.0]), 3.0, 4)
    share = (logistic(3.0 / np.sqrt([1, 2, 3, 4]), 2.0, 3.0, 0.9, 0.1) - 0.1) / 0.8
    assert np.allclose(np.exp(-losses[0]), share)
