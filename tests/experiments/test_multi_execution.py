"""The comparison of ways of spending executions: paired, resumable, with its bad input."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments import multi_execution
from flow.experiments.multi_execution import TAILORED, UNIFORM
from flow.experiments.settings import MultiExecutionSettings
from flow.models import evaluation
from flow.statistics.estimate import Estimate
from flow.walks.points.noise_setting import NoiseSetting

WALK = {"model": "tfc-w2a2", "dataset": "digits", "precision_of_mu": 0.1, "seeds": 2}


def settings(tmp_path, **changes):
    chosen = {"budgets": [1, 2, 6], "draws": 2, "out": tmp_path}
    return MultiExecutionSettings(**WALK | chosen | changes)


@pytest.fixture
def seen(monkeypatch):
    """Record the images of each measurement of plans, with the seed of their noise."""
    measured, real = [], multi_execution.evaluate_groups

    def watched(network, inputs, groups, **options):
        measured.append((groups[0].sampler.seed, {image.numpy().tobytes() for image in inputs}))
        return real(network, inputs, groups, **options)

    monkeypatch.setattr(multi_execution, "evaluate_groups", watched)
    return measured


@pytest.mark.slow
def test_every_way_spends_every_budget_and_more_executions_help(tmp_path, monkeypatch, seen):
    found = multi_execution.run(settings(tmp_path), lambda *a: None)
    draws = {NoiseSetting("additive").seed_of(draw) for draw in range(2)}
    judging = [images for seed, images in seen if seed in draws]
    choosing = [images for seed, images in seen if seed not in draws]
    assert judging and choosing and not set().union(*judging) & set().union(*choosing)
    assert (found["selection_images"], found["images"]) == (250, 250)
    rows = {(row["strategy"], row["mean"]): row for row in found["rows"]}
    assert len(rows) == 3 * 14 and found["sites"] == [f"fc{i}.acc" for i in range(4)]
    for (strategy, mean), row in rows.items():
        spent = [int(k) for k in row["executions"].split(",")]
        assert min(spent) >= 1 and sum(spent) <= 4 * mean, strategy
        assert row["lo"] <= row["accuracy"] <= row["hi"]
        assert row["ours_minus"] == pytest.approx(
            rows[TAILORED, mean]["accuracy"] - row["accuracy"], abs=1e-6
        )
    # one execution a site leaves no choice
    assert len({rows[s, 1.0]["accuracy"] for s, mean in rows if mean == 1}) == 1
    for strategy in (UNIFORM, TAILORED):
        gains = np.diff([rows[strategy, mean]["accuracy"] for mean in (1, 2, 6)])
        assert (gains > 0).all(), strategy
    assert rows[TAILORED, 2]["ours_minus_lo"] == 0
    for name in ("executions.json", "executions.parquet", "executions.png"):
        assert (tmp_path / name).stat().st_size > 500
    assert json.loads((tmp_path / "executions.json").read_text())["rows"] == found["rows"]

    def never(*arguments, **keywords):
        raise AssertionError("measured again")

    monkeypatch.setattr(multi_execution, "evaluate_groups", never)
    monkeypatch.setattr(evaluation, "evaluate_groups", never)
    again = multi_execution.run(settings(tmp_path), lambda *a: None)
    assert again["rows"] == found["rows"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgets": "0.5,2"}, "budgets is 0.5,2: give numbers of at least 1"),
        ({"budgets": "1,two"}, "budgets is 1,two: give numbers"),
        ({"budgets": "nan"}, "budgets is nan"),
        ({"sigma": 0.0}, "sigma is 0: give a number above 0"),
        ({"draws": 0}, "draws is 0"),
        ({"images": 0}, "images is 0"),
        ({"sites": "global"}, "sites is global alone"),
        ({"sites": "fc0.acc,fc1.acc"}, "sigma: the sites named have no global midpoint"),
    ],
)
def test_bad_settings(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        settings(tmp_path, **changes)


def test_one_image_cannot_be_halved(tmp_path):
    given = settings(tmp_path, images=1, levels="0.5,8", budgets="1")
    with pytest.raises(UserError, match="images is 1, but one half serves to choose"):
        multi_execution.run(given, lambda *a: None)


def test_noise_whose_mean_is_not_that_of_a_smaller_sigma_is_refused(tmp_path):
    with pytest.raises(UserError, match="noise is mixed in the order add-mul"):
        settings(tmp_path, noise="mixed", order="add-mul")
    with pytest.raises(UserError, match="noise is additive,multiplicative: give a name"):
        settings(tmp_path, noise=["additive", "multiplicative"])


def test_a_walk_that_measured_too_little_is_told():
    bounds = {"a": None, "b": Estimate(None, 4.0, None), "c": Estimate(None, 0.0, None)}
    walked = {site: SimpleNamespace(midpoint=mu) for site, mu in bounds.items()}
    with pytest.raises(UserError, match=r"site a was not measured within the walk's budget"):
        multi_execution.midpoint_of(walked, "a")
    assert multi_execution.midpoint_of(walked, "b") == 4.0
    with pytest.raises(UserError, match="site c has no midpoint, nor a bound"):
        multi_execution.midpoint_of(walked, "c")
