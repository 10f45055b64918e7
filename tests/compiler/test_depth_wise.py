"""Depth-wise convolutions of many shapes: golden = FINN, RTL = golden, and what is no such layer."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flow.compiler.graph.compatibility import check_nodes
from flow.compiler.pipeline import compile_network
from flow.errors import UserError
from flow.models import evaluate
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from tests.helpers.random_graphs import Builder

FOLDINGS = {
    "a place at a time": {"cycles": 4000},
    "all places": {"cycles": 150},
    "some places": {
        "nodes": {
            "VVAU_rtl_0": {"PE": 2, "SIMD": 3},
            "VVAU_rtl_1": {"PE": 4, "SIMD": 20},
            "VVAU_rtl_2": {"SIMD": 2},
        }
    },
}
"""By what a unit takes in a clock."""


def separable(folder: Path) -> ImportedNetwork:
    """Return a network of unlike kernels, strides, pads and types of activations.

    Behind four depth-wise layers come two of groups, whose work is that of whole convolutions: each
    channel has two outputs, and then groups have two channels.
    """
    build = Builder(np.random.default_rng(4), (1, 4, 9, 8), exact=True)
    plain = {"strides": [1, 1], "dilations": [1, 1]}
    build.stream = build.quant("images", 0.125, 4)
    build.grouped(4, 4, [3, 3], [1, 1, 1, 1], **plain)
    build.norm(negative=True)
    build.activation("signed", 0.25, 8)
    build.grouped(4, 4, [5, 4], [2, 1, 2, 2], strides=[2, 1], dilations=[1, 1])
    build.activation("thresholds", 0.25, 3)
    build.grouped(4, 4, [1, 2], [0, 0, 0, 0], strides=[1, 1], dilations=[1, 2])
    build.activation("relu", 0.25, 2)
    build.grouped(4, 4, [1, 1], [0, 0, 0, 0], **plain)
    build.activation("bipolar", 0.25, 1)
    build.grouped(8, 4, [2, 2], [0, 0, 0, 0], **plain)
    build.activation("relu", 0.25, 4)
    build.grouped(8, 4, [2, 1], [0, 0, 0, 0], **plain)
    build.activation("relu", 0.25, 4)
    build.flatten()
    build.dense(4, per_channel=False, whole=False)
    path = folder / "separable.onnx"
    path.write_bytes(build.model(open_batch=True).SerializeToString())
    return open_network(path)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> ImportedNetwork:
    return separable(tmp_path_factory.mktemp("separable"))


@pytest.fixture(scope="module")
def images(network) -> torch.Tensor:
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(1)
    return torch.rand((100, channels, height, width), generator=generator) * 2 - 1


def units(accelerator) -> list[dict]:
    return [n for n in accelerator.manifest["nodes"] if n["operator"] == "VVAU_rtl"]


@pytest.mark.slow
@pytest.mark.parametrize("folding", FOLDINGS)
def test_rtl_is_golden_is_finn_at_every_folding(folding, network, images, built, tmp_path):
    options = dict(FOLDINGS[folding])
    accelerator = compile_network(network, images, root=built / "accelerators", **options)
    golden, stream = accelerator.golden_model(), accelerator.quantise(images)
    found = [(unit["PE"], unit["SIMD"]) for unit in units(accelerator)]
    expected = {
        "a place at a time": [(1, 1)] * 4,
        "all places": [(4, 9), (4, 20), (4, 2), (2, 1)],
        "some places": [(2, 3), (4, 20), (found[2][0], 2), found[3]],
    }
    assert found == expected[folding]
    labels = evaluate(network, images)
    assert len(set(labels.tolist())) > 1
    assert not equivalence.against_brevitas(golden, stream, labels).differing
    assert not equivalence.against_finn(accelerator, golden, stream[:1]).differing
    points = [
        {site: TapSettings.of(Noise.at("additive", 2.0), 1.0, seed=5)} for site in accelerator.sites
    ]
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    for stall in (False, True):
        results, _ = simulate.simulate(
            accelerator, simulation, stream[:3], [{}, *points], tmp_path, stall=stall
        )
        for noise, result in zip([{}, *points], results, strict=True):
            assert not equivalence.differing_images(golden, stream[:3], noise, result).any(), noise
