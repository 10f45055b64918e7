"""Levels of one site, the clean part once: the same labels as one evaluation a level."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flow.models import build, evaluate, evaluate_levels, evaluation
from flow.models.blocks import Dense, Last
from flow.models.network import Network, channels_last
from flow.models.quantisers import identity, linear
from flow.noise import Noise, NoiseTap, TorchSampler
from flow.noise.hardware.sampler import HardwareSampler
from flow.noise.samplers import CachedSampler
from tests.helpers.convolutional_networks import Short

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
    "short": lambda: Short("short", 2, weight_bits=2, act_bits=2),
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


def whole(network: Network, inputs: Tensor, noise: dict[str, Noise]) -> np.ndarray:
    """Return the labels of plain passes, without Brevitas' inference mode."""
    sampler, labels = TorchSampler(5), []
    network.eval()
    with torch.inference_mode(), network.noise(noise, sampler):
        for first in range(0, len(inputs), BATCH):
            sampler.start_batch(first)
            images = channels_last(inputs[first : first + BATCH])
            labels.append(network(images).argmax(1).numpy())
    network.train()
    return np.concatenate(labels)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LEVELS)
@pytest.mark.parametrize("name", NETWORKS)
def test_labels_are_those_of_whole_evaluations(name, kind):
    network, inputs = made(name)
    clean, changed = whole(network, inputs, {}), 0
    assert np.array_equal(clean, evaluate(network, inputs, batch=BATCH))
    for site in network.sites:
        found = evaluate_levels(network, inputs, site, LEVELS[kind], TorchSampler(5), batch=BATCH)
        for noise, labels in zip(LEVELS[kind], found, strict=True):
            assert np.array_equal(labels, whole(network, inputs, {site: noise})), (site, noise)
            changed += int((labels != clean).sum())
    assert changed > IMAGES
    assert network.training and not any(network.tap(site).noise for site in network.sites)


def test_labels_with_the_hardware_s_samples(network, accelerator, inputs):
    levels = [
        *LEVELS["additive"],
        Noise.at("additive", 30.0, executions=2),
        Noise.at("fixed-pattern", 3.0),
    ]
    for site in ("input", "fc1.acc", "fc1.act"):
        sampler = HardwareSampler(accelerator.sites, 8)
        found = evaluate_levels(network, inputs, site, levels, sampler, batch=200)
        for noise, labels in zip(levels, found, strict=True):
            whole = evaluate(network, inputs, noise={site: noise}, sampler=sampler, batch=200)
            assert np.array_equal(labels, whole), (site, noise)


def test_a_device_has_one_pattern_of_the_hardware_s_generator(accelerator):
    sites = accelerator.sites
    z = torch.stack([HardwareSampler(sites, 8).pattern("fc1.acc", d, 64, None) for d in (0, 1)])
    later = HardwareSampler(sites, 8)
    later.start_batch(1000)
    assert torch.equal(later.pattern("fc1.acc", 0, 64, None), z[0])
    assert torch.equal(HardwareSampler(sites, 1).pattern("fc1.acc", 0, 64, 8), z[0])
    assert not torch.equal(later.pattern("fc1.acc", 0, 64, 1), z[0])
    assert not torch.equal(later("fc1.acc", 0, (1, 64))[0], z[0])
    assert abs(torch.corrcoef(z.double())[0, 1]) < 5 / 8 and 0.5 < z.std() < 1.5


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


@pytest.mark.parametrize("name", ["tfc-w2a2", "residual"])
def test_labels_of_other_kinds_and_of_executions_are_those_of_whole_evaluations(name):
    network, inputs = made(name)
    executed = Noise.at("additive", 30.0, executions=3)
    levels = [
        executed,
        Noise.at("fixed-pattern", 3.0),
        Noise.at("drift", 3.0, gain_rate=-1.0, sigma_rate=50.0),
        executed,
    ]
    site = network.accumulator_sites[1]
    found = evaluate_levels(network, inputs, site, levels, TorchSampler(5), batch=BATCH)
    for noise, labels in zip(levels, found, strict=True):
        whole = evaluate(network, inputs, noise={site: noise}, sampler=TorchSampler(5), batch=BATCH)
        assert np.array_equal(labels, whole), noise
    assert len({labels.tobytes() for labels in found}) == 3


def test_samples_of_many_executions_are_not_kept():
    """Memory does not grow with them, and they are the same at each level."""

    class Counting(TorchSampler):
        def __call__(self, site, draw, shape):
            calls.append(draw)
            return super().__call__(site, draw, shape)

    once, calls = CachedSampler(Counting(5)), []
    once.start_batch(20)
    first = [once("a", draw, (3, 4)) for draw in range(10)]
    again = [once("a", draw, (3, 4)) for draw in range(10)]
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert calls == [*range(10), *range(2, 10)]
    assert len(once._samples) == 2
    plain = TorchSampler(5)
    plain.start_batch(20)
    assert all(torch.equal(x, plain("a", draw, (3, 4))) for draw, x in enumerate(first))


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


@pytest.mark.parametrize("side", [7, 12])
def test_pooling_by_pairs_gives_the_same_bits(side):
    images = torch.randn(3, 5, side, side).contiguous(memory_format=torch.channels_last)
    images[0, 0, 0] = float("nan")
    network = nn.Sequential(nn.MaxPool2d(2), nn.Sequential(nn.MaxPool2d(2, stride=1)))
    pooled = network(images)
    evaluation._pool_by_pairs(network)
    assert isinstance(network[0], evaluation._Pairs) and isinstance(network[1][0], nn.MaxPool2d)
    assert torch.equal(torch.nan_to_num(network(images)), torch.nan_to_num(pooled))
    assert torch.equal(network(images).isnan(), pooled.isnan())
