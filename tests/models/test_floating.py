"""The networks of the paper in float: a site behind every module, PyTorch's start, a recipe."""

import numpy as np
import pytest
import torch
from torch import nn

from flow import data, models
from flow.compiler import pipeline
from flow.errors import UserError
from flow.models.floating import MEAN, STD
from flow.noise import Noise, NoiseTap, TorchSampler
from flow.training import checkpoint, trainer

CIFAR, MNIST, KEYWORDS = (32, 32, 3), (28, 28, 1), (10, 49, 1)


@pytest.mark.parametrize(
    ("name", "shape", "sites"),
    [
        ("float-mlp", MNIST, 8),
        ("float-mlp-bn", MNIST, 11),
        ("float-lenet5", CIFAR, 12),
        ("float-lenet5", MNIST, 12),
        ("float-lenet5-bn", CIFAR, 16),
        ("float-vgg11", CIFAR, 23),
        ("float-vgg11-bn", CIFAR, 31),
        ("float-vgg11-bn", MNIST, 31),
        ("float-cnn-s", KEYWORDS, 8),
        ("float-cnn-s-bn", KEYWORDS, 11),
        ("float-mlp", KEYWORDS, 8),
    ],
)
def test_a_walk_visits_the_input_and_what_is_behind_every_module(name, shape, sites):
    network = models.build(name, shape)
    assert network.sites == network.walk_sites and len(network.sites) == sites
    modules = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
    counted = sum(isinstance(m, modules) for m in network.modules())
    pools = sum(isinstance(m, nn.MaxPool2d) and m.kernel_size > 1 for m in network.modules())
    relus = len([s for s in network.sites if s.endswith(".act")])
    assert sites == 1 + counted + pools + relus
    images = data.to_input(np.zeros((2, *shape), np.uint8), network.image_shape)
    assert network(images).shape == (2, 10)


@pytest.mark.parametrize("name", ["float-mlp-bn", "float-lenet5-bn", "float-lenet5"])
def test_noise_at_a_site_reaches_what_follows_it_and_nothing_before(name):
    torch.manual_seed(0)
    network = models.build(name, CIFAR).eval()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    taps = {site: network.tap(site) for site in network.sites}
    seen: dict[str, torch.Tensor] = {}
    for site, tap in taps.items():
        tap.register_forward_hook(lambda m, a, output, site=site: seen.update({site: output}))
    network(images)
    clean, order = dict(seen), list(seen)
    assert order == network.sites
    for number, site in enumerate(order):
        with network.noise({site: Noise.at("additive", 1.0)}, TorchSampler(0)):
            network(images)
        changed = [s for s in order if not torch.equal(seen[s], clean[s])]
        assert changed == order[number:]


def test_three_channels_are_normalised_and_one_is_as_it_was():
    for name, shape in (("float-mlp", MNIST), ("float-mlp", CIFAR)):
        network = models.build(name, shape)
        zero_to_one = torch.rand(4, shape[2], *shape[:2])
        seen = network.normalise(zero_to_one * 2 - 1)
        mean, std = (MEAN, STD) if shape[2] == 3 else ((0.5,), (0.5,))
        shift, scale = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        wanted = (zero_to_one - shift) / scale
        assert torch.allclose(seen, wanted, atol=1e-5)


def test_weights_start_as_pytorch_starts_them():
    torch.manual_seed(4)
    network = models.build("float-mlp", MNIST)
    torch.manual_seed(4)
    assert torch.equal(network.fc0.linear.weight, nn.Linear(784, 64).weight)


def test_a_network_of_float_weights_has_no_hardware():
    with pytest.raises(UserError, match=r"float-mlp cannot be compiled: the weights of fc0.linear"):
        pipeline.check(models.build("float-mlp", (8, 8, 1)))


def test_images_that_are_too_small_are_refused():
    with pytest.raises(UserError, match="float-lenet5 takes images of at least 16×16"):
        models.build("float-lenet5", (8, 8, 1))
    with pytest.raises(UserError, match="float-cnn-s takes images of at least 7×29 values, not 8"):
        models.build("float-cnn-s", (8, 28, 1))
    assert models.build("float-cnn-s", (7, 29, 1))(torch.rand(2, 1, 7, 29)).shape == (2, 10)


def test_the_recipe_is_the_paper_s_and_weights_are_clamped_when_asked(tmp_path, monkeypatch):
    recipe = models.recipe("float-lenet5-bn")
    assert (recipe.lr, recipe.batch, recipe.clamp) == (1e-3, 128, False)
    assert models.recipe("tfc") == models.Recipe(0.02, 100, True, 8.0)
    largest = {}
    for clamp in (False, True):
        path = trainer.train(
            "float-mlp", "digits", epochs=2, lr=1.0, clamp=clamp, out=tmp_path / f"{clamp}"
        )
        network, metadata = checkpoint.load(path, "float-mlp")
        assert metadata.model == "float-mlp"
        largest[clamp] = network.fc1.linear.weight.abs().max().item()
    assert largest[True] <= 1 < largest[False]


def test_training_learns_and_its_checkpoint_gives_the_same_labels(tmp_path):
    path = trainer.train("float-mlp-bn", "digits", epochs=12, out=tmp_path / "n.safetensors")
    network, metadata = checkpoint.load(path)
    assert metadata.accuracy > 0.9
    test = data.load("digits", "test")
    inputs = data.to_input(test.images, network.image_shape)
    again = (models.evaluate(network, inputs) == test.labels).mean()
    assert again == pytest.approx(metadata.accuracy)


def test_noise_at_some_sites_and_a_changing_level_in_training(tmp_path, monkeypatch):
    levels: list[dict[str, float]] = []
    set_noise = models.Network.set_noise

    def spy(self, noise, sampler, **keywords):
        levels.append({site: one.sigma_add for site, one in noise.items()})
        set_noise(self, noise, sampler, **keywords)

    monkeypatch.setattr(models.Network, "set_noise", spy)
    noise = {"fc0.acc": Noise.at("additive", 2), "fc1.act": Noise.at("additive", 1)}
    settings = {"noise": noise, "epochs": 2, "spread": 0.5}
    path = trainer.train("float-mlp", "digits", out=tmp_path / "a", **settings)
    steps = [seen for seen in levels if seen != {"fc0.acc": 2, "fc1.act": 1}]
    assert len({seen["fc0.acc"] for seen in steps}) == len(steps) == 2 * 11
    assert all(seen["fc0.acc"] == 2 * seen["fc1.act"] for seen in steps)
    metadata = checkpoint.load(path)[1]
    assert metadata.noise is None and metadata.spread == 0.5
    assert metadata.noise_by_site == {site: one.to_json() for site, one in noise.items()}
    again = trainer.train("float-mlp", "digits", out=tmp_path / "b", **settings)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(UserError, match=r"unknown site 'fc9.acc'"):
        trainer.train("float-mlp", "digits", noise={"fc9.acc": Noise.at("additive", 1)}, epochs=1)
    with pytest.raises(UserError, match="spread given without a kind of noise"):
        trainer.train("float-mlp", "digits", epochs=1, spread=0.5)


def test_taps_hold_nothing_of_the_network():
    network = models.build("float-lenet5-bn", CIFAR)
    taps = [m for m in network.modules() if isinstance(m, NoiseTap)]
    assert not any(list(tap.state_dict()) for tap in taps)
