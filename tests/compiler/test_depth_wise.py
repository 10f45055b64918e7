"""Depth-wise convolutions of many shapes: golden = FINN, RTL = golden; and other groups."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames

from flow.compiler import pipeline
from flow.compiler.accelerator import FPGA_PART
from flow.compiler.finn import working_in
from flow.compiler.folding.fold import FoldChain
from flow.compiler.folding.matrix_units import ChooseUnits
from flow.compiler.graph.compatibility import check_nodes
from flow.compiler.pipeline import compile_network
from flow.errors import UserError
from flow.golden.model import GoldenModel
from flow.golden.units import is_unit
from flow.models import evaluate
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from tests.helpers.coded_sites import coded_points
from tests.helpers.random_graphs import Builder

FOLDINGS = {
    "all places": {"cycles": 75},
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
    build.activation("relu", 0.25, 3)
    build.grouped(4, 4, [1, 2], [0, 0, 0, 0], strides=[1, 1], dilations=[1, 2])
    build.activation("thresholds", 0.25, 3)
    build.grouped(4, 4, [1, 1], [0, 0, 0, 0], **plain)
    build.activation("bipolar", 0.25, 1)
    build.grouped(8, 4, [2, 2], [0, 0, 0, 0], **plain)
    build.activation("signed", 0.0625, 4)
    build.grouped(8, 4, [2, 1], [0, 0, 0, 0], **plain)
    build.activation("signed", 0.0625, 4)
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
        "all places": [(4, 9), (4, 20), (4, 1), (2, 1)],
        "some places": [(2, 3), (4, 20), (found[2][0], 2), found[3]],
    }
    assert found == expected[folding]
    labels = evaluate(network, images)
    assert len(set(labels.tolist())) > 1
    assert not equivalence.against_brevitas(golden, stream, labels).differing
    assert not equivalence.against_finn(accelerator, golden, stream[:1]).differing
    noise = TapSettings.of(Noise.at("additive", 2.0), 1.0, seed=5)
    points = coded_points(dict.fromkeys(accelerator.sites, noise))
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    for stall in (False, True):
        results, _ = simulate.simulate(
            accelerator, simulation, stream[:3], points, tmp_path, stall=stall
        )
        for settings, result in zip(points, results, strict=True):
            differing = equivalence.differing_images(golden, stream[:3], settings, result)
            assert not differing.any(), settings


@pytest.fixture(scope="module")
def layers(network, tmp_path_factory):
    """Return the graph of hardware layers for each choice of matrix-vector unit."""
    found = {}
    for mvu in ("lut", "dsp"):
        folder = tmp_path_factory.mktemp(mvu)
        with working_in(folder / "finn"):
            found[mvu], _ = pipeline._to_hardware_layers(copy.deepcopy(network), folder, mvu)
    return found


@pytest.mark.slow
def test_groups_of_one_channel_with_one_output_have_the_unit_and_others_are_whole(network, layers):
    lut, dsp = (
        [size for node in layers[mvu].graph.node if (size := weights_of(layers[mvu], node))]
        for mvu in ("lut", "dsp")
    )
    own, whole = [(4, 1, 3, 3), (4, 1, 5, 4), (4, 1, 1, 2), (4, 1, 1, 1)], [(16, 8), (16, 8)]
    assert lut[:-1] == [*own, *whole]
    assert dsp[:-1] == [(36, 4), (80, 4), (8, 4), (4, 4), *whole]
    notes = [r.note for r in check_nodes(network.graph) if r.step.node.op_type == "Conv"]
    assert notes == ["", "", "", ""] + 2 * [
        "4 groups: computed as a whole convolution, 4× the work"
    ]


def weights_of(model, node) -> tuple[int, ...]:
    """Return the shape of a unit's weights, and nothing for other nodes."""
    return model.get_initializer(node.input[1]).shape if is_unit(node) else ()


@pytest.mark.slow
def test_weights_stay_compact_on_their_way_to_the_unit(tmp_path, monkeypatch):
    """Its images are averaged and not quantised again, so a factor must move past it."""
    build = Builder(np.random.default_rng(4), (1, 16, 12, 10), exact=True)
    build.stream = build.quant("images", 0.125, 4)
    build.apply("AveragePool", kernel_shape=[2, 2], pads=[0] * 4, strides=[2, 2])
    build.shape = (1, 16, 6, 5)
    plain = {"strides": [1, 1], "dilations": [1, 1]}
    build.grouped(16, 16, [5, 5], [2, 2, 2, 2], **plain)
    build.activation("signed", 0.25, 4)
    build.flatten()
    build.dense(4, per_channel=False, whole=False)
    path = tmp_path / "averaged.onnx"
    path.write_bytes(build.model(open_batch=True).SerializeToString())
    network, sizes = open_network(path), []
    write = ModelWrapper.set_initializer

    def spy(self, name, values, *options):
        sizes.append(np.size(values))
        write(self, name, values, *options)

    monkeypatch.setattr(ModelWrapper, "set_initializer", spy)
    with working_in(tmp_path / "finn"):
        model, quantiser = pipeline._to_hardware_layers(copy.deepcopy(network), tmp_path)
    dense = 16 * 6 * 5 * 4
    assert max(sizes) == dense < 16 * 16 * 5 * 5
    assert [n.op_type for n in model.graph.node if n.op_type in ("Pool", "VVAU")] == [
        "Pool",
        "VVAU",
    ]
    images = pipeline.random_images(network, 32)
    labels = GoldenModel.of(model).run(torch.from_numpy(quantiser(images.numpy())))
    assert labels.tolist() == evaluate(network, images).tolist()
    assert len(set(labels.tolist())) > 1


REFUSED = {
    "places": (
        {"SIMD": 2},
        "SIMD is 2, which does not divide its 9 places of a window: ",
    ),
    "channels": ({"PE": 3}, "PE is 3, which does not divide its 4 channels: give one of 1, 2, 4"),
    "slices": ({"resType": "dsp"}, "resType is dsp, but the unit of a depth-wise .* MVU=dsp"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "message"), REFUSED.values(), ids=REFUSED)
def test_a_folding_that_does_not_fit_is_refused(entry, message, layers):
    nodes = {"VVAU_rtl_0": entry}
    with pytest.raises(UserError, match=f"node VVAU_rtl_0: {message}"):
        folded(layers["lut"], nodes)


@pytest.mark.slow
def test_windows_follow_the_unit(layers):
    model = folded(layers["lut"], {"VVAU_rtl_0": {"PE": 2, "SIMD": 9}, "VVAU_rtl_1": {"SIMD": 4}})
    windows = [getCustomOp(n) for n in model.graph.node if "InputGenerator" in n.op_type][:2]
    assert [w.get_nodeattr("parallel_window") for w in windows] == [1, 0]
    assert [w.get_nodeattr("SIMD") for w in windows] == [
        getCustomOp(n).get_nodeattr("PE") for n in model.get_nodes_by_op_type("VVAU_rtl")[:2]
    ]
    apart = {"VVAU_rtl_0": {"PE": 2}, "ConvolutionInputGenerator_rtl_0": {"SIMD": 4}}
    with pytest.raises(UserError, match=r"SIMD is 4, but VVAU_rtl_0, .* has PE 2: give both"):
        folded(layers["lut"], apart)


@pytest.mark.slow
def test_wide_operands_are_refused(layers):
    model = copy.deepcopy(layers["lut"])
    first = getCustomOp(model.get_nodes_by_op_type("VVAU")[0])
    first.set_nodeattr("inputDataType", "INT17")
    with pytest.raises(UserError, match=r"VVAU_rtl_0: .* have 17 and . bits, .* takes up to 16"):
        folded(model, {})


@pytest.mark.slow
def test_generators_keep_up_with_the_unit(layers):
    """The first one takes a padded image of 10 × 11 pixels and 4 channels."""
    model = folded(layers["lut"], {}, cycles=300)
    unit = getCustomOp(model.get_nodes_by_op_type("VVAU_rtl")[0])
    windows = getCustomOp(model.find_producer(unit.onnx_node.input[0]))
    assert windows.get_exp_cycles() <= 300 and unit.get_exp_cycles() <= 300
    assert [unit.get_nodeattr(name) for name in ("PE", "SIMD")] == [2, 9]


def folded(model, nodes, cycles=1000):
    """Return a graph folded for so many cycles, and by a user's file, as generation does it."""
    # FINN reads its settings when it is imported
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    for node in model.graph.node:
        getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    for step in (
        ChooseUnits("lut", nodes),
        SpecializeLayers(FPGA_PART),
        GiveUniqueNodeNames(),
        FoldChain(cycles, nodes),
    ):
        model = model.transform(step)
    return model
