"""Crops, maxima and dense layers on several vectors: read, they compute what they did before."""

import numpy as np
import pytest

from tests.models.qonnx.test_found_graphs import build, operators, same_as_source, saved
from tests.models.qonnx.test_joins import MORE, images, problems


@pytest.mark.parametrize("rank", [3, 4])
def test_dense_layers_on_several_vectors_are_convolutions(rank, tmp_path):
    builder = build((1, 5, 3) if rank == 3 else (1, 2, 3, 3))
    builder.stream = builder.quant("images", 0.125, 4)
    for outputs in (4, 2):
        whole = outputs == 2
        axis = None if whole else 1
        builder.apply("MatMul", builder.weights((builder.shape[-1], outputs), axis, whole=whole))
        builder.shape = (*builder.shape[:-1], outputs)
        builder.bias("quantised", (outputs,))
        builder.apply("Relu")
        builder.stream = builder.quant(builder.stream, 0.25, 3, signed=0)
    # the mean of all particles, and a layer that reads it as it is
    builder.apply("ReduceMean", axes=[1] if rank == 3 else [1, 2], keepdims=0)
    builder.shape = (1, 2)
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert "Transpose" not in operators(path) and operators(path).count("Conv") == 2
    assert same_as_source(path).image_shape == ((1, 5, 3) if rank == 3 else (2, 3, 3))
    assert not problems(path)


@pytest.mark.parametrize(
    ("pads", "stride", "cut"),
    [([2, 2], 1, (0, 9)), ([2, 2], 1, (2, 11)), ([3, 1], 1, (1, 10)), ([3, 3], 2, (0, 5))],
)
def test_a_convolution_leaves_out_what_is_cut_off(pads, stride, cut, tmp_path):
    builder = build((1, 2, 9))
    builder.stream = builder.quant("images", 0.125, 4)
    weights = builder.weights((3, 2, 3), None, whole=False)
    more = {"strides": [stride], "dilations": [1], "group": 1, "kernel_shape": [3]}
    builder.apply("Conv", weights, pads=pads, **more)
    length = (9 + sum(pads) - 3) // stride + 1
    builder.shape = (1, 3, length)
    builder.norm(negative=True)
    places = builder.constant(np.arange(length)[slice(*cut)], np.int64)
    builder.apply("Gather", places, axis=2)
    builder.activation("relu", 0.25, 3)
    builder.apply("GlobalAveragePool")
    builder.shape = (1, 3)
    builder.apply("Squeeze", builder.constant([2], np.int64))
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert "Gather" not in operators(path)
    same_as_source(path)
    assert not problems(path)


@pytest.mark.parametrize("whole", ["GlobalMaxPool", "ReduceMax", "ceil"])
def test_a_maximum_of_all_pixels_or_beyond_the_edge_is_a_pool(whole, tmp_path):
    builder = images(3, size=5)
    builder.stream = builder.quant(builder.stream, 0.125, 3, signed=0)
    if whole == "ceil":
        sizes = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4}
        builder.apply("MaxPool", ceil_mode=1, **sizes)
        builder.shape = (1, 3, 3, 3)
        builder.grouped(3, 1, [1, 1], [0] * 4, **MORE)
        builder.activation("relu", 0.25, 3)
        builder.apply("GlobalMaxPool")
    elif whole == "ReduceMax":
        builder.apply(whole, axes=[2, 3], keepdims=1)
    else:
        builder.apply(whole)
    builder.shape = (1, 3, 1, 1)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    same_as_source(path)
    assert not problems(path)


def test_wide_averages_are_told(tmp_path):
    builder = images(2, size=64)
    builder.stream = builder.quant(builder.stream, 2.0**-6, 7, signed=0)
    builder.apply("GlobalAveragePool")
    builder.shape = (1, 2, 1, 1)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    told = "reads averages, sums or unlike scales of 18 bits, beyond 16"
    assert problems(saved(builder, tmp_path)) == [told]


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER", "VALID", None])
def test_what_a_file_leaves_to_defaults_is_written(padding, tmp_path):
    builder = build((1, 2, 6, 5))
    builder.stream = builder.quant("images", 0.125, 4)
    more = {} if padding is None else {"auto_pad": padding, "strides": [2, 2]}
    builder.apply("Conv", builder.weights((3, 2, 3, 2), None, whole=False), **more)
    builder.shape = (1, 3, 4, 4)
    if padding is not None:
        builder.shape = (1, 3, 2, 2) if padding == "VALID" else (1, 3, 3, 3)
    builder.activation("relu", 0.25, 3)
    builder.apply("MaxPool", kernel_shape=[2, 2])
    builder.shape = (*builder.shape[:2], *(size - 1 for size in builder.shape[2:]))
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    network = same_as_source(saved(builder, tmp_path))
    for step in network.graph.steps:
        if step.node.op_type == "Conv":
            assert {one.name for one in step.node.attribute} >= {"pads", "strides", "dilations"}


def test_signals_may_fork_behind_the_quantiser_of_the_images(tmp_path):
    builder = build((1, 2, 9))
    trunk = builder.stream = builder.quant("images", 0.125, 4)
    branches = []
    for _ in range(2):
        builder.stream, builder.shape = trunk, (1, 2, 9)
        builder.convolution(3, per_channel=False, last=False)
        builder.activation("signed", 0.25, 3)
        branches.append(builder.stream)
    builder.stream = builder.node("Mul", branches)
    builder.activation("signed", 0.125, 4)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert "Reshape" not in operators(path)
    assert same_as_source(path).image_shape == (1, 9, 2)
