"""Summaries of walks: read whatever version wrote them, refused where they are something else."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from flow.cli.reference import SCHEMA
from flow.errors import UserError
from flow.statistics.estimate import Estimate
from flow.walks.summaries import HardwareWalkSummary, SoftwareWalkSummary, WalkSummary
from tests.helpers.hardware_results import old_results, results

SITE = {
    "mu_sw": [14.8, 12.0, 18.5], "k_sw": 2.2, "misfit": 0.004, "step": False, "devices": None,
    "ended": "given", "images": 100, "draws": 2, "levels": [8.0, 30.0],
}  # fmt: skip
NO_FIT = {"k_sw": None, "misfit": None}
FIRST = {
    "model": "tfc-w2a2", "dataset": "digits", "noise": ["additive"], "seed": 0, "classes": 10,
    "images": {"software": 100}, "accuracy": {"software": [0.98, 0.93, 0.99]}, "precision": 0.03,
    "max_seconds": None, "max_noisy_images": None, "images_evaluated": 2000,
    "kinds": {"additive": {
        "unit": "real", "order": None, "ratio": None, "options": {},
        "sites": {
            "fc0.acc": SITE,
            "fc1.acc": SITE | NO_FIT | {"mu_sw": {"bound": "above", "level": 30.0}},
            "fc2.acc": SITE | NO_FIT | {"mu_sw": None, "levels": []},
            "global": SITE | NO_FIT | {"mu_sw": {"bound": "below", "level": 8.0}},
        },
    }},
    "retrain": 0, "training_noise": None, "checkpoint": "tfc.safetensors",
    "identity": {"model": "tfc-w2a2", "retrain": 0}, "command": "noisewalk walk",
    "folder": "build/walk/tfc-w2a2-digits", "seconds": {"load": 0.5, "walk": 0.6, "total": 1.1},
}  # fmt: skip
"""``summary.json`` of ``walk``, schema version 1."""


def written(folder: Path, content: Any) -> Path:
    path = folder / "summary.json"
    path.write_text(json.dumps(content))
    return path


def read_again(folder: Path, summary: WalkSummary) -> WalkSummary:
    """Dump a summary, hold the dump against the schema, and read it."""
    dumped = summary.model_dump(mode="json")
    jsonschema.validate(dumped, json.loads(SCHEMA.read_text()))
    return WalkSummary.read(written(folder, dumped))


def test_a_software_walk_of_version_1_is_read(tmp_path: Path) -> None:
    summary = SoftwareWalkSummary.read(written(tmp_path, FIRST))
    assert summary.schema_version == 3 and summary.made_by == "walk"
    assert (summary.measure, summary.guessing) == ("accuracy", 0.1)
    assert list(summary) == ["fc0.acc", "fc1.acc", "fc2.acc"]
    assert summary["fc0.acc"].midpoint == Estimate(14.8, 12.0, 18.5)
    assert summary["fc1.acc"].midpoint == Estimate(None, 30.0, None)
    assert summary["fc2.acc"].midpoint is None
    assert summary["global"].midpoint == Estimate(None, None, 8.0)
    levels = [(one.sigma, one.images, one.draws, one.value) for one in summary["fc0.acc"].levels]
    assert levels == [(8.0, 100, 2, None), (30.0, 100, 2, None)]
    assert read_again(tmp_path, summary) == summary


def test_what_version_2_called_accuracy_is_read(tmp_path: Path) -> None:
    summary = SoftwareWalkSummary.read(written(tmp_path, FIRST))
    known = Estimate(0.5, 0.4, 0.6)
    old = summary.model_dump(mode="json") | {"schema_version": 2}
    for key in ("measure", "guessing"):
        del old[key]
    old["accuracy"] = old.pop("clean")
    for kind in old["kinds"].values():
        for entry in (*kind["sites"].values(), kind["global"]):
            for level in entry["levels"]:
                del level["value"]
                level["accuracy"] = list(known)
    again = SoftwareWalkSummary.read(written(tmp_path, old))
    assert (again.measure, again.guessing, again.clean) == ("accuracy", 0.1, summary.clean)
    assert [level.value for level in again["fc0.acc"].levels] == [known, known]
    assert read_again(tmp_path, again) == again
    del old["accuracy"]
    with pytest.raises(UserError, match="clean: Field required"):
        SoftwareWalkSummary.read(written(tmp_path, old))


def test_a_hardware_walk_of_version_1_is_read(tmp_path: Path) -> None:
    old, _ = old_results(2)
    old["sites"]["conv1.acc"] |= {"mu_sw": {"bound": "above", "level": 9.0}, "k_sw": None}
    steps = [{"step": "graph", "mu_before": [2.0, 1.9, 2.1], "ratio": None, "moved": False,
              "mu_after": {"bound": "below", "level": 0.5}, "beyond": False, "images": 9,
              "draws": 1}]  # fmt: skip
    old["ablation"] = {"conv1.acc": {"sentence": "no ratio", "steps": steps}}
    summary = HardwareWalkSummary.read(written(tmp_path, old))
    first, second = (summary[site] for site in summary)
    # where golden had no figures of its own, those of the hardware were golden's
    assert first.golden == first.midpoint == first.mu_hw and first.ratio == first.ratio_golden
    assert second.software == Estimate(None, 9.0, None) and second.rtl == second.mu_rtl
    (step,) = summary.ablation["conv1.acc"].steps
    assert (step.mu_before.value, step.mu_after) == (2.0, Estimate(None, None, 0.5))
    assert read_again(tmp_path, summary) == summary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": []}, "holds no results of walk or walk-bits or walk-hw: give a folder"),
        ([], "it holds no results"),
        (results(1)[0] | {"schema_version": 4}, "a later version of this program wrote it"),
        (results(1)[0] | {"extra": 1}, "extra: Extra inputs are not permitted; give one in which"),
        (FIRST | {"seed": None}, "seed: Input should be a valid integer"),
    ],
)
def test_what_is_no_summary_is_the_users_error(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        WalkSummary.read(written(tmp_path, content))


def test_a_summary_of_the_other_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no results of walk-hw: give a folder"):
        HardwareWalkSummary.read(written(tmp_path, FIRST))
    with pytest.raises(UserError, match=r"not the folder of a finished walk: .*No such file"):
        WalkSummary.read(tmp_path / "none" / "summary.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(value: float) -> None:
    summary, _ = results(1)
    for change in ({"margin": value}, {"clean": {"golden": [value, 0.8, 0.9]}}):
        with pytest.raises(ValidationError, match="finite"):
            HardwareWalkSummary.model_validate(summary | change)


def test_an_estimate_is_written_with_its_interval_or_as_a_bound() -> None:
    texts = {
        "2.31 [2.2, 2.43]": (2.311, 2.2, 2.43), "> 10": (None, 10.0, None),
        "< 0.1": (None, None, 0.1), "–": (None, 0.0, None),
    }  # fmt: skip
    assert [str(Estimate(*parts)) for parts in texts.values()] == list(texts)
    assert [Estimate(*parts).level for parts in texts.values()] == [2.311, 10.0, 0.1, 0.0]
