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

MORE = int(os.environ.get("RANDOM_GRAPHS", "8"))
"""Random graphs beyond the first; RANDOM_GRAPHS=200 takes some minutes."""


def agrees(seed, folder, *, branched=False) -> bool:
    """Return whether the table of `check` says that a random graph fits; it must be right."""
    network = open_network(random_graphs.write(seed, folder, branched=branched))
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


def test_the_table_is_right_for_random_branches(tmp_path):
    assert sum(agrees(seed, tmp_path, branched=True) for seed in range(4)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("branched", [False, True])
def test_the_table_is_right_for_many_random_graphs(branched, tmp_path):
    seeds = range(6, 6 + MORE)
    assert sum(agrees(seed, tmp_path, branched=branched) for seed in seeds) >= MORE // 6


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
    # the last windows reach beyond the image
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4, ceil_mode=1)
    builder.shape = (1, 4, 2, 2)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return builder


def padded_pool(tmp_path, _):
    path = tmp_path / "pool.onnx"
    path.write_bytes(pool_builder("relu").model(open_batch=False).SerializeToString())
    return open_network(path)


def unlike_steps(tmp_path, _):
    """Return residual blocks that add four times the step of the shortcut, and an unlike one."""
    builder = Builder(np.random.default_rng(0), (1, 2, 5, 5), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("relu", 0.5, 3)
    # both branches read a pooling
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[1, 1], pads=[0] * 4)
    builder.shape = (1, 4, 4, 4)
    shortcut = builder.stream
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("signed", 0.125, 4)
    builder.apply("Add", shortcut)
    summed = builder.stream
    builder.activation("relu", 0.25, 4)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("signed", 0.171, 4)
    builder.apply("Add", summed)
    builder.activation("relu", 0.25, 4)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    path = tmp_path / "sum.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def stem(seed=0, size=6, channels=4):
    """Return a builder behind a first convolution, whose values are quantised in steps of 1/4."""
    builder = Builder(np.random.default_rng(seed), (1, 2, size, size), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(channels, per_channel=False, last=False)
    builder.activation("relu", 0.25, 3)
    return builder


def saved(builder, tmp_path, name):
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def branch(builder, source, outputs, kernel, activation, scale):
    """Append a convolution of a stream of the same size, and its quantiser; return its stream."""
    builder.stream, builder.shape = source
    size = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4}
    weights = builder.weights((outputs, source[1][1], kernel, kernel), None, whole=False)
    builder.apply("Conv", weights, strides=[1, 1], dilations=[1, 1], group=1, **size)
    builder.shape = (1, outputs, *builder.shape[2:])
    if activation:
        builder.activation(activation, scale, 3)
    return builder.stream, builder.shape


def join(builder, *branches):
    """Concatenate streams along their channels."""
    builder.stream = builder.node("Concat", [stream for stream, _ in branches], axis=1)
    shape = branches[0][1]
    builder.shape = (1, sum(one[1] for _, one in branches), *shape[2:])
    return builder.stream, builder.shape


def average(builder, kind):
    """End with the mean of each channel, as exporters write it."""
    _, channels, height, width = builder.shape
    if kind == "none":
        builder.apply("GlobalAveragePool")
        builder.flatten()
    elif kind == "quantised":
        builder.apply("Reshape", builder.constant([1, channels, height * width], np.int64))
        builder.apply("ReduceMean", axes=[2], keepdims=0)
    else:
        builder.apply("ReduceSum", builder.constant([2, 3], np.int64), keepdims=0)
    builder.shape = (1, channels)


def average_at_end(tmp_path, kind):
    """Return a network whose scores are the mean or the sum of a map, with a gain a channel."""
    builder = stem()
    branch(builder, (builder.stream, builder.shape), 5, 1, "", 0)
    builder.bias(kind, (5, 1, 1))
    builder.apply("Mul", builder.constant(np.array([1, -0.5, 1.5, 0.75, 1]).reshape(5, 1, 1)))
    average(builder, kind)
    builder.apply("Softmax", axis=1)
    return saved(builder, tmp_path, f"average-{kind}")


def average_of_sums(tmp_path, _):
    """Return a network that averages windows of a layer's sums, and quantises the averages."""
    builder = stem()
    branch(builder, (builder.stream, builder.shape), 4, 3, "", 0)
    builder.apply("AveragePool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    builder.shape = (1, 4, 3, 3)
    builder.activation("signed", 0.25, 4)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "averages")


def fire(tmp_path, _):
    """Return branches of unlike lengths, types and steps, one a pooling, that are concatenated."""
    builder = stem()
    trunk = builder.stream, builder.shape
    small = branch(builder, trunk, 2, 1, "relu", 0.25)
    wide = branch(builder, branch(builder, trunk, 2, 1, "relu", 0.25), 4, 3, "signed", 0.125)
    builder.stream, builder.shape = trunk
    builder.apply("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
    pooled = builder.stream, builder.shape
    branch(builder, join(builder, wide, small, pooled), 5, 1, "", 0)
    average(builder, "none")
    return saved(builder, tmp_path, "fire")


def dense_block(tmp_path, _):
    """Return layers that read all layers before them; of these some are quantised behind only."""
    builder = stem()
    every = [(builder.stream, builder.shape)]
    for _ in range(2):
        every.append(branch(builder, join(builder, *every), 2, 3, "relu", 0.25))
    join(builder, *every)
    before = branch(builder, (builder.stream, builder.shape), 4, 3, "", 0)
    join(builder, before, branch(builder, every[0], 2, 1, "", 0))
    builder.norm(negative=True)
    builder.activation("relu", 0.5, 3)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "dense-block")


def pre_activation(tmp_path, _):
    """Return two residual blocks whose sums are carried on, and normalised for the layers alone."""
    builder = Builder(np.random.default_rng(0), (1, 2, 5, 5), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    # the sums of the first layer are read twice, and quantised unlike
    first = builder.stream, builder.shape
    builder.activation("signed", 0.25, 4)
    carried = builder.stream
    builder.stream = first[0]
    for _ in range(2):
        builder.norm(negative=True)
        builder.activation("relu", 0.5, 3)
        added, _ = branch(builder, (builder.stream, builder.shape), 4, 3, "signed", 0.25)
        carried = builder.stream = builder.node("Add", [carried, added])
    builder.activation("relu", 0.5, 3)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "pre-activation")


def particles(tmp_path, _):
    """Return a network that treats vectors alike, and averages them for the next layer as is."""
    builder = Builder(np.random.default_rng(0), (1, 6, 3), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.apply("MatMul", builder.weights((3, 4), None, whole=False))
    builder.shape = (1, 6, 4)
    builder.bias("quantised", (4,))
    builder.apply("Relu")
    builder.stream = builder.quant(builder.stream, 0.125, 8, signed=0)
    builder.apply("ReduceMean", axes=[1], keepdims=0)
    builder.shape = (1, 4)
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "particles")


def shuffled(tmp_path, _):
    """Return a channel shuffle behind groups, a depth-wise layer, and halves of the channels."""
    builder = stem()
    more = {"strides": [1, 1], "dilations": [1, 1]}
    builder.grouped(4, 2, [1, 1], [0] * 4, **more)
    builder.activation("thresholds", 0.25, 3)
    for shape in ([1, 2, 2, 6, 6], [1, 4, 6, 6]):
        builder.apply("Reshape", builder.constant(shape, np.int64))
        if len(shape) == 5:
            builder.apply("Transpose", perm=[0, 2, 1, 3, 4])
    builder.grouped(4, 4, [3, 3], [1] * 4, **more)
    builder.activation("signed", 0.125, 4)
    halves = [
        (builder.node("Gather", [builder.stream, builder.constant(one, np.int64)], axis=1),
         (1, 2, 6, 6))
        for one in ([0, 1], [2, 3])
    ]  # fmt: skip
    join(builder, halves[0], branch(builder, halves[1], 3, 1, "signed", 0.25))
    branch(builder, (builder.stream, builder.shape), 3, 3, "signed", 0.25)
    # the last pixel alone
    builder.apply("Gather", builder.constant(5, np.int64), axis=3)
    builder.apply("Gather", builder.constant(5, np.int64), axis=2)
    builder.shape = (1, 3)
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "shuffled")


def test_a_pool_that_pads_negative_values_is_told(tmp_path):
    path = tmp_path / "pool.onnx"
    path.write_bytes(pool_builder("signed").model(open_batch=False).SerializeToString())
    problems = [report.problem for report in check_nodes(open_network(path).graph)]
    assert [one for one in problems if one] == 2 * ["pads values that may be negative"]


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
        (average_at_end, "float", "lut"),
        (fire, "none", "lut"),
        (particles, "none", "lut"),
        (pre_activation, "none", "lut"),
        *(
            pytest.param(made, kind, "lut", marks=pytest.mark.slow)
            for made, kind in (
                (average_at_end, "none"),
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
    assert falls == (made is pre_activation)
    noise = Noise.at("additive", 2.0)
    points = [{}] + [{site: TapSettings.of(noise, 1.0, seed=5)} for site in accelerator.sites]
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    # branches must not wait for each other, whatever comes late
    stall = made in (fire, dense_block, pre_activation)
    results, _ = simulate.simulate(
        accelerator, simulation, stream[:8], points, tmp_path / "run", stall=stall
    )
    for settings, result in zip(points, results, strict=True):
        assert not equivalence.differing_images(golden, stream[:8], settings, result).any()
