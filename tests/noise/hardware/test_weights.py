"""Noise on programmed weights in software."""

import numpy as np
import pytest
import torch

from flow.errors import UserError
from flow.models import build, evaluate, evaluate_levels
from flow.models.quantised import LeNet5
from flow.noise import Noise, TorchSampler, WeightTap
from tests.helpers.convolutional_networks import Short

SHAPE = (16, 16, 1)
MODELS = {
    "tfc-w2a2": lambda: build("tfc-w2a2", (8, 8, 1), 10),
    "tfc-w1a1": lambda: build("tfc-w1a1", (8, 8, 1), 10),
    "lenet5-w4a4": lambda: LeNet5("lenet5-w4a4", SHAPE, 10, weight_bits=4, act_bits=4),
    "short-w1a2": lambda: Short("short-w1a2", 2, weight_bits=1, act_bits=2),
}


def settled(name, images=32):
    """A network whose batch norms have seen its images, and the images."""
    torch.manual_seed(7)
    network = MODELS[name]()
    height, width, channels = network.image_shape
    inputs = torch.rand(images, channels, height, width) * 2 - 1
    with torch.no_grad():
        for _ in range(20):
            network.train()(inputs)
    return network.eval(), inputs


def programmed(network, site, noise, sampler):
    """The integers that a layer's weights are programmed to."""
    tap, layer = network.tap(site), network.get_submodule(network.entry(site))
    tap.set(site, noise, sampler)
    weights = tap(layer.quant_weight().value.detach())
    tap.clear()
    return weights / tap.grid.scale


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_programmed_to_their_own_grid(name):
    network, _ = settled(name)
    bits = int(name.split("-w")[1][0])
    grid = {1: {-1, 1}, 2: {-1, 0, 1}, 4: set(range(-7, 8))}[bits]
    layers = [site.removesuffix(".acc") for site in network.accumulator_sites]
    assert network.weight_sites == [f"{layer}.weight" for layer in layers]
    assert not set(network.weight_sites) & set(network.sites)
    for site in network.weight_sites:
        tap, layer = network.tap(site), network.get_submodule(network.entry(site))
        assert isinstance(tap, WeightTap)
        clean = layer.quant_weight().value.detach()
        assert torch.equal(tap.grid(clean), clean), "the grid is not the quantiser's"
        for kind in ("additive", "multiplicative", "mixed"):
            noise = Noise.at(kind, 3 * tap.grid.scale if kind == "additive" else 3.0)
            found = programmed(network, site, noise, TorchSampler(1))
            assert torch.equal(found, programmed(network, site, noise, TorchSampler(1)))
            assert not torch.equal(found, programmed(network, site, noise, TorchSampler(2)))
            whole = found.round()
            assert torch.allclose(found, whole, atol=1e-5)
            # weights that are 0 have no multiplicative error
            assert set(whole.unique().tolist()) <= grid
            assert kind != "additive" or set(whole.unique().tolist()) == grid
            assert not torch.equal(found * tap.grid.scale, clean)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_all_images_and_executions_see_the_same_weights(name):
    """A batch more or less, levels that share a clean prefix, several executions: one array."""
    network, inputs = settled(name)
    clean, changed = evaluate(network, inputs), 0
    for site in network.weight_sites:
        levels = [Noise.at("additive", s * network.tap(site).grid.scale) for s in (0.0, 0.6, 4.0)]
        levels.append(Noise.at("additive", levels[1].sigma_add, executions=3))
        shared = evaluate_levels(network, inputs, site, levels, TorchSampler(5), batch=10)
        for noise, labels in zip(levels, shared, strict=True):
            whole = evaluate(network, inputs, noise={site: noise}, sampler=TorchSampler(5))
            assert np.array_equal(labels, whole), (site, noise)
            changed += int((labels != clean).sum())
        assert np.array_equal(shared[0], clean) and np.array_equal(shared[1], shared[3])
    assert changed > len(inputs)
    assert all(network.tap(site).noise is None for site in network.all_sites)


def test_kinds_that_need_channels_or_images_are_refused_and_training_has_a_gradient():
    network, inputs = settled("tfc-w2a2")
    for noise in (Noise.at("fixed-pattern", 1.0), Noise.at("drift", 1.0, gain_rate=1.0)):
        with pytest.raises(UserError, match=r"site fc1\.weight: .*additive, multiplicative or"):
            evaluate(network, inputs, noise={"fc1.weight": noise}, sampler=TorchSampler(0))
    with pytest.raises(UserError, match=r"unknown site 'fc1\.weights': .*fc1\.weight"):
        network.tap("fc1.weights")
    with network.noise({"fc1.weight": Noise.at("additive", 0.5)}, TorchSampler(0)):
        network.train()(inputs).square().sum().backward()
    assert network.get_submodule("fc1.linear").weight.grad.abs().sum() > 0
