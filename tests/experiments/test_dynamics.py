"""Learning dynamics: the statistics are what they say, and a command that trains nothing twice."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from flow import models
from flow.cli.options import console
from flow.cli.printing import walk_tables
from flow.errors import UserError
from flow.experiments import dynamics
from flow.experiments.settings import DynamicsSettings
from flow.noise import Noise
from flow.training import checkpoint, trainer
from flow.training.layer_statistics import binarisation, histograms, layer_statistics


def test_binarisation_is_0_for_normal_values_and_1_for_two():
    rng = np.random.default_rng(0)
    two = np.where(rng.random((3, 5000)) < 0.3, 1.0, 4.0).astype(np.float32)
    assert binarisation(two) == pytest.approx(1)
    normal = rng.normal(5, 2, (4, 50_000)).astype(np.float32)
    assert binarisation(normal) == pytest.approx(0, abs=0.01)
    uniform = (0.75 - 2 / np.pi) / (1 - 2 / np.pi)
    assert binarisation(rng.random((2, 50_000), np.float32)) == pytest.approx(uniform, abs=0.01)
    # units that never change say nothing; others count by their variance
    still = np.vstack([two, np.full((2, 5000), 7, np.float32)])
    assert binarisation(still) == pytest.approx(1)
    assert np.isnan(binarisation(still[3:]))


def test_between_two_values_the_index_grows_with_their_distance():
    rng = np.random.default_rng(1)
    sign, z = rng.choice([-1, 1], (2, 20_000)), rng.normal(size=(2, 20_000))
    found = [binarisation((distance * sign + z).astype(np.float32)) for distance in (0, 1, 3, 10)]
    assert found == sorted(found) and found[-1] > 0.95


def test_statistics_of_a_layer():
    torch.manual_seed(0)
    network = models.build("float-mlp-bn", (8, 8, 1)).eval()
    with torch.no_grad():
        network.fc0.linear.weight.fill_(-0.25)
    images = torch.rand(500, 1, 8, 8) * 2 - 1
    noise = {"fc0.acc": Noise.at("additive", 0.5), "fc1.acc": Noise.at("multiplicative", 0.5)}
    found = {one.site: one for one in layer_statistics(network, images, noise)}
    assert list(found) == network.walk_sites
    fc0 = images.flatten(1).sum(1) * -0.25
    assert found["fc0.acc"].weight_magnitude == pytest.approx(0.25)
    assert found["fc0.acc"].output_std == pytest.approx(fc0.std().item(), rel=0.01)
    ratio = fc0.square().mean().item() / 0.5**2
    assert found["fc0.acc"].signal_to_noise == pytest.approx(ratio, rel=0.05)
    assert found["fc1.acc"].signal_to_noise == pytest.approx(4, rel=0.1)
    assert found["fc0.bn"].weight_magnitude is None and found["fc0.bn"].signal_to_noise is None
    assert all(network.tap(site).noise is None for site in network.sites)
    with torch.no_grad():
        network.fc1.linear.weight.copy_(network.fc1.linear.weight.sign() * 0.1)
    found = {one.site: one for one in layer_statistics(network, images)}
    assert found["fc1.acc"].weight_binarisation == pytest.approx(1)
    # uniform weights, as PyTorch begins with
    uniform = (0.75 - 2 / np.pi) / (1 - 2 / np.pi)
    assert found["fc2.acc"].weight_binarisation == pytest.approx(uniform, abs=0.02)
    assert found["fc1.act"].weight_binarisation is None


def test_histograms_count_values_and_weights():
    torch.manual_seed(0)
    network = models.build("float-mlp", (8, 8, 1)).eval()
    images = torch.rand(50, 1, 8, 8) * 2 - 1
    found = histograms(network, images, bins=20)
    assert set(found["site"]) == set(network.walk_sites)
    total = found.groupby(["site", "of"])["count"].sum()
    assert total["input", "values"] == 50 * 64 and total["fc1.act", "values"] == 50 * 64
    assert total["fc3.acc", "weights"] == 640 and ("fc1.act", "weights") not in total
    weights = found[(found["site"] == "fc1.acc") & (found["of"] == "weights")]
    least, most = map(float, network.fc1.linear.weight.detach().aminmax())
    assert (weights["low"].iloc[0], weights["high"].iloc[-1]) == pytest.approx((least, most))
    zeros = found[(found["site"] == "fc1.act") & (found["of"] == "values")]["count"].iloc[0]
    assert zeros > 0.4 * 50 * 64  # ReLU's


@pytest.mark.slow
def test_the_command_trains_each_level_once_and_writes_its_tables(tmp_path, monkeypatch):
    settings = DynamicsSettings(
        model="float-mlp",
        dataset="digits",
        noise=["additive", "multiplicative"],
        levels=[0.5, 2],
        epochs=2,
        out=tmp_path,
    )
    trained: list[object] = []
    train = trainer.train
    monkeypatch.setattr(
        trainer, "train", lambda *a, **k: trained.append(k["noise"]) or train(*a, **k)
    )
    found = dynamics.run(settings, lambda *a: None)
    # the network without noise serves both kinds
    assert len(trained) == 5
    assert len(found["rows"]) == 2 * 3 * 8
    for name in ("dynamics", "histograms"):
        for kind in ("additive", "multiplicative"):
            assert (tmp_path / f"{name}-{kind}.png").stat().st_size > 500
    assert (tmp_path / "dynamics.csv").stat().st_size > 500
    assert json.loads((tmp_path / "dynamics.json").read_text())["rows"] == found["rows"]
    # the same pictures again
    monkeypatch.setattr(dynamics.dynamics, "write", lambda *a: None)
    assert dynamics.run(settings, lambda *a: None)["rows"] == found["rows"]
    assert len(trained) == 5


@pytest.mark.slow
def test_seeds_sites_and_the_recipe_of_the_paper(tmp_path):
    settings = DynamicsSettings(
        model="float-mlp",
        dataset="digits",
        noise="multiplicative",
        levels=[1],
        sites="fc0.acc",
        recipe="paper",
        epochs=1,
        seeds=2,
        seed=3,
        out=tmp_path,
    )
    found = dynamics.run(settings, lambda *a: None)
    assert {row["seed"] for row in found["rows"]} == {3, 4}
    assert len(found["rows"]) == 2 * 2 * 8 and found["image_range"] == [0, 1]
    noisy = [row for row in found["rows"] if row["signal_to_noise"] is not None]
    assert {(row["site"], row["sigma"]) for row in noisy} == {("fc0.acc", 1)}
    networks = [checkpoint.load(one)[1] for one in (tmp_path / "networks").glob("*.safetensors")]
    assert sorted((one.seed, list(one.noise_by_site or {})) for one in networks) == [
        (3, []),
        (3, ["fc0.acc"]),
        (4, []),
        (4, ["fc0.acc"]),
    ]
    assert {one.recipe for one in networks} == {"paper"}
    counts = pd.read_parquet(tmp_path / "histograms.parquet")
    assert set(counts["seed"]) == {3, 4} and set(counts["sigma"]) == {0, 1}
    with console.capture() as captured:
        walk_tables.print_dynamics(console, found)
    said = " ".join(captured.get().split())
    assert "images in 0..1" in said and "2 trainings" in said
    median = np.median([row["binarisation"] for row in noisy])
    assert f"{median:.3g}" in said


def test_bad_settings():
    with pytest.raises(UserError, match="levels is auto, but each level is a training"):
        DynamicsSettings(model="float-mlp", levels="auto")
    with pytest.raises(UserError, match="occurs twice"):
        DynamicsSettings(model="float-mlp", levels="1,1")
    with pytest.raises(UserError, match="epochs is 0"):
        DynamicsSettings(model="float-mlp", epochs=0)
    with pytest.raises(UserError, match="noise: unknown noise 'aditive'"):
        DynamicsSettings(model="float-mlp", noise="aditive")
