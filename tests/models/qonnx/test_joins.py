"""Concatenations, choices of channels and means: read, they compute what they did before."""

import numpy as np
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper

from flow.compiler.graph.compatibility import check_nodes
from flow.compiler.pipeline import check
from flow.errors import UserError
from flow.models.qonnx.file import read
from flow.models.qonnx.network import open_network
from tests.helpers.random_graphs import Builder
from tests.models.qonnx.test_found_graphs import build, operators, same_as_source, saved

MORE = {"strides": [1, 1], "dilations": [1, 1]}


def images(channels=4, size=4) -> Builder:
    builder = build((1, channels, size, size))
    builder.stream = builder.quant("images", 0.125, 4)
    return builder


def ended(builder, folder):
    """End with a layer and a mean, and return the path."""
    builder.grouped(3, 1, [1, 1], [0] * 4, **MORE)
    builder.apply("GlobalAveragePool")
    builder.shape = (1, 3, 1, 1)
    builder.flatten()
    return saved(builder, folder)


def shuffle(builder, groups):
    _, channels, *sides = builder.shape
    for shape in ([1, groups, channels // groups, *sides], builder.shape):
        builder.apply("Reshape", builder.constant(shape, np.int64))
        if len(shape) > 4:
            builder.apply("Transpose", perm=[0, 2, 1, 3, 4])


def problems(path):
    return [f"{one.problem}" for one in check_nodes(open_network(path).graph) if one.problem]


def test_weights_take_a_channel_shuffle(tmp_path):
    builder = images(6)
    builder.grouped(6, 3, [1, 1], [0] * 4, **MORE)
    builder.norm(negative=True)
    shuffle(builder, 3)
    builder.norm(negative=True)
    builder.activation("thresholds", 0.25, 3)
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    builder.shape = (1, 6, 2, 2)
    builder.grouped(6, 6, [3, 3], [1] * 4, **MORE)
    builder.activation("relu", 0.25, 3)
    shuffle(builder, 2)
    builder.grouped(4, 2, [1, 1], [0] * 4, **MORE)
    builder.activation("relu", 0.25, 3)
    path = ended(builder, tmp_path)
    assert not {"Gather", "Reshape", "Transpose"} & {*operators(path)}
    same_as_source(path)
    assert not problems(path)


def test_layers_that_share_weights_get_their_own(tmp_path):
    builder = images(3, size=5)
    builder.grouped(3, 1, [3, 3], [1] * 4, **MORE)
    weights = builder.nodes[-1].input[1]
    builder.stream = builder.quant(builder.stream, 0.125, 4)
    more = {"kernel_shape": [3, 3], "pads": [1] * 4, "group": 1}
    builder.apply("Conv", weights, **more, **MORE)
    builder.stream = builder.quant(builder.stream, 0.125, 4)
    path = ended(builder, tmp_path)
    model = ModelWrapper(read(path))
    layers = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    assert len(layers) == len({*layers}) == 3
    same_as_source(path)
    assert not problems(path)


def test_weights_take_halves_of_the_channels(tmp_path):
    builder = images(6)
    whole, names = builder.stream, ["left", "right"]
    builder.nodes.append(helper.make_node("Split", [whole], names, axis=1))
    builder.stream, builder.shape = "right", (1, 3, 4, 4)
    builder.grouped(2, 1, [3, 3], [1] * 4, **MORE)
    builder.stream = builder.quant(builder.stream, 0.125, 4)
    builder.stream = builder.node("Concat", ["left", builder.stream, whole], axis=1)
    builder.shape = (1, 11, 4, 4)
    builder.stream = builder.node("Split", [builder.stream, builder.constant([8, 3], np.int64)])
    builder.nodes[-1].output.append("rest")
    builder.nodes[-1].attribute.append(helper.make_attribute("axis", 1))
    builder.shape = (1, 8, 4, 4)
    shuffle(builder, 4)
    path = ended(builder, tmp_path)
    assert "Gather" not in operators(path) and "Split" not in operators(path)
    same_as_source(path)


@pytest.mark.parametrize("way", ["slice", "gather"])
def test_a_dense_layer_takes_one_pixel(way, tmp_path):
    builder = build((1, 3, 7))
    builder.stream = builder.quant("images", 0.125, 4)
    if way == "gather":
        builder.apply("Gather", builder.constant([-1], np.int64), axis=2)
    else:
        ends = [builder.constant([one], np.int64) for one in (6, 9_999, 2, 1)]
        builder.apply("Slice", *ends)
    builder.apply("Reshape", builder.constant([1, 3], np.int64))
    builder.shape = (1, 3)
    builder.dense(4, per_channel=True, whole=False)
    path = saved(builder, tmp_path)
    assert not {"Gather", "Slice"} & {*operators(path)}
    same_as_source(path)
    assert not problems(path)


def test_a_choice_of_one_factor_is_told(tmp_path):
    builder = images(4)
    source = builder.stream
    builder.apply("Gather", builder.constant([3, 2, 1, 0], np.int64), axis=1)
    builder.apply("Mul", source)
    builder.activation("relu", 0.25, 3)
    path = ended(builder, tmp_path)
    assert "chooses or reorders values where no weights can take that" in problems(path)


@pytest.mark.parametrize(
    ("starts", "steps", "channels"),
    [([0, 0], [2, 2], (1, 1)), ([1, 0], [2, 1], (0, 2)), ([0, 0], [1, 1], (2, 0))],
)
def test_a_convolution_picks_what_a_sum_reads(starts, steps, channels, tmp_path):
    builder = images(4, size=5)
    source = builder.stream
    # an operand without weights, and one of a convolution, of the same size
    rows = [len(range(5)[start::step]) for start, step in zip(starts, steps, strict=True)]
    builder.grouped(6, 1, [1, 1], [0] * 4, **MORE | {"strides": [-(-5 // n) for n in rows]})
    constants = [builder.constant(one, np.int64) for one in (starts, [9, 9], [2, 3], steps)]
    picked = builder.node("Slice", [source, *constants])
    pads = [0, channels[0], 0, 0, 0, channels[1], 0, 0]
    picked = builder.node("Pad", [picked, builder.constant(pads, np.int64)])
    builder.stream = builder.node("Add", [builder.stream, picked])
    builder.activation("relu", 0.25, 3)
    path = ended(builder, tmp_path)
    assert operators(path).count("Conv") == 3 and "Pad" not in operators(path)
    same_as_source(path)
    assert not problems(path)


def test_a_quantiser_behind_a_concatenation_moves_into_its_branches(tmp_path):
    builder = images(2)
    branches = []
    for outputs in (2, 3):
        builder.stream, builder.shape = "value0", (1, 2, 4, 4)
        builder.grouped(outputs, 1, [1, 1], [0] * 4, **MORE)
        branches.append(builder.stream)
    both = builder.node("Concat", branches, axis=1)
    # read twice, once by a concatenation
    builder.stream, builder.shape = both, (1, 5, 4, 4)
    builder.norm(negative=False)
    builder.activation("relu", 0.25, 3)
    builder.grouped(2, 1, [1, 1], [0] * 4, **MORE)
    builder.stream = builder.node("Concat", [both, builder.stream], axis=1)
    builder.shape = (1, 7, 4, 4)
    builder.norm(negative=False)
    builder.activation("thresholds", 0.25, 3)
    path = ended(builder, tmp_path)
    same_as_source(path)
    assert not problems(path)


@pytest.mark.parametrize("kept", [0, 1])
def test_means_along_rows_and_then_columns_are_one_average(kept, tmp_path):
    builder = images(2)
    builder.grouped(3, 1, [1, 1], [0] * 4, **MORE)
    for axis in (2, 2 + kept):
        builder.apply("ReduceMean", axes=[axis], keepdims=kept)
    builder.shape = (1, 3, 1, 1) if kept else (1, 3)
    if kept:
        builder.flatten()
    path = saved(builder, tmp_path)
    assert operators(path).count("GlobalAveragePool") == 1
    same_as_source(path)
    assert not problems(path)


def test_transpositions_and_flattenings_sink_past_a_concatenation(tmp_path):
    builder = images(2)
    first = builder.stream
    streams = []
    for order in ("last", "flat"):
        both = []
        for _ in range(2):
            if order == "last":
                both.append(builder.node("Transpose", [first], perm=[0, 2, 3, 1]))
            else:
                both.append(builder.node("Flatten", [streams[0]], axis=1))
        streams.append(builder.node("Concat", both, axis=3 if order == "last" else 1))
        if order == "last":
            streams[0] = builder.node("Transpose", streams, perm=[0, 3, 1, 2])
            streams = streams[:1]
    builder.stream, builder.shape = streams[-1], (1, 128)
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert operators(path) == ["Quant", "Concat", "Concat", "Flatten", "MatMul"]
    same_as_source(path)
    assert not problems(path)


def test_a_gate_and_what_is_left_of_one_share_a_stream(tmp_path):
    """As in highway networks: a constant minus a stream, and a branch that never changes."""
    builder = images(2)
    carried = builder.stream
    builder.grouped(2, 1, [1, 1], [0] * 4, **MORE)
    builder.apply("Sigmoid")
    gate = builder.quant(builder.stream, 0.125, 3, signed=0)
    builder.stream = builder.node("Sub", [builder.constant(1.0), gate])
    left, builder.stream = builder.quant(builder.stream, 0.125, 4), carried
    builder.grouped(2, 1, [1, 1], [0] * 4, **MORE)
    builder.apply("Sub", builder.constant(1e4))
    builder.activation("relu", 0.25, 3)
    products = [[carried, left], [builder.stream, gate]]
    terms = [builder.quant(builder.node("Mul", two), 0.125, 4) for two in products]
    builder.stream = builder.node("Add", terms)
    path = ended(builder, tmp_path)
    same_as_source(path)
    check(open_network(path))


def test_halves_of_a_stream_that_is_quantised_again_round_to_even(tmp_path):
    """Its steps are 2.5 of the second quantiser; float32 puts halves on either side."""
    builder = build((1, 2, 4, 4))
    builder.stream = builder.quant("images", 0.13, 4)
    again = builder.quant(builder.stream, 0.13 / 2.5, 6)
    builder.grouped(2, 1, [1, 1], [0] * 4, **MORE)
    builder.stream = builder.node("Add", [again, builder.quant(builder.stream, 0.25, 4)])
    builder.stream = builder.quant(builder.stream, 0.25, 4)
    check(open_network(ended(builder, tmp_path)))


def test_a_finer_operand_is_counted_by_a_concatenation(tmp_path):
    builder = images(2)
    fine = builder.stream
    # of a row for each channel
    builder.thresholds(0.25, 3)
    builder.stream = builder.node("Concat", [builder.stream, fine], axis=1)
    builder.shape = (1, 4, 4, 4)
    path = ended(builder, tmp_path)
    same_as_source(path)
    assert not problems(path)


def test_a_layer_reads_a_concatenation_of_unlike_scales(tmp_path):
    builder = images(2)
    other = builder.quant(builder.stream, 0.171, 4)
    builder.stream = builder.node("Concat", [builder.stream, other], axis=1)
    builder.shape = (1, 4, 4, 4)
    path = ended(builder, tmp_path)
    assert not problems(path)
    graph = same_as_source(path, atol=2e-3).graph
    assert 4 < graph.grids[graph.layer_of("conv0.acc").inputs[0]].bits <= 16


def test_a_quantiser_behind_a_concatenation_of_unlike_scales_moves_into_its_branches(tmp_path):
    builder = images(2)
    other = builder.quant(builder.stream, 0.171, 4)
    builder.stream = builder.node("Concat", [builder.stream, other], axis=1)
    builder.shape = (1, 4, 4, 4)
    builder.stream = builder.quant(builder.stream, 0.3, 4)
    path = ended(builder, tmp_path)
    same_as_source(path)
    assert not problems(path)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("scales", "adds streams of unlike scales, of which a common one"),
        ("bits", "concatenates streams of −1 and 1 with others"),
        ("axis", "concatenates other than channels"),
        ("product", "joins streams of unlike shapes"),
        ("mixer", "swaps dimensions of a stream"),
        ("positions", "makes an image of 1×1×4 of values of 4×1×1"),
    ],
)
def test_what_does_not_fit_is_told(kind, problem, tmp_path):
    builder = images(4)
    source, axis = builder.stream, 2 if kind == "axis" else 1
    other = source
    if kind == "bits":
        builder.activation("bipolar", 0.125, 1)
        other = builder.stream
    if kind == "product":
        # a factor for each pixel
        builder.grouped(1, 1, [3, 3], [1] * 4, **MORE)
        builder.activation("relu", 0.25, 3)
        builder.stream, builder.shape = builder.node("Mul", [source, builder.stream]), (1, 4, 4, 4)
        builder.stream = builder.quant(builder.stream, 0.25, 4)
    elif kind == "scales":
        builder.grouped(4, 1, [1, 1], [0] * 4, **MORE)
        builder.apply("Mul", builder.constant(1e-16))
        builder.stream = builder.node("Add", [source, builder.stream])
        builder.stream = builder.quant(builder.stream, 0.25, 4)
    elif kind == "mixer":
        builder.grouped(4, 1, [3, 3], [1] * 4, **MORE)
        builder.activation("relu", 0.25, 3)
        builder.apply("Transpose", perm=[0, 2, 1, 3])
    elif kind == "positions":
        # a convolution across the means of channels, as in efficient channel attention
        builder.apply("GlobalAveragePool")
        builder.stream = builder.quant(builder.stream, 0.125, 4)
        builder.apply("Reshape", builder.constant([1, 1, 1, 4], np.int64))
        builder.shape = (1, 1, 1, 4)
    else:
        builder.stream = builder.node("Concat", [source, other], axis=axis)
        builder.shape = (1, 4, 8, 4) if kind == "axis" else (1, 8, 4, 4)
    path = ended(builder, tmp_path)
    found = problems(path)
    assert any(one.startswith(problem) for one in found), found


def test_an_enlargement_by_no_whole_factor_is_refused(tmp_path):
    builder = images(2)
    sizes = builder.constant([1, 1, 1.5, 1.5])
    builder.apply("Resize", "", sizes, mode="nearest")
    with pytest.raises(UserError, match="by no whole factor"):
        open_network(ended(builder, tmp_path))
