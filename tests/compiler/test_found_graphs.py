"""Graphs that others wrote give the labels of software in golden and RTL."""

import numpy as np
import pytest
import torch

from flow.compiler.graph.compatibility import check_nodes
from flow.compiler.pipeline import check, compile_network
from flow.models import evaluate
from flow.models.qonnx.network import open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from tests.helpers.arithmetic_networks import of_signs
from tests.helpers.coded_sites import coded_points
from tests.helpers.found_graphs import (
    average_at_end,
    average_of_sums,
    channel_scales,
    dense_block,
    enlarged,
    excited,
    fire,
    gain_of_each_class,
    join,
    one_score,
    padded_pool,
    particles,
    pool_builder,
    pre_activation,
    quantised_end,
    saved,
    shuffled,
    stem,
    sums_of_layers,
    ten_bits,
    unlike_steps,
)
from tests.helpers.random_graphs import CUSTOM, Builder


def test_a_pool_that_pads_negative_values_is_told(tmp_path):
    path = tmp_path / "pool.onnx"
    path.write_bytes(pool_builder("signed").model(open_batch=False).SerializeToString())
    problems = [report.problem for report in check_nodes(open_network(path).graph)]
    assert [one for one in problems if one] == 2 * ["pads values that may be negative"]


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_padded_average_of_sums_fits_without_a_bias(bias, tmp_path):
    """The zeros around an image have no bias, so that it does not move past the average."""
    builder = Builder(np.random.default_rng(0), (1, 2, 4, 4), exact=True)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=False, last=False)
    builder.apply("Add" if bias else "Mul", builder.constant(0.5))
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4, "count_include_pad": 1}
    builder.apply("AveragePool", **window)
    builder.activation("signed", 0.25, 4)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    path = tmp_path / "average.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    network = open_network(path)
    assert any(report.problem for report in check_nodes(network.graph)) == bool(bias)
    if not bias:
        check(network)


def test_one_bit_for_each_class_is_told(tmp_path):
    builder = Builder(np.random.default_rng(0), (1, 6), exact=True)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(4, per_channel=False, whole=False)
    builder.apply("BipolarQuant", builder.constant(1.0), domain=CUSTOM)
    path = tmp_path / "bits.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    problems = [report.problem for report in check_nodes(open_network(path).graph)]
    assert [one for one in problems if one] == [
        "compares one bit for each class, of which most are equal"
    ]


def both_signs(tmp_path, _):
    """Return a network that quantises sums and their negatives, and joins streams with themselves.

    Each pixel of a concatenation has more channels than fit between the fork and the join.
    """
    builder = stem(size=4)
    builder.convolution(8, per_channel=False, last=False)
    sums = builder.stream, builder.shape
    halves = []
    for negative in (False, True):
        builder.stream, builder.shape = sums
        if negative:
            builder.apply("Neg")
        builder.activation("relu", 0.25, 3)
        halves.append((builder.stream, builder.shape))
    both = join(builder, *halves)
    builder.stream = builder.node("Add", [builder.stream] * 2)
    join(builder, (builder.stream, builder.shape), *[both] * 2)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("relu", 1.0, 3)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "both-signs")


NUMBERS = {(one_score, "quantised"), (average_at_end, "quantised")}
"""Networks and biases that differ from others in numbers alone: their RTL is not simulated."""


@pytest.mark.parametrize(
    ("made", "bias", "mvu"),
    [
        (one_score, "float", "lut"),
        (one_score, "quantised", "lut"),
        (quantised_end, "none", "lut"),
        (gain_of_each_class, "quantised", "lut"),
        (ten_bits, "none", "lut"),
        (channel_scales, "none", "lut"),
        (padded_pool, "none", "lut"),
        (unlike_steps, "none", "lut"),
        (average_at_end, "float", "lut"),
        (fire, "none", "lut"),
        (particles, "none", "lut"),
        (pre_activation, "none", "lut"),
        (excited, "none", "lut"),
        (sums_of_layers, "none", "lut"),
        (enlarged, "none", "lut"),
        (both_signs, "none", "lut"),
        (of_signs, "none", "lut"),
        *(
            pytest.param(made, kind, "lut", marks=pytest.mark.slow)
            for made, kind in (
                (average_at_end, "quantised"),
                (average_of_sums, "none"),
                (dense_block, "none"),
                (shuffled, "none"),
            )
        ),
        pytest.param(ten_bits, "none", "dsp", marks=pytest.mark.slow),
    ],
)
def test_golden_and_rtl_tell_the_labels_of_software(made, bias, mvu, built, tmp_path):
    network = made(tmp_path, bias)
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand((300, channels, height, width), generator=generator) * 2 - 1
    # images that are dark, bright or of one channel differ in their means too
    inputs[1::2] = inputs[1::2] / 4 + inputs[1::2, :, :1, :1] * 3 / 4
    assert not any(report.problem for report in check_nodes(network.graph))
    root = built / "accelerators"
    cycles = max(128, 4 * network.classes)
    accelerator = compile_network(network, inputs[:100], cycles=cycles, mvu=mvu, root=root)
    units = [n for n in accelerator.manifest["nodes"] if n["operator"] == "MVAU_rtl"]
    assert {unit["resType"] for unit in units} == {mvu}
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    labels = evaluate(network, inputs)
    assert len(set(labels.tolist())) > 1
    assert network.classes <= 256 or labels.max() > 255
    assert not equivalence.against_brevitas(golden, stream, labels).differing
    assert not equivalence.against_finn(accelerator, golden, stream[:2]).differing
    # behind a fork, no weights take the sign of a negative gain
    falls = any(getattr(layer, "falling", None) is not None for layer in golden.layers)
    assert falls == (made in (pre_activation, both_signs))
    if (made, bias) in NUMBERS:
        return
    noise = Noise.at("additive", 2.0)
    points = coded_points({site: TapSettings.of(noise, 1.0, seed=5) for site in accelerator.sites})
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    # branches must not wait for each other, whatever comes late
    branched = (fire, dense_block, enlarged, pre_activation, excited, sums_of_layers, both_signs)
    stall = made in branched
    results, _ = simulate.simulate(
        accelerator, simulation, stream[:8], points, tmp_path / "run", stall=stall
    )
    for settings, result in zip(points, results, strict=True):
        assert not equivalence.differing_images(golden, stream[:8], settings, result).any()
