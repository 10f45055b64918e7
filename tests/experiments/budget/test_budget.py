"""The whole command on TFC: search, judgement, proof in RTL, results, and mistakes."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest

from flow.errors import UserError
from flow.experiments.budget import run as budget
from flow.experiments.budget.settings import BudgetSettings
from flow.experiments.budget.summary import BudgetSummary
from flow.noise.noise_map import NoiseMap

NETWORK = {"model": "tfc-w2a2", "dataset": "digits", "cycles": 256}
ASKED = {"images": 150, "loss": 4, "draws": 2, "hw_images": 2}


@pytest.fixture(scope="module")
def build(tmp_path_factory, results_folder):
    return results_folder(tmp_path_factory.mktemp("build"))


def silent(stage: str, done: int, total: int, images: int = 0) -> None:
    pass


@pytest.fixture(scope="module")
def found(build):
    return budget.run(BudgetSettings(**NETWORK, **ASKED, build=build), silent, "noisewalk budget")


def test_the_plan_is_a_noise_map_that_rtl_bears_out(found, build):
    folder = build / "budget" / "tfc-w2a2-digits-loss-4"
    assert found.map == str(folder / "budget.yaml")
    noises = NoiseMap.read(folder / "budget.yaml").sites
    assert list(noises) == list(found.sites) == ["fc0.acc", "fc1.acc", "fc2.acc", "fc3.acc"]
    for site, one in found.sites.items():
        assert noises[site].sigma_add == one.sigma
        assert one.noise_share == pytest.approx(one.sigma / one.std)
        assert one.cost == pytest.approx(one.operations / one.noise_share**2)
    assert found.sites["fc0.acc"].operations == 64 * 64 == 64 * found.sites["fc0.acc"].rows
    assert sum(one.cost_share for one in found.sites.values()) == pytest.approx(1)
    assert found.proof.differing == 0 and found.proof.rtl_runs >= 8
    assert found.proof.images == 150
    assert found.selection_images == found.judgement_images == 75


def test_the_plan_is_judged_against_other_rules(found):
    assert {"cheapest", "same SNR", "same σ", "σ ∝ μ", "σ ∝ √μ", "random 1"} <= set(found.rules)
    assert found.rules["cheapest"].ratio == (1, 1, 1)
    for rule in found.rules.values():
        assert rule.ratio.low <= rule.ratio.value <= rule.ratio.high
        # the factor lies between measured plans, or beside them
        assert min(p.cost for p in rule.points) / 2 < rule.cost.value
        assert rule.cost.value < 2 * max(p.cost for p in rule.points)
    shares = found.rules["same SNR"].noise_shares
    assert min(shares.values()) == pytest.approx(max(shares.values()))
    assert found.sites[found.tightest].margin.measured.value == max(
        one.margin.measured.value for one in found.sites.values()
    )
    losses = [point.loss for point in found.front]
    costs = [point.cost for point in found.front]
    assert losses == sorted(losses) and costs == sorted(costs, reverse=True)


def test_results_are_files(found, build):
    folder = build / "budget" / "tfc-w2a2-digits-loss-4"
    dumped = json.loads((folder / "budget.json").read_text())
    jsonschema.validate(dumped, BudgetSummary.model_json_schema(mode="serialization"))
    assert BudgetSummary.model_validate(dumped) == found
    table = pd.read_csv(folder / "budget.csv", index_col="site")
    assert table["sigma"].to_dict() == {name: one.sigma for name, one in found.sites.items()}
    assert (folder / "budget.tex").read_text().count(r"\\") == 1 + len(found.sites)
    page = (folder / "budget.html").read_text()
    assert "data:image/png;base64," in page and "same SNR" in page


def test_what_was_measured_is_not_measured_again(found, build, monkeypatch):
    def unwanted(*args, **kwargs):
        raise AssertionError("a point was measured again")

    settings = BudgetSettings(**NETWORK, **ASKED, build=build)
    job = budget.prepare(settings, budget.StageClock(), silent)
    monkeypatch.setattr("flow.golden.model.GoldenModel.run", unwanted)
    again = job.search(silent)
    assert [step.changed for step in again.steps] == [step.changed for step in found.steps]
    _, rules = job.judge(again, silent)
    assert rules["same SNR"].cost[0] == found.rules["same SNR"].cost.value


def test_relative_noise_is_measured_too(build):
    settings = BudgetSettings(**NETWORK, **ASKED, noise="multiplicative", build=build)
    bench = budget.prepare(settings, budget.StageClock(), silent).selection
    plan = np.log([0.5, 0.5, 2.0, 2.0])
    noises = bench.noises(plan)
    assert [one.sigma_mul for one in noises.values()] == pytest.approx([0.5, 0.5, 2, 2])
    # more noise changes more
    quiet, loud = (bench.measure(plan + more, 1).changed.mean() for more in (-1.0, 1.0))
    assert 0 < quiet < loud


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"loss": 1, "accuracy": 90}, "loss and accuracy exclude each other"),
        ({"accuracy": 99.9}, r"accuracy is 99\.9 %, but without noise it is 9.*: give less"),
        ({"loss": 95}, r"loss is 95 points: .*no more is left than guessing reaches, 10 %"),
        ({"accuracy": 5}, r"accuracy is 5 %: .* guessing"),
        ({"loss": -1}, "loss is -1"),
        ({"sites": "fc9.acc"}, "unknown site 'fc9.acc'"),
        ({"sites": "fc0.weight"}, "sites asks for noise that all images"),
        ({"noise": "fixed-pattern"}, "noise asks for noise that all images"),
        ({"kind": "additive"}, "kind has another name now: did you mean noise"),
        ({"levels": "1,2"}, "levels is no option here"),
        ({"cost": "sites: {fc0.acc: 1}"}, r"cost: .*cost\.yaml: site fc1.acc has no cost"),
        (
            {"sites": "fc0.acc", "cost": "sites: {fc0.acc: {table: table.csv}}"},
            "cost has a table of noise that the registers of fc0.acc do not hold",
        ),
    ],
)
def test_mistakes_are_said_in_one_line(asked, said, build, tmp_path):
    if "cost" in asked:
        (tmp_path / "cost.yaml").write_text(asked["cost"], encoding="utf-8")
        (tmp_path / "table.csv").write_text("snr,cost\n300,1\n400,2\n", encoding="utf-8")
        asked = asked | {"cost": tmp_path / "cost.yaml"}
    with pytest.raises(UserError, match=said) as error:
        settings = BudgetSettings(**NETWORK, images=150, build=build, **asked)
        budget.prepare(settings, budget.StageClock(), silent)
    assert "\n" not in str(error.value)
