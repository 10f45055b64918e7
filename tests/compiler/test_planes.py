"""Bit-serial inputs: the networks without them if there is no noise; RTL = golden = software."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.golden.model import Record
from flow.golden.tiles import TileProducts
from flow.models import Network, evaluate
from flow.models.planes import Array
from flow.models.tiles import tile
from flow.noise import Additive, Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.rtl import equivalence, simulate
from tests.compiler.test_depth_wise import separable
from tests.helpers.convolutional_networks import Short, settled

FOLDINGS = ({"cycles": 2000}, {"cycles": 60})


def short(folder: Path) -> tuple[Network, Tensor]:
    """Return a network of signed inputs: an image of eight bits, and activations of three."""
    torch.manual_seed(7)
    network = Short("short-w2a3", 2, weight_bits=2, act_bits=3)
    return network, settled(network, (8, 8, 1))


def depth_wise(folder: Path) -> tuple[Network, Tensor]:
    """Return a network of depth-wise layers on signed, unsigned and bipolar inputs."""
    network = separable(folder)
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(1)
    return network, torch.rand((64, channels, height, width), generator=generator) * 2 - 1


CASES = {
    "tiles": (
        short,
        Array(14, 2),
        {"conv0": (4, 1), "conv1": (2, 3), "fc0": (2, 2), "fc1": (2, 1)},
        FOLDINGS,
    ),
    "whole layers": (depth_wise, Array(input_bits=2), {}, FOLDINGS[1:]),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, built, tmp_path_factory):
    """A network without and with planes, compiled at its foldings, and its images."""
    made, array, parts, foldings = CASES[request.param]
    plain, inputs = made(tmp_path_factory.mktemp("planes"))
    network = tile(plain, array)
    accelerators = [
        compile_network(network, inputs[:32], root=built / "accelerators", **folding)
        for folding in foldings
    ]
    return plain, network, accelerators, inputs, parts


def noise_at(accelerator: Accelerator, *sites: str) -> dict[str, TapSettings]:
    return {site: TapSettings.of(Noise.at("mixed", 2.0), 1.0, seed=9) for site in sites}


@pytest.mark.slow
def test_without_noise_it_is_finn_s_and_the_network_without_planes(case, built):
    plain, network, accelerators, inputs, parts = case
    accelerator = accelerators[0]
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    products = [layer for layer in golden.layers if isinstance(layer, TileProducts)]
    assert any(layer.planes.count > 1 for layer in products)
    for layer, (planes, tiles) in parts.items():
        (one,) = [p for p in products if p.output == golden.taps[f"{layer}.tile"].inputs[0]]
        assert (one.planes.count, len(one.lengths)) == (planes, tiles)
    assert not equivalence.against_finn(accelerator, golden, stream[:2]).differing
    untiled = compile_network(
        plain, inputs[:32], root=built / "accelerators", **FOLDINGS[0]
    ).golden_model()
    whole = Record([untiled.scores])
    labels = untiled.run(stream, record=whole)
    # with every plane's sums computed, not left out
    every = Record([golden.scores], list(golden.taps))
    assert torch.equal(golden.run(stream, record=every), labels)
    assert torch.equal(every.streams[golden.scores], whole.streams[untiled.scores])
    assert (evaluate(network, inputs) == evaluate(plain, inputs)).all()


@pytest.mark.slow
def test_software_has_the_same_noise_on_each_plane(case):
    plain, network, accelerators, inputs, _ = case
    accelerator = accelerators[0]
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    changed = 0
    for site in (site for site in accelerator.sites if site.endswith(".tile")):
        tap = accelerator.sites[site]
        sampler = HardwareSampler(accelerator.sites, 77)
        for noise in (Noise.at("additive", tap.std), Additive(1.0, adc=tap.adc(3, tap.range))):
            labels = evaluate(network, inputs, noise={site: noise}, sampler=sampler)
            settings = TapSettings.of(noise, tap.scale, seed=77)
            found = golden.run(stream, {site: settings}).numpy().ravel()
            assert (found == labels).mean() >= 0.9, (site, noise)
            changed += int((found != evaluate(plain, inputs)).sum())
    assert changed > 10


@pytest.mark.slow
def test_rtl_is_golden_at_every_folding_and_noise_does_not_depend_on_it(case, built, tmp_path):
    _, _, accelerators, inputs, _ = case
    streams = []
    for number, accelerator in enumerate(accelerators):
        stream, golden = accelerator.quantise(inputs)[:3], accelerator.golden_model()
        sites = [site for site in accelerator.sites if site.endswith(".tile")]
        points = [{}, *(noise_at(accelerator, site) for site in sites)]
        points.append(noise_at(accelerator, *accelerator.sites))
        taps = {site: accelerator.sites[site] for site in sites}
        read = {site: Additive(1.0, adc=tap.adc(4, tap.range)) for site, tap in taps.items()}
        points.append(
            {site: TapSettings.of(noise, taps[site].scale, seed=9) for site, noise in read.items()}
        )
        simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
        results, _ = simulate.simulate(
            accelerator, simulation, stream, points, tmp_path / str(number), stall=number == 0
        )
        for noise, result in zip(points, results, strict=True):
            assert not equivalence.differing_images(golden, stream, noise, result).any(), noise
        whole = accelerator.quantise(inputs)
        streams.append([golden.run(whole, noise).numpy() for noise in points])
    pe = {str([node.get("PE") for node in one.manifest["nodes"]]) for one in accelerators}
    assert len(pe) == len(accelerators)
    for found in zip(*streams, strict=True):
        assert all(np.array_equal(one, found[0]) for one in found)
