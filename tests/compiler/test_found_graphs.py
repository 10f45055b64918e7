"""What `check` says of graphs that others wrote is what compilation does, golden and RTL too."""

import os

import numpy as np
import pytest
import torch

from flow.compiler import pipeline
from flow.compiler.graph.compatibility import check_nodes
from flow.compiler.pipeline import compile_network
from flow.errors import Defect, UserError
from flow.models import evaluate
from flow.models.qonnx.network import open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from tests.helpers import random_graphs
from tests.helpers.random_graphs import CUSTOM, Builder

MORE = int(os.environ.get("RANDOM_GRAPHS", "14"))
"""Random graphs beyond the first; RANDOM_GRAPHS=200 takes some minutes."""


def agrees(seed, folder) -> bool:
    """Return whether the table of `check` says that a random graph fits; it must be right."""
    network = open_network(random_graphs.write(seed, folder))
    fits = not any(report.problem for report in check_nodes(network.graph))
    try:
        pipeline.check(network)
    except UserError:
        compiles = False
    else:
        compiles = True
    assert fits == compiles, f"seed {seed}: the table says {fits}, compilation {compiles}"
    return fits


def test_the_table_is_right_for_random_graphs(tmp_path):
    assert sum(agrees(seed, tmp_path) for seed in range(6)) >= 3


@pytest.mark.slow
def test_the_table_is_right_for_many_random_graphs(tmp_path):
    assert sum(agrees(seed, tmp_path) for seed in range(6, 6 + MORE)) >= MORE // 2


def test_a_check_on_random_images_that_proves_nothing_asks_for_real_ones(tmp_path, monkeypatch):
    def differs(*_):
        raise Defect("site act0.act: 0.2 of the compiled graph's activations differ")

    monkeypatch.setattr(pipeline, "_compile", differs)
    network = open_network(random_graphs.write(0, tmp_path))
    with pytest.raises(UserError, match=r"random images \(site act0.act: .*as a data set"):
        pipeline.check(network)
    with pytest.raises(Defect):
        pipeline.check(network, pipeline.random_images(network, 4))


def one_score(tmp_path, bias):
    """Return a network of one score, on signals, with thresholds and a quantised end."""
    builder = Builder(np.random.default_rng(0), (1, 2, 9), exact=True)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=False, last=False)
    builder.activation("relu", 0.25, 3)
    builder.flatten()
    builder.dense(1, per_channel=False, whole=False)
    builder.bias(bias, (1,))
    builder.apply("BipolarQuant", builder.constant(1.0), domain=CUSTOM)
    path = tmp_path / f"{bias}.onnx"
    path.write_bytes(builder.model(open_batch=True).SerializeToString())
    return open_network(path)


def quantised_end(tmp_path, _):
    builder = Builder(np.random.default_rng(0), (1, 12), exact=True)
    builder.thresholds(0.25, 3)
    builder.dense(4, per_channel=True, whole=False)
    builder.bias("quantised", (4,))
    builder.stream = builder.quant(builder.stream, 0.25, 3)
    path = tmp_path / "end.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def gain_of_each_class(tmp_path, bias):
    """Return a network whose last weights have a scale for each class, and a gain after them."""
    builder = Builder(np.random.default_rng(0), (1, 12), exact=True)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(4, per_channel=True, whole=False)
    builder.apply("Mul", builder.constant([1.0, -0.5, 2.0, 0.75]))
    builder.bias(bias, (4,))
    path = tmp_path / "gains.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def ten_bits(tmp_path, _):
    """Return a depth-wise and a dense layer with operands of 9 and 10 bits."""
    builder = Builder(np.random.default_rng(0), (1, 2, 4, 4), exact=True)
    builder.stream = builder.quant("images", 2.0**-9, 10)
    kernel = builder.constant(np.random.default_rng(1).normal(size=(2, 1, 2, 2)))
    weights = builder.quant(kernel, 2.0**-8, 9, narrow=1)
    builder.apply(
        "Conv", weights, kernel_shape=[2, 2], pads=[0] * 4, group=2, strides=[1, 1],
        dilations=[1, 1],
    )  # fmt: skip
    builder.shape = (1, 2, 3, 3)
    builder.activation("relu", 2.0**-8, 10)
    builder.flatten()
    values = builder.constant(np.random.default_rng(2).normal(size=(18, 3)) * 0.3)
    builder.apply("MatMul", builder.quant(values, 2.0**-9, 10, narrow=1))
    path = tmp_path / "ten.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def channel_scales(tmp_path, _):
    """Return a network of 300 classes, with a scale for each channel before a depth-wise layer."""
    builder = Builder(np.random.default_rng(0), (1, 2, 4, 4), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=True, last=False)
    builder.apply("Relu")
    scale = np.array([0.5, 0.125, 0.25, 1.0]).reshape(1, 4, 1, 1)
    builder.stream = builder.quant(builder.stream, scale, 3, signed=0)
    builder.grouped(4, 4, [2, 2], [0] * 4, strides=[1, 1], dilations=[1, 1])
    builder.activation("signed", 0.25, 4)
    builder.flatten()
    builder.dense(300, per_channel=False, whole=False)
    path = tmp_path / "scales.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def pool_builder(activation):
    """Return a network like the first layers of ResNet-18: a pool of 3×3 pixels that overlaps."""
    builder = Builder(np.random.default_rng(0), (1, 2, 6, 6), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation(activation, 0.25, 4)
    builder.apply("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    builder.shape = (1, 4, 3, 3)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return builder


def padded_pool(tmp_path, _):
    path = tmp_path / "pool.onnx"
    path.write_bytes(pool_builder("relu").model(open_batch=False).SerializeToString())
    return open_network(path)


def unlike_steps(tmp_path, _):
    """Return a residual block whose shortcut has four times the step of what is added to it."""
    builder = Builder(np.random.default_rng(0), (1, 2, 5, 5), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("relu", 0.5, 3)
    shortcut = builder.stream
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("signed", 0.125, 4)
    builder.apply("Add", shortcut)
    builder.activation("relu", 0.25, 4)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    path = tmp_path / "sum.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def test_a_pool_that_pads_negative_values_is_told(tmp_path):
    path = tmp_path / "pool.onnx"
    path.write_bytes(pool_builder("signed").model(open_batch=False).SerializeToString())
    problems = [report.problem for report in check_nodes(open_network(path).graph)]
    assert [one for one in problems if one] == ["pads values that may be negative"]


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
        pytest.param(ten_bits, "none", "dsp", marks=pytest.mark.slow),
    ],
)
def test_golden_and_rtl_tell_the_labels_of_software(made, bias, mvu, built, tmp_path):
    network = made(tmp_path, bias)
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand((300, channels, height, width), generator=generator) * 2 - 1
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
    noise = Noise.at("additive", 2.0)
    points = [{}] + [{site: TapSettings.of(noise, 1.0, seed=5)} for site in accelerator.sites]
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    results, _ = simulate.simulate(accelerator, simulation, stream[:8], points, tmp_path / "run")
    for settings, result in zip(points, results, strict=True):
        assert not equivalence.differing_images(golden, stream[:8], settings, result).any()
