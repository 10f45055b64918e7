"""Training as a command: where the noise goes, how strong it is, and what it says of itself."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import flow
from flow.cli.printing import training
from flow.errors import UserError
from flow.noise import Noise
from flow.training import checkpoint
from flow.training.settings import TrainingOptions, parse_site_levels


def run(out: Path, **options: object) -> tuple[checkpoint.Metadata, str]:
    """Train a small network for an epoch; return its metadata and what the terminal showed."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    settings: dict = {"model": "float-mlp", "dataset": "digits", "epochs": 1} | options
    training.run(console, TrainingOptions(out=out, **settings))
    return checkpoint.load(out)[1], shown.getvalue()


def test_the_bar_shows_the_accuracy_and_the_end_its_interval(tmp_path: Path) -> None:
    metadata, shown = run(tmp_path / "n.safetensors", noise="additive", sigma=0.5, spread=0.25)
    assert "training float-mlp on digits, 1 epochs: about 1 min" in shown
    assert "accuracy 0." in shown
    assert f"accuracy {metadata.accuracy:.4f} [" in shown
    assert metadata.noise == Noise.at("additive", 0.5).to_json()
    assert metadata.spread == 0.25 and metadata.noise_by_site is None
    assert metadata.noisy_accuracy is not None


def test_sites_have_levels_of_their_own_or_the_common_one(tmp_path: Path) -> None:
    metadata, _ = run(
        tmp_path / "n.safetensors", noise="multiplicative", sigma=0.5, sites="input=2, fc1.act"
    )
    levels = {"input": 2, "fc1.act": 0.5}
    noise = {site: Noise.at("multiplicative", level) for site, level in levels.items()}
    assert metadata.noise_by_site == {site: one.to_json() for site, one in noise.items()}
    assert metadata.noise is None
    assert parse_site_levels("input=2,fc1.act=0.5") == levels == parse_site_levels(levels)
    assert parse_site_levels(["input=2", "fc1.act"]) == {"input": 2, "fc1.act": None}


def test_mixed_noise_has_a_ratio_and_an_order(tmp_path: Path) -> None:
    mixed = {"noise": "mixed", "sigma": 2.0, "ratio": 0.25, "order": "add-mul"}
    metadata, _ = run(tmp_path / "n.safetensors", **mixed)
    assert metadata.noise == flow.Mixed(0.5, 1.5, order="add-mul").to_json()


@pytest.mark.slow
def test_a_level_of_zero_is_zero_and_a_quantised_network_has_a_usual_one(tmp_path: Path) -> None:
    for sigma, level in ((0.0, 0.0), (None, 8.0)):
        metadata, _ = run(
            tmp_path / f"{level}.safetensors", model="tfc", noise="additive", sigma=sigma
        )
        assert metadata.noise == Noise.at("additive", level).to_json()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 2.0}, "sigma given without a kind of noise: add one"),
        ({"sites": "fc0.acc"}, "sites given without a kind of noise: add one"),
        ({"noise": "additive"}, "sigma is not given, and float-mlp has no noise level"),
        (
            {"noise": "additive", "sites": "input=1,fc0.acc"},
            "sigma is not given, and fc0.acc has no noise level",
        ),
        (
            {"noise": "additive", "sites": "fc0.acc=two"},
            "sites is fc0.acc=two: write a site and its",
        ),
        ({"noise": "additive", "sites": "fc0.acc=1,fc0.acc=2"}, "fc0.acc is named twice"),
        (
            {"noise": "additive", "sites": "fc0.acc=-1"},
            "sites is fc0.acc=-1: the level of fc0.acc is -1",
        ),
        ({"noise": "additive", "sites": " ,"}, "names no site"),
        ({"noise": "additive", "sites": "fc0.ac=1"}, "unknown site 'fc0.ac'.*fc0.acc"),
        ({"noise": "aditive", "sigma": 1.0}, "unknown noise 'aditive'.*additive"),
        ({"spread": 0.5}, "spread given without a kind of noise"),
        (
            {"noise": "additive", "sigma": 1.0, "spread": -1.0},
            "spread is -1: give a number of at least 0",
        ),
        ({"ratio": 0.2}, "ratio given without a kind of noise"),
        (
            {"noise": "additive", "sigma": 1.0, "ratio": 0.2},
            "ratio given, but additive noise has none: leave it out",
        ),
        (
            {"noise": "fixed-pattern", "sigma": 1.0, "order": "add-mul"},
            "order given, but fixed-pattern noise has none: leave it out",
        ),
        ({"batch": 1}, "batch is 1: give a whole number of at least 2"),
    ],
)
def test_bad_requests_train_nothing(options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path / "n.safetensors", **options)
    assert not list(tmp_path.iterdir())
