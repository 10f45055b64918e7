"""Levels of one site, the clean part once: the same labels as one evaluation a level."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flow.hardware_sampler import HardwareSampler
from flow.models import build, evaluate, evaluate_levels
from flow.models.blocks import Dense, Last
from flow.models.conv import CNV
from flow.models.network import Network
from flow.models.quant import identity, linear
from flow.noise import Noise, NoiseTap, TorchSampler

IMAGES, BATCH = 25, 10
LEVELS = {
    "additive": [Noise.at("additive", sigma) for sigma in (0.0, 0.5, 30.0)],
    "mixed": [Noise.at("mixed", sigma, order="add-mul") for sigma in (0.3, 2.0)],
}


class Residual(Network):
    """Two branches; the one with the tap is computed first."""

    def __init__(self) -> None:
        super().__init__("residual", (4, 4, 1), 10)
        self.input_quant = identity(2)
        self.input = NoiseTap(requantise=self.input_quant)
        self.first = Dense(16, 20, 2, 2)
        self.main = Dense(20, 20, 2, 2)
        self.shortcut = linear(20, 20, 2)
        self.after = NoiseTap()
        self.join = identity(4)
        self.last = Last(20, 10, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.input(self.input_quant(x.flatten(1))))
        return self.last(self.join(self.main(x) + self.after(self.shortcut(x))))


NETWORKS = {
    "tfc-w2a2": lambda: build("tfc-w2a2", (8, 8, 1), 10),
    "tfc-w1a1": lambda: build("tfc-w1a1", (8, 8, 1), 10),
    "lenet5-w4a4": lambda: build("lenet5-w4a4", (16, 16, 1), 10),
    "cnv": lambda: CNV("cnv", (16, 16, 1), 10, weight_bits=2, act_bits=2, width=4),
    "residual": Residual,
}


def made(name: str) -> tuple[Network, Tensor]:
    """A network whose batch norms have seen its images, and the images."""
    torch.manual_seed(3)
    network = NETWORKS[name]()
    height, width, channels = network.image_shape
    inputs = torch.rand(IMAGES, channels, height, width) * 2 - 1
    with torch.no_grad():
        for _ in range(10):
            network.train()(inputs)
    return network, inputs


@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("name", NETWORKS)
def test_labels_are_those_of_whole_evaluations(name, kind):
    network, inputs = made(name)
    changed = 0
    for site in network.sites:
        found = evaluate_levels(network, inputs, site, LEVELS[kind], TorchSampler(5), batch=BATCH)
        for noise, labels in zip(LEVELS[kind], found, strict=True):
            whole = evaluate(
                network, inputs, noise={site: noise}, sampler=TorchSampler(5), batch=BATCH
            )
            assert np.array_equal(labels, whole), (site, noise)
            changed += int((labels != evaluate(network, inputs, batch=BATCH)).sum())
    assert changed > IMAGES
    assert network.training and not any(network.tap(site).noise for site in network.sites)


def test_labels_with_the_hardware_s_samples(network, accelerator, inputs):
    for site in ("input", "fc1.acc", "fc1.act"):
        sampler = HardwareSampler(accelerator.sites, 8)
        found = evaluate_levels(network, inputs, site, LEVELS["additive"], sampler, batch=200)
        for noise, labels in zip(LEVELS["additive"], found, strict=True):
            whole = evaluate(network, inputs, noise={site: noise}, sampler=sampler, batch=200)
            assert np.array_equal(labels, whole), (site, noise)


def test_threads_do_not_change_labels(network, accelerator, inputs):
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for sampler in (TorchSampler(5), HardwareSampler(accelerator.sites, 8)):
            levels = LEVELS["mixed"]
            found.append(
                evaluate_levels(network, inputs, "fc1.acc", levels, sampler, batch=BATCH * 5)
            )
    assert np.array_equal(found[0], found[2]) and np.array_equal(found[1], found[3])
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("site", ["input", "first.acc", "main.acc", "after"])
def test_what_noise_cannot_reach_sees_each_image_once(site):
    """Two levels: a layer sees an image twice only where noise comes before it."""
    network, inputs = made("residual")
    seen: dict[str, int] = {}

    def count(name: str):
        def hook(module, arguments, output):
            seen[name] = seen.get(name, 0) + len(output)

        return hook

    layers: dict[str, nn.Module] = {
        "first": network.get_submodule("first.linear"),
        "shortcut": network.get_submodule("shortcut"),
        "last": network.get_submodule("last.linear"),
    }
    for name, layer in layers.items():
        layer.register_forward_hook(count(name))
    evaluate_levels(network, inputs, site, LEVELS["additive"][1:], TorchSampler(5), batch=BATCH)
    # and one image more, for the scales of Brevitas' inference mode
    assert seen == {
        "first": 1 + IMAGES * (2 if site == "input" else 1),
        "shortcut": 1 + IMAGES * (2 if site in ("input", "first.acc") else 1),
        "last": 1 + IMAGES * 2,
    }
