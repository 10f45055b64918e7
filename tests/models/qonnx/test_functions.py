"""Functions in front of quantisers, zero points and quantisers in a row become exact thresholds."""

import numpy as np
import pytest
import torch

from flow.errors import UserError
from flow.models.qonnx.network import open_network
from flow.models.qonnx.quantisers import Thresholds
from flow.models.qonnx.tidy.steps import reach, steps_of
from tests.helpers import source_execution
from tests.helpers.random_graphs import CUSTOM, Builder
from tests.models.qonnx.test_found_graphs import operators, saved


def network(activation, shape=(1, 6)) -> Builder:
    """Return a network of two layers with something between them."""
    builder = Builder(np.random.default_rng(2), shape, CUSTOM)
    builder.stream = builder.quant(builder.stream, 2.0**-5, 8)
    if len(shape) == 4:
        builder.convolution(4, per_channel=False, last=False)
    else:
        builder.dense(8, per_channel=False, whole=False)
    builder.apply("Add", builder.constant(np.float32(0.0371)))
    activation(builder)
    if len(shape) == 4:
        builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    return builder


def function(name, scale=0.07, constants=(), **attributes):
    def add(builder):
        given = [builder.constant(np.float32(one)) for one in constants]
        builder.apply(name, *given, **attributes)
        builder.stream = builder.quant(builder.stream, scale, 4)

    return add


def tanh_of_keras(builder):
    """QKeras' tanh: a sigmoid, doubled and shifted."""
    builder.apply("Sigmoid")
    builder.apply("Mul", builder.constant(2.0))
    builder.apply("Sub", builder.constant(1.0))
    builder.stream = builder.quant(builder.stream, 0.125, 4, narrow=1)


SLOPES = np.linspace(0.01, 0.5, 8)
UNLIKE_SLOPES = [-0.8, 0.3, 0.0, -0.05, 1.0, 0.5, -2.0, -1.0]


def norm_of_relu(builder):
    """Channels rise, fall or are nearly constant."""
    builder.apply("Relu")
    builder.norm(negative=True)
    gain = builder.constant(np.array([1, -1, 1e-3, 1, -0.5, 0.2, 1, 1]))
    builder.apply("Mul", gain)
    builder.stream = builder.quant(builder.stream, 0.1, 4)


def silu(builder):
    stream = builder.stream
    builder.apply("Sigmoid")
    builder.apply("Mul", stream)
    builder.stream = builder.quant(builder.stream, 0.05, 6)


def gelu(builder):
    stream = builder.stream
    builder.apply("Div", builder.constant(np.sqrt(2)))
    builder.apply("Erf")
    builder.apply("Add", builder.constant(1.0))
    builder.apply("Mul", stream)
    builder.apply("Mul", builder.constant(0.5))
    builder.stream = builder.quant(builder.stream, 0.06, 4)


def hard_swish_of_torch(builder):
    """As torch's older exporter writes it."""
    stream = builder.stream
    builder.apply("HardSigmoid", alpha=1 / 6, beta=0.5)
    builder.stream = builder.node("Mul", [stream, builder.stream])
    builder.stream = builder.quant(builder.stream, 0.3, 3, signed=0)


def silu_of_onnxruntime(builder):
    """Each value on the way is quantised, in steps of its own."""
    builder.stream = builder.quant(builder.stream, 0.04, 6)
    stream = builder.stream
    builder.apply("Sigmoid")
    builder.stream = builder.quant(builder.stream, 2.0**-6, 6, signed=0)
    builder.apply("Mul", stream)
    builder.stream = builder.quant(builder.stream, 0.07, 6, signed=0, zero=9.0)


def coarse_silu(builder):
    """Of the quantised factors, the product turns many times."""
    builder.stream = builder.quant(builder.stream, 0.05, 7)
    stream = builder.stream
    builder.apply("Sigmoid")
    builder.stream = builder.quant(builder.stream, 2.0**-4, 4, signed=0)
    builder.apply("Mul", stream)
    builder.stream = builder.quant(builder.stream, 0.02, 8, signed=0, zero=19.0)


def sign_of_clip(builder):
    builder.apply("Clip", builder.constant(-1.0), builder.constant(1.0))
    builder.apply("BipolarQuant", builder.constant(1.0), domain=builder.domain)


def zero_point(builder):
    builder.stream = builder.quant(builder.stream, 0.05, 5, signed=0, zero=11.0)


def rounding(mode):
    def add(builder):
        builder.stream = builder.quant(builder.stream, 0.25, 4, mode=mode)

    return add


def signed_behind_relu(builder):
    builder.apply("Relu")
    builder.stream = builder.quant(builder.stream, 0.05, 5)


def zero_point_behind_relu(builder):
    builder.apply("Relu")
    zero_point(builder)


def least_is_zero_behind_relu(builder):
    """As torchao writes unsigned values."""
    builder.apply("Relu")
    builder.stream = builder.quant(builder.stream, 0.05, 5, zero=-16.0)


def three_in_a_row(builder):
    """As onnxruntime quantises a layer and a ReLU, each by itself."""
    builder.stream = builder.quant(builder.stream, 0.031, 8, signed=0, zero=131.0)
    builder.apply("Relu")
    builder.stream = builder.quant(builder.stream, 0.017, 7, signed=0)
    builder.stream = builder.quant(builder.stream, 0.05, 4, signed=0)


def around_a_pool(builder):
    three_in_a_row(builder)
    size = {"kernel_shape": [2, 2], "strides": [2, 2]}
    builder.apply("MaxPool", **size)
    builder.shape = (1, 4, 2, 2)
    builder.stream = builder.quant(builder.stream, 0.11, 3, signed=0)


@pytest.mark.parametrize(
    "activation",
    [
        function("Tanh"),
        function("Sigmoid"),
        function("Softplus", 0.2),
        function("Softsign"),
        function("Erf"),
        function("HardSigmoid", alpha=0.25, beta=0.5),
        function("LeakyRelu", alpha=0.1),
        function("PRelu", constants=[0.2]),
        function("Elu", alpha=0.7),
        function("Selu"),
        function("Celu", alpha=0.9),
        function("ThresholdedRelu", alpha=0.3),
        function("Clip", constants=[-0.3, 0.4]),
        function("LeakyRelu", alpha=-0.1),
        function("HardSwish"),
        function("Abs", 0.2),
        function("Pow", constants=[2.0]),
        function("Min", constants=[0.4]),
        function("PRelu", constants=[SLOPES]),
        function("PRelu", constants=[UNLIKE_SLOPES]),
        norm_of_relu,
        tanh_of_keras,
        silu,
        gelu,
        hard_swish_of_torch,
        silu_of_onnxruntime,
        coarse_silu,
        sign_of_clip,
        zero_point,
        zero_point_behind_relu,
        three_in_a_row,
        rounding("FLOOR"),
        rounding("ceil"),
        rounding("DOWN"),
        rounding("HALF_UP"),
    ],
)
def test_one_node_of_thresholds_computes_the_same(activation, tmp_path):
    path = saved(network(activation), tmp_path)
    assert operators(path) == ["Quant", "MatMul", "Add", "MultiThreshold", "MatMul"]
    read = open_network(path)
    different = 0
    for x in np.random.default_rng(1).uniform(-4, 4, (200, 1, 6)).astype(np.float32):
        theirs = source_execution.run_source(path, x)
        np.testing.assert_allclose(source_execution.run_ours(read, x), theirs, atol=1e-5)
        different += len(np.unique(theirs)) > 1
    assert different > 100


@pytest.mark.parametrize("activation", [signed_behind_relu, least_is_zero_behind_relu])
def test_a_signed_quantiser_behind_a_relu_is_an_unsigned_one(activation, tmp_path):
    path = saved(network(activation), tmp_path)
    assert operators(path) == ["Quant", "MatMul", "Add", "Relu", "Quant", "MatMul"]
    read = open_network(path)
    for x in np.random.default_rng(1).uniform(-4, 4, (50, 1, 6)).astype(np.float32):
        theirs = source_execution.run_source(path, x)
        np.testing.assert_allclose(source_execution.run_ours(read, x), theirs, atol=1e-5)


@pytest.mark.parametrize("mode", ["DOWN", "ROUND_TO_ZERO", "FLOOR"])
def test_weights_may_be_rounded_otherwise(mode, tmp_path):
    builder = Builder(np.random.default_rng(2), (1, 6), CUSTOM)
    builder.stream = builder.quant(builder.stream, 2.0**-5, 8)
    values = np.random.default_rng(3).normal(size=(6, 3))
    scale = np.array([[0.1, 0.2, 0.3]])
    constant = builder.constant(values)
    builder.apply("MatMul", builder.quant(constant, scale, 4, narrow=1, mode=mode))
    read = open_network(saved(builder, tmp_path))
    steps = {"FLOOR": np.floor}.get(mode, np.trunc)(np.clip(values / scale, -7, 7))
    (weights,) = read.graph.weights.values()
    np.testing.assert_array_equal(weights.integers.T, steps)


def test_a_rounding_that_is_not_known_is_told(tmp_path):
    with pytest.raises(UserError, match="rounds by SOMEHOW"):
        open_network(saved(network(rounding("SOMEHOW")), tmp_path))


def test_quantisers_on_both_sides_of_a_pool_are_one(tmp_path):
    path = saved(network(around_a_pool, (1, 2, 5, 5)), tmp_path)
    found = ["Quant", "Conv", "Add", "MultiThreshold", "MaxPool", "Flatten", "MatMul"]
    assert operators(path) == found
    read = open_network(path)
    for x in np.random.default_rng(1).uniform(-4, 4, (20, 1, 2, 5, 5)).astype(np.float32):
        theirs = source_execution.run_source(path, x)
        np.testing.assert_allclose(source_execution.run_ours(read, x), theirs, atol=1e-5)


def pooled_before(builder):
    """As many write it: a pooling, a batch norm and a ReLU."""
    builder.apply("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    builder.shape = (1, 4, 3, 3)
    builder.norm(negative=False)
    builder.activation("relu", 0.1, 4)


def test_what_rises_moves_before_a_pool(tmp_path):
    path = saved(network(pooled_before, (1, 2, 5, 5)), tmp_path)
    between = ["Add", "BatchNormalization", "Relu", "Quant", "MaxPool", "Flatten"]
    assert operators(path) == ["Quant", "Conv", *between, "MatMul"]
    read = open_network(path)
    for x in np.random.default_rng(1).uniform(-4, 4, (20, 1, 2, 5, 5)).astype(np.float32):
        theirs = source_execution.run_source(path, x)
        np.testing.assert_allclose(source_execution.run_ours(read, x), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "attributes"), [("Sin", {}), ("LeakyRelu", {"alpha": float("nan")})]
)
def test_a_function_that_turns_without_end_or_is_none_is_not_taken(name, attributes, tmp_path):
    path = saved(network(function(name, **attributes)), tmp_path)
    with pytest.raises(UserError, match=name):
        open_network(path)


def test_thresholds_are_the_least_numbers_that_reach_a_value():
    step = np.float32(0.0331831)

    def count(x):
        with np.errstate(over="ignore"):
            return np.clip(np.rint(x / step), -127, 127)

    found = steps_of(count)
    assert found.lowest == -127 and found.numbers.dtype == np.float32 and not found.falls.any()
    np.testing.assert_array_equal(count(found.numbers), np.arange(-126, 128))
    below = np.nextafter(found.numbers, -np.inf)
    np.testing.assert_array_equal(count(below), np.arange(-127, 127))


def test_steps_of_two_share_a_threshold():
    found = steps_of(lambda x: np.where(x >= 1, 2, 0))
    assert found.lowest == 0 and found.numbers.tolist() == [1.0, 1.0]


def test_steps_fall_where_a_curve_does():
    found = steps_of(lambda x: np.clip(np.rint(np.abs(x)), 0, 2), lambda x: np.minimum(abs(x), 9))
    assert found.falls.tolist() == [True, True, False, False] and found.lowest == 0
    assert found.numbers[2:].tolist() == [np.nextafter(np.float32(0.5), np.float32(1)), 1.5]
    assert reach(found.numbers[None], found.falls) == (0, 2)


def test_a_quantised_value_of_thresholds_lies_on_its_grid():
    """Its bias is no whole multiple of the step, as far as float32 can tell."""
    step = 0.12499985098838806
    rows = torch.arange(15.0)[None] - 7.5
    values = Thresholds(rows, step, np.float32(-8 * step).item())(torch.arange(-8.0, 8)[:, None])
    assert (values[:, 0] == torch.arange(-8.0, 8) * step).all()
