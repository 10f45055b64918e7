"""Learning dynamics: the statistics are what they say, and a command that trains nothing twice."""

import json

import numpy as np
import pytest
import torch

from flow import models
from flow.errors import UserError
from flow.experiments import dynamics
from flow.experiments.settings import DynamicsSettings
from flow.noise import Noise
from flow.training import trainer
from flow.training.layer_statistics import binarisation, layer_statistics


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
    for name in ("dynamics.csv", "dynamics-additive.png", "dynamics-multiplicative.png"):
        assert (tmp_path / name).stat().st_size > 500
    assert json.loads((tmp_path / "dynamics.json").read_text())["rows"] == found["rows"]
    dynamics.run(settings, lambda *a: None)
    assert len(trained) == 5


def test_bad_settings():
    with pytest.raises(UserError, match="levels is auto, but each level is a training"):
        DynamicsSettings(model="float-mlp", levels="auto")
    with pytest.raises(UserError, match="occurs twice"):
        DynamicsSettings(model="float-mlp", levels="1,1")
    with pytest.raises(UserError, match="epochs is 0"):
        DynamicsSettings(model="float-mlp", epochs=0)
    with pytest.raises(UserError, match="noise: unknown noise 'aditive'"):
        DynamicsSettings(model="float-mlp", noise="aditive")
