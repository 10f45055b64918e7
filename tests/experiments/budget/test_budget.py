"""The whole command on TFC: search, judgement, proof in RTL, results, and mistakes."""

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pandas as pd
import pytest

from flow.callbacks import StageClock
from flow.errors import UserError
from flow.experiments.budget import run as budget
from flow.experiments.budget.bench import work_of
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


def unwanted(*args, **kwargs):
    raise AssertionError("a point was measured again")


def test_what_was_measured_is_not_measured_again(found, build, monkeypatch):
    settings = BudgetSettings(**NETWORK, **ASKED, build=build)
    job = budget.prepare(settings, StageClock(), silent)
    monkeypatch.setattr("flow.golden.model.GoldenModel.run", unwanted)
    again = budget.search(job, silent)
    assert [step.changed for step in again.steps] == [step.changed for step in found.steps]
    _, rules = budget.judged(job, again, silent)
    assert rules["same SNR"].cost[0] == found.rules["same SNR"].cost.value


def test_relative_noise_is_measured_too(build):
    settings = BudgetSettings(**NETWORK, **ASKED, noise="multiplicative", build=build)
    bench = budget.prepare(settings, StageClock(), silent).selection
    plan = np.log([0.5, 0.5, 2.0, 2.0])
    noises = bench.map_of(plan).sites
    assert [one.sigma_mul for one in noises.values()] == pytest.approx([0.5, 0.5, 2, 2])
    # more noise changes more
    quiet, loud = (bench.measure(plan + more, 1).changed.mean() for more in (-1.0, 1.0))
    assert 0 < quiet < loud


def test_halves_have_the_same_mixture_of_classes(build):
    job = budget.prepare(BudgetSettings(**NETWORK, build=build), StageClock(), silent)
    walks = [job.selection.walk, job.judgement.walk]
    counts = [np.bincount(one.labels, minlength=10) for one in walks]
    assert sum(counts).sum() == job.whole.images
    # no class is more of one half than chance makes it
    assert (np.abs(counts[0] - counts[1]) <= 4 * np.sqrt(sum(counts))).all()
    halves, whole = (
        sorted(row for one in several for row in one.context.inputs.flatten(1).tolist())
        for several in (walks, [job.whole.walk])
    )
    assert halves == whole


@pytest.mark.slow
def test_bits_are_a_plan_that_rtl_bears_out(build, monkeypatch):
    asked = {name: value for name, value in ASKED.items() if name != "draws"}
    settings = BudgetSettings(**NETWORK, **asked, vary="adc", build=build)
    found = budget.run(settings, silent)
    folder = build / "budget" / "tfc-w2a2-digits-adc-loss-4"
    plan = NoiseMap.read(folder / "budget.yaml")
    assert plan.adc == {name: one.bits for name, one in found.sites.items()} and not plan.sites
    for one in found.sites.values():
        assert one.cost == pytest.approx(one.conversions * 2**one.bits)
        # the quantisation error of a uniform value
        assert one.noise_share == pytest.approx(one.step / 12**0.5 / one.std, rel=0.1)
        assert one.sigma is None and one.executions is None
    assert [one.conversions for one in found.sites.values()] == [64, 64, 64, 10]
    assert found.usual == "same bits" and found.varies == ["adc"] and found.noise is None
    assert found.proof.differing == 0 and found.proof.rtl_runs >= 4
    # the walk's level 0 is the plan
    bench = budget.prepare(settings, StageClock(), silent).whole
    plan = np.log([one.noise_share for one in found.sites.values()])
    right = bench.clean.predictions == bench.walk.labels
    lost = bench.measure(plan, 1).lost
    assert found.proof.accuracy_golden.value == pytest.approx((right - lost).mean())
    assert "ADC bits" in (folder / "budget.html").read_text()
    assert "ADC bits" in (folder / "budget.tex").read_text()
    dumped = json.loads((folder / "budget.json").read_text())
    jsonschema.validate(dumped, BudgetSummary.model_json_schema(mode="serialization"))
    # an interrupted search measures nothing twice
    job = budget.prepare(settings, StageClock(), silent)
    monkeypatch.setattr("flow.golden.model.GoldenModel.run", unwanted)
    again = budget.search(job, silent)
    assert [step.changed for step in again.steps] == [step.changed for step in found.steps]


def test_executions_average_the_noise_of_a_map(build, tmp_path):
    noise_map = tmp_path / "array.yaml"
    noise_map.write_text("{unit: std, sites: {fc0.acc: 1.4, fc2.acc: 1.6}}", encoding="utf-8")
    settings = BudgetSettings(
        **NETWORK, **ASKED, vary="executions", noise_map=noise_map, build=build
    )
    job = budget.prepare(settings, StageClock(), silent)
    bench, space = job.selection, job.selection.space
    assert space.names == ["fc0.acc", "fc2.acc"]
    assert np.exp(space.origins) == pytest.approx([1.4, 1.6])
    once, often = space.high, space.low
    assert [one.executions for one in bench.map_of(often).sites.values()] == [64, 64]
    assert bench.measure(often, 2).changed.mean() < 0.5 * bench.measure(once, 2).changed.mean()
    # one execution of σ / √k changes as much as k do
    twice = np.array([one.levels[-2] for one in space.sources])
    real = replace(bench, walk=bench.walk)
    object.__setattr__(real, "averaged", lambda site, noise: noise)
    changed = [one.measure(twice, 16).changed.mean() for one in (bench, real)]
    assert changed[0] > 0.1
    assert changed[0] == pytest.approx(changed[1], rel=0.2) and changed[0] != changed[1]
    found = budget.search(job, silent)
    plan = NoiseMap.read(job.map).sites
    # the cost is of clock cycles
    cycles = [work_of(bench.walk, site).cycles for site in plan]
    executions = [one.executions for one in plan.values()]
    assert found.cost.total(found.plan) == pytest.approx(np.dot(cycles, executions))


def test_sigma_and_bits_share_a_plan(build):
    settings = BudgetSettings(
        **NETWORK, **ASKED, vary="adc,sigma", sites="fc0.acc,fc3.acc", build=build
    )
    job = budget.prepare(settings, StageClock(), silent)
    assert job.folder.name == "tfc-w2a2-digits-sigma-adc-loss-4"
    names = ["fc0.acc sigma", "fc3.acc sigma", "fc0.acc adc", "fc3.acc adc"]
    assert job.selection.space.names == names
    found = budget.search(job, silent)
    plan = NoiseMap.read(job.map)
    assert list(plan.sites) == list(plan.adc) == ["fc0.acc", "fc3.acc"]
    measured = found.steps[-1]
    assert 0.5 < measured.changed / measured.predicted_changed < 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"loss": 1, "accuracy": 90}, "loss and accuracy exclude each other"),
        ({"accuracy": 99.9}, r"accuracy is 99\.9 %, but without noise it is 9.*: give less"),
        ({"loss": 95}, r"loss is 95 points: .*would fall to what guessing reaches, 10 %"),
        ({"accuracy": 5}, r"accuracy is 5 %: .* guessing"),
        ({"loss": -1}, "loss is -1"),
        ({"sites": "fc9.acc"}, "unknown site 'fc9.acc'"),
        ({"sites": "fc0.weight"}, "sites asks for noise that all images"),
        ({"noise": "fixed-pattern"}, "noise asks for noise that all images"),
        ({"kind": "additive"}, "kind has another name now: did you mean noise"),
        ({"levels": "1,2"}, "levels is no option here"),
        ({"cost": "sites: {fc0.acc: 1}"}, r"cost: .*cost\.yaml: site fc1.acc has no cost"),
        ({"vary": "bits"}, "vary: unknown vary 'bits'|unknown vary 'bits'"),
        ({"vary": "adc,executions"}, "vary has executions and others: .* alone"),
        ({"vary": "executions"}, "vary is executions, but no noise .* did you mean noise_map"),
        ({"vary": "adc", "noise": "mixed"}, "noise is an option of σ, which does not vary"),
        (
            {"vary": "adc", "noise_map": "sites: {fc0.acc: 1}"},
            "noise_map applies to vary executions",
        ),
        ({"vary": "adc", "draws": 2}, "draws given, but converters draw no random numbers"),
        ({"vary": "adc", "executions": 2}, "executions given, but ADC bits are walked"),
        ({"adc": "6"}, "adc is no option here: bits are searched for with vary adc"),
        ({"adc_percentile": 99}, "adc_percentile given, but no site has an ADC"),
        (
            {"vary": "executions", "noise_map": "sites: {fc0.acc: {sigma: 1, executions: 3}}"},
            "noise_map has 3 executions at fc0.acc",
        ),
        (
            {"vary": "executions", "noise_map": "sites: {fc0.acc: {adc: 3}}"},
            "noise_map has no noise to average",
        ),
        (
            {"vary": "executions", "noise_map": "sites: {fc0.weight: 0.1}"},
            "noise_map asks for noise that all images",
        ),
        (
            {"vary": "executions", "noise_map": "sites: {fc0.acc: 1}", "sites": "fc0.acc"},
            "sites given, but the noise map names them",
        ),
        (
            {
                "vary": "adc",
                "sites": "fc0.acc",
                "cost": "adc: {sites: {fc0.acc: {table: bits.csv}}}",
            },
            "cost has a table of noise that the registers of fc0.acc do not hold",
        ),
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
        (tmp_path / "bits.csv").write_text("bits,cost\n13,1\n16,2\n", encoding="utf-8")
        asked = asked | {"cost": tmp_path / "cost.yaml"}
    if "noise_map" in asked:
        (tmp_path / "map.yaml").write_text(asked["noise_map"], encoding="utf-8")
        asked = asked | {"noise_map": tmp_path / "map.yaml"}
    with pytest.raises(UserError, match=said) as error:
        settings = BudgetSettings(**NETWORK, images=150, build=build, **asked)
        budget.prepare(settings, StageClock(), silent)
    assert "\n" not in str(error.value)
