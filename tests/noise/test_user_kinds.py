"""Kinds of noise in a user's own file: they walk and train like the others, and fail in words."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from flow.cli import main
from flow.errors import UserError
from flow.experiments import settings as experiments
from flow.experiments.studies import study
from flow.noise import (
    KINDS,
    Additive,
    Mixed,
    Multiplicative,
    Noise,
    NoiseTap,
    Source,
    TorchSampler,
    WeightSource,
    class_of,
)
from flow.noise.hardware.registers import TWINS, TapSettings
from flow.training import checkpoint, trainer
from flow.training.zoo import file_name, zoo_path
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.software import Inference
from sim.runner import REPOSITORY
from tests.helpers.user_noise import UNIFORM, rewritten, walked


def noisy(noise: Noise, y: Tensor, seed: int = 0) -> Tensor:
    sampler = TorchSampler(seed)
    sampler.start_batch(0)
    tap = NoiseTap()
    tap.set("a", noise, sampler)
    return tap(y)


def test_a_user_s_kind_is_named_by_its_class_and_can_be_written_down(here):
    noise = Noise.at("uniform.py:Uniform", 2.0, executions=2)
    assert (noise.kind, noise.sigma_add, noise.sigma_mul) == ("uniform", 2.0, 0.0)
    assert noise.formula() == "y' = y + σₐ·(2·u − 1)·√3, with u uniform on 0..1"
    told = json.loads(json.dumps(noise.to_json()))
    assert told["origin"]["file"] == "uniform.py:Uniform"
    assert Noise.from_json(told) == noise
    assert noise.name == f"uniform-2-1-x2-{told['origin']['code']}"
    assert noise == Noise.at(f"{here}/uniform.py:Uniform", 2.0, executions=2)
    assert "uniform" not in KINDS
    with pytest.raises(UserError, match=r"unknown noise 'uniform': known: .*file\.py:MyNoise"):
        Noise.at("uniform", 1.0)


@pytest.mark.slow
def test_another_process_makes_the_same_noise_from_json(here):
    noise = Noise.at("uniform.py:Uniform", 2.0)
    code = (
        "import json, sys, torch; from flow.noise import *\n"
        "noise = Noise.from_json(json.loads(sys.argv[1]))\n"
        "print(noise.to_json() == json.loads(sys.argv[1]),"
        "noise.apply(torch.zeros(2, 3), Source(TorchSampler(0), 'a', (2, 3))).tolist())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(noise.to_json())],
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == f"True {noisy(noise, torch.zeros(2, 3)).tolist()}"


def test_only_code_counts_of_a_file_and_of_those_beside_it(here):
    def code() -> str:
        origin = class_of("uniform.py:Uniform").origin
        assert origin is not None
        return origin.code

    first, told = code(), Noise.at("uniform.py:Uniform", 1.0).to_json()
    rewritten("    multiplies", "    # a comment\n    multiplies")
    assert code() == first
    # as long as before, and within the same second
    rewritten("3**0.5", "2**0.5")
    assert code() != first
    assert noisy(Noise.at("uniform.py:Uniform", 1.0), torch.zeros(500, 2)).max() < 2**0.5
    with pytest.raises(UserError, match=r"the origin of .* is not the recorded"):
        Noise.from_json(told)
    rewritten("3**0.5", "helper.ROOT")
    path = Path("uniform.py")
    path.write_text("import helper\n" + path.read_text())
    Path("helper.py").write_text("ROOT = 1.0\n")
    with_helper = code()
    Path("helper.py").write_text("ROOT = 9.0\n")
    assert code() != with_helper
    assert noisy(Noise.at("uniform.py:Uniform", 1.0), torch.zeros(500, 2)).max() > 8
    Path("uniform.py").unlink()
    with pytest.raises(UserError, match=r"there is no file uniform.py"):
        Noise.from_json(told)


def test_uniform_samples_are_uniform_also_for_weights():
    for made in (Source, WeightSource):
        found = made(TorchSampler(0), "a", (1000, 100)).uniform(0)
        assert found.min() >= 0 and found.max() <= 1
        assert torch.histc(found, 10, 0, 1).sub(10_000).abs().max() < 500
    with pytest.raises(UserError, match="no sample 2"):
        Source(TorchSampler(0), "a", (2, 2)).normal(2)


@pytest.mark.pictures
@pytest.mark.slow
def test_it_walks_on_the_command_line(here):
    arguments = ["walk", "NOISE=uniform.py:Uniform,additive", "MODEL=tfc-w2a2", "DATASET=digits"]
    arguments += ["LEVELS=2,8", "SEEDS=1", "IMAGES=200"]
    ended = CliRunner().invoke(main.cli, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "uniform noise" in ended.output and "y' = y + σₐ·(2·u − 1)·√3" in ended.output
    folder = Path("build/walk/tfc-w2a2-digits")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["noise"] == ["uniform", "additive"]
    assert summary["kinds"]["uniform"]["origin"]["file"] == "uniform.py:Uniform"
    assert (folder / "curves.png").stat().st_size
    curves = pd.read_parquet(folder / "curves.parquet")
    noise = curves[curves["site"] != ""].groupby(["kind", "sigma"])["accuracy"].mean()
    assert noise["uniform", 2.0] > noise["uniform", 8.0]
    # of equal deviation, and so not far from normal noise, but not the same
    assert abs(noise["uniform", 8.0] - noise["additive", 8.0]) < 0.2
    assert not noise["uniform"].equals(noise["additive"])


@pytest.mark.slow
def test_a_walk_is_reproducible_and_a_changed_file_is_measured_anew(here, monkeypatch):
    kind = "uniform.py:Uniform"
    first = walked(noise=kind, out=here / "a")
    again = walked(noise=kind, out=here / "b")
    assert first.kinds == again.kinds

    def refuse(*arguments):
        raise AssertionError("measured")

    with monkeypatch.context() as patch:
        patch.setattr(Inference, "__call__", refuse)
        walked(noise=kind, out=here / "a")
        rewritten('"""y', '"""Uniform noise. y')
        walked(noise=kind, out=here / "a")
    rewritten("self.sigma_add *", "0.0 *")
    changed = walked(noise=kind, out=here / "a")
    assert changed.kinds["uniform"].sites != first.kinds["uniform"].sites


def test_it_trains_and_its_checkpoint_is_read_without_the_file(here):
    arguments = ["train", "--model", "float-mlp", "--dataset", "digits", "--epochs", "1"]
    arguments += ["--noise", "uniform.py:Uniform", "--sigma", "0.5"]
    ended = CliRunner().invoke(main.cli, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    noise = Noise.at("uniform.py:Uniform", 0.5)
    path = Path("build/checkpoints") / file_name("float-mlp", "digits", noise)
    metadata = checkpoint.load(path)[1]
    assert metadata.noise == noise.to_json() and Noise.from_json(metadata.noise) == noise
    assert zoo_path("float-mlp", "digits", "uniform.py:Uniform") == path
    again = trainer.train("float-mlp", "digits", noise=noise, epochs=1, out=here / "again")
    weights = [checkpoint.load(one)[0].state_dict() for one in (path, again)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    # trained with other code
    rewritten("3**0.5", "2**0.5")
    assert zoo_path("float-mlp", "digits", "uniform.py:Uniform") is None
    (here / "uniform.py").unlink()
    assert zoo_path("float-mlp", "digits", "uniform") == path
    found = walked(
        model="float-mlp",
        training_noise="uniform",
        levels=(1.0,),
        sites=["fc0.acc"],
        out=here / "w",
    )
    assert found.training_noise["kind"] == "uniform"
    with pytest.raises(UserError, match="there is no file"):
        Noise.from_json(found.training_noise)


@pytest.mark.slow
def test_retraining_with_a_changed_file_trains_anew(here):
    given = {"model": "float-mlp", "retrain": 1, "levels": (0.5,), "sites": ["fc0.acc"]}
    path = trainer.train("float-mlp", "digits", epochs=1)
    counts = []
    for _ in range(2):
        walked(**given, noise="uniform.py:Uniform", checkpoint=path)
        counts.append(len(list(here.glob("build/walk/*/retrained/*.safetensors"))))
        rewritten("3**0.5", "2**0.5")
    # without noise and with it; then with it again
    assert counts == [2, 3]


def test_a_class_derived_from_a_kind_with_a_twin_has_none(here):
    assert {made.kind for made in TWINS} == set(KINDS)
    Path("louder.py").write_text(
        UNIFORM.replace("import Noise", "import Additive").replace("(Noise)", "(Additive)")
    )
    noise = Noise.at("louder.py:Uniform", 1.0)
    assert isinstance(noise, Additive) and noise.kind == "uniform" and not noise.averages
    with pytest.raises(UserError, match="has no fixed-point twin"):
        TapSettings.of(noise, 1.0, 0)


def test_executions_of_it_are_no_smaller_sigma_unless_it_says_so(here):
    given = {"model": "tfc-w2a2", "dataset": "digits", "noise": "uniform.py:Uniform"}
    with pytest.raises(UserError, match=r"noise is uniform, of which the mean"):
        experiments.MultiExecutionSettings(**given)
    rewritten("multiplies = False", "multiplies = False\n    averages = True")
    experiments.MultiExecutionSettings(**given)


def test_code_that_changes_y_in_place_leaves_the_clean_values(here):
    rewritten("return y + self", "y.mul_(2)\n        return y + 0 * self")
    y = torch.ones(2, 3)
    found = noisy(Noise.at("uniform.py:Uniform", 1.0, executions=2), y)
    assert torch.equal(found, torch.full((2, 3), 2.0)) and torch.equal(y, torch.ones(2, 3))


def test_a_study_runs_again_when_the_file_has_changed(here):
    Path("mine.yaml").write_text(
        "runs: [walk: {model: tfc-w2a2, dataset: digits, noise: 'uniform.py:Uniform'}]"
    )
    (run,) = study.read(Path("mine.yaml")).runs
    run.folder.mkdir(parents=True)
    run.write_state(run.stamp, ended="done")
    assert run.state["ended"] == "done"
    rewritten("3**0.5", "2**0.5")
    assert not run.state


@dataclass(frozen=True)
class LowerNoise(Noise):
    """y' = y + low·σₐ."""

    low: float = -1.0
    table: tuple[float, ...] = ()

    def once(self, y: Tensor, source: Source) -> Tensor:
        return y + self.low * self.sigma_add


@pytest.mark.parametrize(
    ("noise", "ratio"),
    [
        (Additive(2.0), 0.5),
        (Multiplicative(sigma_mul=2.0, executions=3), 0.5),
        (Mixed(1.0, 3.0, order="add-mul"), 0.25),
        (Mixed(), 0.5),
        (LowerNoise(3.0, 1.0, low=0.1, table=(1.0, 2.0)), 0.75),
        (LowerNoise(0.0, 1.0), 0.0),
    ],
)
def test_an_instance_becomes_a_setting(noise, ratio):
    setting = NoiseSetting.of(noise, seed=5)
    assert (setting.kind, setting.ratio, setting.seed) == (noise.kind, ratio, 5)
    level = noise.sigma_add + noise.sigma_mul
    assert setting.noise(level) == noise
    assert replace(setting, seed=6).noise(level) == noise
    assert setting.noise(2 * level) == noise.scaled(2)


def test_a_class_in_a_module_has_its_place():
    assert LowerNoise.kind == "lower-noise" and LowerNoise.origin is not None
    assert str(LowerNoise.origin).startswith(f"LowerNoise ({Path(__file__)}") or str(
        LowerNoise.origin
    ).startswith("LowerNoise (tests/")
