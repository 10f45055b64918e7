"""Files of studies: what they say, and what is wrong with them."""

from pathlib import Path

import pytest

from flow.errors import UserError
from flow.experiments.studies import study
from flow.paths import REPOSITORY
from tests.helpers.studies import SMALL, written


def test_lists_are_crossed_and_named(tmp_path):
    found = study.read(written(tmp_path, SMALL), tmp_path / "build")
    assert found.title == "a small study" and found.minutes is None
    assert [run.name.rpartition("-")[0] for run in found.runs] == [
        f"tfc-w2a2-digits-{noise}-seed-{seed}" for noise in ("additive", "mixed") for seed in (0, 1)
    ]
    first = found.runs[0].settings
    assert (first.levels, first.sites) == ((8, 30, 90), ("fc0.acc", "fc2.acc"))
    assert first.out == tmp_path / "build" / "studies" / "small" / found.runs[0].name
    # what a run depends on tells whether its results are those of another
    other = study.read(written(tmp_path, SMALL.replace("8, 30", "9, 30")), tmp_path / "build")
    assert other.runs[0].stamp != found.runs[0].stamp


def test_every_command_with_options_of_its_own(tmp_path):
    text = """
runs:
  - walk: {model: float-mlp, dataset: mnist, noise: [additive, multiplicative], sites: [fc0.acc]}
  - multi-exec: {model: float-mlp, dataset: mnist, budgets: "1,2", draws: 2}
  - multi-exec-hw: {model: tfc, repeats: "1,4", seed: 3}
  - robustness: {model: tfc}
  - dynamics: {model: float-mlp, dataset: mnist, levels: [0.5, 1], epochs: 2}
  - train: {model: float-mlp, dataset: mnist, recipe: paper, out: here/a.safetensors}
"""
    runs = study.read(written(tmp_path, text), tmp_path / "build").runs
    by_command = {run.command: run.settings for run in runs}
    assert by_command["multi-exec"].budgets == (1, 2) and by_command["multi-exec"].draws == 2
    assert by_command["multi-exec-hw"].repeats == (1, 4)
    assert by_command["multi-exec-hw"].seed == 3
    assert by_command["multi-exec-hw"].out.parent == tmp_path / "build" / "studies" / "small"
    assert by_command["dynamics"].levels == (0.5, 1)
    assert by_command["train"].out == Path("here/a.safetensors")
    assert by_command["train"].recipe == "paper"
    assert len({run.name for run in runs}) == 6


@pytest.mark.parametrize("file", sorted(Path(REPOSITORY, "studies").glob("*.yaml")))
def test_the_studies_that_ship_can_be_read(file, tmp_path):
    found = study.read(file, tmp_path / "build")
    assert found.runs
    trained = {run.settings.out for run in found.runs if run.command == "train"}
    walked = {getattr(run.settings, "checkpoint", None) for run in found.runs} - {None}
    assert walked <= trained, "a walk whose checkpoint nothing trains"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runs: [", "is not YAML"),
        ("title: x", "no list of runs"),
        ("runs: []", "has no run"),
        ("runs: []\nminute: 3", "did you mean minutes"),
        ("minutes: soon\nruns: []", "minutes is soon"),
        ("runs: [walk-hw]", "a command with its options"),
        ("runs: [{walk_hw: {}}]", "did you mean walk-hw"),
        ("runs: [{walk-hw: [1]}]", "give them by name"),
        (
            "runs: [{walk-hw: {hw-image: 3}}]",
            "walk-hw: hw-image is no option here: did you mean hw-images",
        ),
        ("runs: [{walk-hw: {out: x}}]", "walk-hw: out is no option here"),
        (
            "runs: [{walk-hw: {images: many}}]",
            "walk-hw: images is many: give a whole number of at least 1",
        ),
        (
            "runs: [{walk-hw: {model: tfq}}]",
            "walk-hw: model: unknown model 'tfq': did you mean tfc",
        ),
        ("runs: [{walk-hw: {images: 0}}]", "images is 0"),
        ("runs: [{walk-hw: {seed: 1}}, {walk-hw: {seed: 1}}]", "twice"),
    ],
)
def test_bad_files_are_one_message(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        study.read(written(tmp_path, text), tmp_path / "build")


@pytest.mark.slow
def test_a_network_in_python_is_made_once_and_is_a_file_from_then_on(tmp_path, monkeypatch):
    file = REPOSITORY / "tests" / "helpers" / "custom_networks.py"
    real, made = study.python_factory.exported, []
    monkeypatch.setattr(
        study.python_factory, "exported", lambda *given: made.append(given) or real(*given)
    )
    text = SMALL.replace("tfc-w2a2", f"{file}:flat").replace("[fc0.acc, fc2.acc]", "[fc0.acc]")
    found = study.read(written(tmp_path, text), tmp_path / "build")
    assert len(found.runs) == 4 and len(made) == 1
    models = {run.settings.model for run in found.runs}
    assert [Path(model).name for model in models] == ["custom_networks-flat.onnx"]
    assert Path(models.pop()).is_file()
    assert all("custom_networks.py:flat" in run.name for run in found.runs)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot read the study"):
        study.read(tmp_path / "none.yaml")
