"""Convolutional networks, scaled down, whole: golden = FINN = Brevitas, and RTL = golden."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from flow import data
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.models import Network, evaluate
from flow.models.blocks import Conv, Dense, Last
from flow.models.quantised import CNV, LeNet5
from flow.models.quantisers import input_identity
from flow.models.residual import ResNet8
from flow.noise import Noise, NoiseTap
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate

SHAPE = (16, 16, 1)


class Short(Network):
    """A convolution with pooling and two dense layers, of two bits."""

    def __init__(self) -> None:
        super().__init__("short", (8, 8, 1), 4)
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.conv = Conv(1, 4, kernel=3, pool=2, weight_bits=2, act_bits=2)
        self.fc0 = Dense(36, 8, weight_bits=2, act_bits=2)
        self.fc1 = Last(8, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc1(self.fc0(self.conv(self.input(self.input_quant(x))).flatten(1)))


NETWORKS = {
    "cnv-w2a2": (lambda name: CNV(name, SHAPE, 10, weight_bits=2, act_bits=2, width=4)),
    "cnv-w1a2": (lambda name: CNV(name, SHAPE, 10, weight_bits=1, act_bits=2, width=4)),
    "cnv-w1a1": (lambda name: CNV(name, SHAPE, 10, weight_bits=1, act_bits=1, width=4)),
    "lenet5-w4a4": (lambda name: LeNet5(name, SHAPE, 10, weight_bits=4, act_bits=4)),
    "resnet8-w4a4": (lambda name: ResNet8(name, SHAPE, 10, weight_bits=4, act_bits=4, width=4)),
}
SLOWEST = 10_000
"""Cycles per image: another folding than the default, with width converters."""


@dataclass(frozen=True)
class Case:
    network: Network
    accelerator: Accelerator
    inputs: Tensor


def settled(network: Network, shape: tuple[int, int, int]) -> Tensor:
    """Show a network images, so that its batch norms have statistics, and return them."""
    images = np.random.default_rng(5).integers(0, 256, (64, *shape), dtype=np.uint8)
    inputs = data.to_input(images, network.image_shape)
    with torch.no_grad():
        for _ in range(20):
            network.train()(inputs)
    network.eval()
    return inputs


@pytest.fixture(scope="module", params=NETWORKS)
def case(request, built) -> Case:
    """A network that has only seen its batch norms' statistics, with a tap at every site."""
    torch.manual_seed(7)
    network = NETWORKS[request.param](request.param)
    inputs = settled(network, SHAPE)
    accelerator = compile_network(
        network, inputs[:8], sites=network.sites, cycles=SLOWEST, root=built / "accelerators"
    )
    return Case(network, accelerator, inputs)


def noise_at(*sites: str) -> dict[str, TapSettings]:
    """Both kinds of noise, of the size of an LSB."""
    return {site: TapSettings.of(Noise.at("mixed", 2.0), 1.0, seed=9) for site in sites}


def test_golden_equals_finn_on_every_tensor(case):
    golden = case.accelerator.golden_model()
    stream = case.accelerator.quantise(case.inputs[:2])
    found = equivalence.against_finn(case.accelerator, golden, stream)
    assert found.tensors == len(golden.layers) >= 20
    assert found.differing == []


def test_labels_equal_brevitas(case):
    stream = case.accelerator.quantise(case.inputs)
    labels = evaluate(case.network, case.inputs)
    found = equivalence.against_brevitas(case.accelerator.golden_model(), stream, labels)
    # float32 sums may part at a tie, whose margin is then nothing
    assert all(one["margin"] == 0 for one in found.differing)


def test_batches_do_not_change_golden(case, monkeypatch):
    golden = case.accelerator.golden_model()
    stream = case.accelerator.quantise(case.inputs[:5])
    noise = noise_at(*case.network.sites[2:4])
    whole = golden.run(stream, noise)
    monkeypatch.setattr("flow.golden.model.BATCH", 2)
    assert torch.equal(golden.run(stream, noise), whole)


def test_weights_take_the_bits_they_need(case):
    manifest = case.accelerator.manifest
    units = [node for node in manifest["nodes"] if node["operator"] == "MVAU_rtl"]
    assert {unit["resType"] for unit in units} == {"lut"}
    bits = int(case.network.name.split("-w")[1][0])
    for unit in units:
        memory = case.accelerator.folder / simulate.DATA / f"{unit['name']}_memblock.dat"
        word = memory.read_text().split()[0]
        assert len(word) == -(-unit["PE"] * unit["SIMD"] * bits // 4)


def test_lut_and_dsp_units_give_the_same_streams(built, tmp_path):
    """Labels, scores and the digest at every site, clean and with noise at all of them.

    Of a short network: FINN's unit takes long to compile.
    """
    torch.manual_seed(7)
    network = Short()
    inputs = settled(network, (8, 8, 1))
    points = [{}, noise_at(*network.sites)]
    accelerators = {
        mvu: compile_network(
            network,
            inputs[:8],
            sites=network.sites,
            cycles=200,
            mvu=mvu,
            root=built / "accelerators",
        )
        for mvu in ("lut", "dsp")
    }
    streams = [accelerator.quantise(inputs[:2]) for accelerator in accelerators.values()]
    assert torch.equal(*streams)
    results = []
    for mvu, accelerator in accelerators.items():
        units = [n for n in accelerator.manifest["nodes"] if n["operator"] == "MVAU_rtl"]
        assert [unit["resType"] for unit in units] == [mvu] * 3
        assert max(unit["PE"] * unit["SIMD"] for unit in units) > 3
        assert list(accelerator.sites) == network.sites
        simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
        workdir = tmp_path / accelerator.folder.name
        results += simulate.simulate(accelerator, simulation, streams[0], points, workdir)[:1]
    for lut, dsp in zip(*results, strict=True):
        assert (lut.labels == dsp.labels).all() and (lut.scores == dsp.scores).all()
        for site in network.sites:
            assert (lut.digests[site] == dsp.digests[site]).all(), site


def test_rtl_equals_golden_clean_and_noisy_at_every_site(case, built, tmp_path):
    accelerator, golden = case.accelerator, case.accelerator.golden_model()
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    stream = accelerator.quantise(case.inputs[:2])
    sites = list(accelerator.sites)
    assert sites == case.network.sites
    points = [{}, *(noise_at(site) for site in sites), noise_at(*sites)]
    for stall in (False, True):
        some = points if not stall else points[-1:]
        results, _ = simulate.simulate(accelerator, simulation, stream, some, tmp_path, stall=stall)
        for noise, result in zip(some, results, strict=True):
            divergence = equivalence.first_divergence(golden, stream, noise, result)
            assert not equivalence.differing_images(golden, stream, noise, result).any(), divergence
            for site in noise:
                assert (result.digests[site] != results[0].digests[site]).any() or stall, site
