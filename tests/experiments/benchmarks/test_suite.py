"""The bench: figures of rounds, the driver that is held against ours, and the command's output."""

import json

import pytest
from click.testing import CliRunner

from flow.cli.main import cli
from flow.errors import UserError
from flow.experiments.benchmarks import draws, rtl, software_walk, subgraph, suite
from flow.experiments.benchmarks.measure import Bench, Figure, in_turn
from flow.experiments.benchmarks.settings import BenchWalkSettings
from flow.noise.kernel import numpy_only
from flow.rtl import simulate
from flow.walks.settings import HardwareWalkSettings

IMAGES = 3


def test_rounds_go_through_all_measures_and_ratios_are_of_a_round():
    calls = []

    def measure(name, values):
        def once():
            calls.append(name)
            return next(values)

        return once

    measures = {"a": measure("a", iter([2.0, 9.0, 4.0])), "b": measure("b", iter([1.0, 3.0, 4.0]))}
    assert in_turn(measures, [("a", "b")], 3) == [
        Figure("a", "images/s", 4.0, 2.0, 9.0),
        Figure("b", "images/s", 3.0, 1.0, 4.0),
        Figure("a : b", "ratio", 2.0, 1.0, 3.0),
    ]
    assert calls == ["a", "b"] * 3


def test_python_at_every_clock_gives_the_labels_of_golden(accelerator, inputs, built, tmp_path):
    """Else it would be held against a design that does something else."""
    pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")
    stream = accelerator.quantise(inputs[:IMAGES])
    simulation = rtl.build_driven(accelerator, built / "sim", optimise=False)
    simulate.start_job(accelerator, stream, [{}], tmp_path)
    simulation.run("sim.driven_bench", workdir=tmp_path)
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert labels == accelerator.golden_model().run(stream).tolist()
    assert json.loads((tmp_path / "seconds.json").read_text()) > 0


def test_two_workers_and_one_run_all_their_images(accelerator, inputs, built):
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    simulated = rtl.Rtl(accelerator, simulation, accelerator.quantise(inputs[:IMAGES]))
    assert simulated.rate({}, passes=2) > 0
    assert simulated.pair({}) > 0


def test_what_cannot_be_measured_has_its_reason(monkeypatch):
    monkeypatch.setattr(rtl, "find_spec", lambda name: None)
    monkeypatch.setattr(rtl.os, "sched_getaffinity", lambda pid: {0})
    assert rtl.missing() == {
        rtl.DRIVEN: "the Python package cocotbext-axi is not installed",
        rtl.PAIR: "there is only one core",
    }


def test_the_command_prints_one_table_and_stores_it(monkeypatch, tmp_path):
    """Figures of every part, and in place of a part that fails, its reason."""

    def no_data(settings):
        raise UserError(f"there is no {settings.dataset} here")

    rows = [Figure("one way", "images/s", 20.0, 10.0, 1234.5), Figure("a : b", "ratio", 2, 1, 3)]
    monkeypatch.setattr(rtl, "run", lambda settings, rounds: rows)
    monkeypatch.setattr(subgraph, "run", lambda settings, rounds: [])
    monkeypatch.setattr(draws, "run", lambda rounds: [])
    monkeypatch.setattr(rtl, "missing", lambda: {"two workers": "there is only one core"})
    monkeypatch.setattr(software_walk, "run", no_data)
    monkeypatch.chdir(tmp_path)
    arguments = ["bench", "--model", "tfc-w2a2", "--dataset", "digits", "--rounds", "2"]
    found = CliRunner().invoke(cli, arguments, env={"COLUMNS": "120"}, catch_exceptions=False)
    assert found.exit_code == 0
    (stored,) = tmp_path.rglob("*.json")
    assert stored.relative_to(tmp_path).as_posix() == "build/bench/tfc-w2a2-digits.json"
    content = json.loads(stored.read_text())
    assert content["figures"][0] == {
        "name": "one way", "unit": "images/s", "median": 20.0, "low": 10.0, "high": 1234.5
    }  # fmt: skip
    assert content["unmeasured"]["two workers"] == "there is only one core"
    assert "there is no cifar10 here" in content["unmeasured"].values()
    assert content["cpu"] and content["cores"] >= 1 and content["date"] and content["rounds"] == 2
    assert content["versions"]["verilator"][0].isdigit()


def test_both_ways_of_drawing_are_measured(monkeypatch):
    monkeypatch.setattr(draws, "SIZE", (4, 1000))
    figures = {figure.name: figure for figure in draws.run(1)}
    assert len(figures) == 6 and all(figure.median > 0 for figure in figures.values())
    assert figures["samples, one thread, kernel : samples, one thread, NumPy"].unit == "ratio"
    with numpy_only(), pytest.raises(UserError, match="no compiled kernel"):
        draws.run(1)


@pytest.mark.slow
def test_a_part_is_measured_beside_the_whole(monkeypatch, results_folder, tmp_path):
    monkeypatch.setattr(subgraph, "LAYERS", 1)
    monkeypatch.setattr(subgraph, "WHOLE_IMAGES", 4)
    build = results_folder(tmp_path)
    settings = HardwareWalkSettings(model="tfc-w2a2", dataset="digits", cycles=256, build=build)
    figures = {figure.name: figure for figure in subgraph.run(settings, 1)}
    part, whole = figures["RTL from fc3.acc on"], figures["RTL, whole network, noise at fc3.acc"]
    ratio = figures["whole network : from fc3.acc on"]
    assert ratio.median == pytest.approx(whole.median / part.median) and ratio.median > 1


def test_a_walk_that_is_faster_has_a_ratio_above_one():
    walk = software_walk.Found(
        points=20, images=10, straightforward=8.0, timed=4, grid=2.0, searched=1.0,
        searched_images=5, widest=0.1, differing=0, largest=0.0, memory=1.0,
    )  # fmt: skip
    settings = BenchWalkSettings(model="float-mlp", dataset="digits")
    figures = software_walk.figures([walk], settings)
    assert [f.median for f in figures if f.unit == "ratio"] == [4.0, 8.0]
    assert [f.median for f in figures if f.unit == "s"] == [8.0, 2.0, 1.0]


def test_no_part_is_lost_when_another_fails(monkeypatch):
    monkeypatch.setattr(rtl, "run", lambda settings, rounds: _fail())
    monkeypatch.setattr(subgraph, "run", lambda settings, rounds: _fail())
    monkeypatch.setattr(draws, "run", lambda rounds: _fail())
    monkeypatch.setattr(software_walk, "run", lambda settings: _fail())
    found = suite.run(None, BenchWalkSettings(model="float-mlp", dataset="digits"), 1)
    assert isinstance(found, Bench) and not found.figures
    assert list(found.unmeasured.values())[-4:] == ["it fails"] * 4


def _fail():
    raise UserError("it fails")
