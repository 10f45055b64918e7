"""Graphs as other tools write them: read, they compute what they compute as they are."""

import numpy as np
import onnx
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper

from flow.errors import UserError
from flow.models.qonnx.file import read
from flow.models.qonnx.network import open_network
from tests.helpers import random_graphs, source_execution
from tests.helpers.random_graphs import CUSTOM, LAST, Builder


def build(shape=(1, 6), domain=CUSTOM, seed=0) -> Builder:
    return Builder(np.random.default_rng(seed), shape, domain, exact=True)


def saved(builder, folder, **options):
    path = folder / "net.onnx"
    path.write_bytes(builder.model(**{"open_batch": False} | options).SerializeToString())
    return path


def operators(path):
    """Return the operators of a network's stream, as it is read."""
    model = ModelWrapper(read(path))
    streams = [n for n in model.graph.node if model.get_initializer(n.input[0]) is None]
    return [node.op_type for node in streams]


def images_of(path, count=5):
    _, shape = open_network(path).graph.own_input
    return np.random.default_rng(1).uniform(-1, 1, (count, 1, *shape)).astype(np.float32)


def same_as_source(path, atol=1e-5):
    network = open_network(path)
    for x in images_of(path):
        theirs = source_execution.run_source(path, x)
        np.testing.assert_allclose(source_execution.run_ours(network, x), theirs, atol=atol)
    return network


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_compute_what_their_source_does(seed, tmp_path):
    path = random_graphs.write(seed, tmp_path, exact=True)
    network, last = open_network(path), random_graphs.random_graph(seed, exact=True).graph.node[-1]
    for x in images_of(path):
        theirs = source_execution.run_source(path, x)
        ours = source_execution.run_ours(network, x)
        if last.op_type in ("Softmax", "Sigmoid", "BipolarQuant"):
            # cut off: the labels stay
            middle = 0.5 if last.op_type == "Sigmoid" else 0.0
            theirs = theirs - middle if theirs.size == 1 else theirs
            assert source_execution.label(ours) == source_execution.label(theirs)
        else:
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("domain", [*random_graphs.DOMAINS, "finn", ""])
def test_quantisers_of_old_domains_are_known(domain, tmp_path):
    builder = build(domain=domain)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert operators(path) == ["Quant", "MatMul"]
    assert same_as_source(path).classes == 3


def test_a_file_may_lack_versions_and_shapes(tmp_path):
    builder = build()
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(3, per_channel=False, whole=False)
    proto = builder.model(open_batch=True)
    del proto.opset_import[:]
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    assert operators(tmp_path / "net.onnx") == ["Quant", "MatMul"]


def test_shapes_and_orders_that_mean_nothing_vanish(tmp_path):
    builder = build((1, 2, 4, 5))
    builder.stream = builder.quant("images", 0.125, 4)
    builder.apply("Transpose", perm=[0, 2, 3, 1])
    builder.apply("Transpose", perm=[0, 3, 1, 2])
    builder.convolution(3, per_channel=False, last=False)
    builder.norm(negative=True)
    builder.activation("relu", 0.25, 3)
    builder.flatten()
    builder.dense(4, per_channel=True, whole=False)
    builder.apply("Unsqueeze", builder.constant([2], np.int64))
    builder.apply("Squeeze", builder.constant([2], np.int64))
    builder.activation("signed", 0.25, 4)
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert operators(path) == [
        *("Quant", "Conv", "BatchNormalization", "Relu", "Quant", "Flatten"),
        *("MatMul", "Quant", "MatMul"),
    ]
    same_as_source(path)


def test_a_flattening_rises_above_the_quantiser_of_the_images(tmp_path):
    builder = build((1, 1, 2, 3))
    builder.stream = builder.quant("images", 0.125, 4)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert operators(path) == ["Flatten", "Quant", "MatMul"]
    same_as_source(path)


def test_channels_last_become_first_down_to_the_weights_of_the_dense_layer(tmp_path):
    builder = build((1, 4, 5, 2))
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=True, last=True)
    builder.activation("relu", 0.25, 3)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert any(node.domain == LAST for node in onnx.load(str(path)).graph.node)
    assert operators(path) == ["Quant", "Conv", "Relu", "Quant", "Flatten", "MatMul"]
    assert same_as_source(path).image_shape == (4, 5, 2)


def test_a_signal_is_an_image_of_one_row(tmp_path):
    builder = build((1, 2, 9))
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=False, last=False)
    builder.norm(negative=False)
    builder.activation("relu", 0.25, 3)
    builder.apply("MaxPool", kernel_shape=[3], strides=[3])
    builder.shape = (1, 3, 3)
    builder.flatten()
    builder.dense(2, per_channel=False, whole=False)
    network = same_as_source(saved(builder, tmp_path))
    assert network.image_shape == (1, 9, 2)
    signals = np.zeros((4, 2, 9, 1), np.float32)
    assert network.from_own_layout(signals).shape == (4, 2, 1, 9)


def test_two_quantisers_with_a_relu_between_are_one(tmp_path):
    builder = build()
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(4, per_channel=False, whole=False)
    builder.activation("twice", 0.25, 4)
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert operators(path) == ["Quant", "MatMul", "Relu", "Quant", "MatMul"]
    same_as_source(path)


def test_a_relu_behind_a_quantiser_comes_before_it(tmp_path):
    builder = build((1, 2, 4, 4))
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=False, last=False)
    builder.activation("signed", 0.25, 4)
    builder.apply("Relu")
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    builder.shape = (1, 3, 2, 2)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    path = saved(builder, tmp_path)
    assert operators(path)[1:5] == ["Conv", "Relu", "Quant", "MaxPool"]
    same_as_source(path)


def test_thresholds_and_whole_weights_are_read_as_finn_writes_them(tmp_path):
    builder = build()
    builder.thresholds(0.25, 3)
    builder.dense(4, per_channel=False, whole=True)
    builder.apply("Mul", builder.constant(0.5))
    builder.thresholds(0.25, 3)
    builder.dense(3, per_channel=False, whole=True)
    path = saved(builder, tmp_path)
    assert operators(path) == ["MultiThreshold", "MatMul", "Mul", "MultiThreshold", "MatMul"]
    network = same_as_source(path)
    assert network.graph.grids[network.graph.sites["fc0.act"]].low == -4
    assert set(network.graph.weights) == {network.graph.sites[s] for s in ("fc0.acc", "fc1.acc")}


ENDS = {
    "softmax": lambda b: b.apply("Softmax"),
    "top-k": lambda b: b.apply("ArgMax", axis=1),
    "both": lambda b: [b.apply("LogSoftmax"), b.apply("ArgMax", axis=-1, keepdims=0)],
    "quantised": lambda b: [
        b.apply("Softmax"),
        setattr(b, "stream", b.quant(b.stream, 2.0**-8, 8, signed=0)),
        b.apply("ArgMax", axis=1),
    ],
}


@pytest.mark.parametrize("end", ENDS)
def test_what_keeps_the_order_of_the_scores_is_cut_off(end, tmp_path):
    builder = build()
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(3, per_channel=False, whole=False)
    ENDS[end](builder)
    path = saved(builder, tmp_path)
    assert operators(path) == ["Quant", "MatMul"]
    network = open_network(path)
    for x in images_of(path):
        theirs = source_execution.run_source(path, x)
        wanted = int(theirs.argmax()) if end == "softmax" else int(theirs.item())
        assert source_execution.label(source_execution.run_ours(network, x)) == wanted


def quantised_sigmoid(builder):
    """As onnxruntime quantises it: in steps of its own, from values that are quantised too."""
    builder.stream = builder.quant(builder.stream, 0.03, 6, signed=0, zero=29.0)
    builder.apply("Sigmoid")
    builder.stream = builder.quant(builder.stream, 0.03, 5, signed=0)


SINGLE = {
    "quantised sigmoid": quantised_sigmoid,
    "plain": lambda b: None,
    "sigmoid": lambda b: b.apply("Sigmoid"),
    "bipolar": lambda b: b.apply("BipolarQuant", b.constant(1.0), domain=CUSTOM),
    "threshold": lambda b: b.apply("MultiThreshold", b.constant([[0.375]]), domain=CUSTOM),
}


@pytest.mark.parametrize("end", SINGLE)
def test_one_score_tells_two_classes(end, tmp_path):
    builder = build()
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(1, per_channel=False, whole=False)
    SINGLE[end](builder)
    path = saved(builder, tmp_path)
    network = open_network(path)
    assert network.single and network.classes == 2
    images = np.random.default_rng(1).uniform(-1, 1, (40, 1, 6)).astype(np.float32)
    middle = 0.0 if end in ("plain", "bipolar") else 0.5
    theirs = [source_execution.run_source(path, x).item() >= middle for x in images]
    with torch.no_grad():
        ours = network(torch.from_numpy(images).view(-1, 1, 1, 6)).argmax(1).bool().tolist()
    assert ours == theirs and 0 < sum(ours) < 40
    # a score of 0 is class 1
    assert network(torch.zeros(1, 1, 1, 6)).argmax().item() == int(end != "threshold")


def test_an_output_for_every_pixel_is_no_classifier(tmp_path):
    builder = build((1, 2, 4, 5))
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=False, last=False)
    with pytest.raises(UserError, match=r"as an autoencoder or a segmentation does"):
        open_network(saved(builder, tmp_path))


@pytest.mark.parametrize("relu", [False, True])
def test_scales_of_channels_move_past_depth_wise_layers(relu, tmp_path):
    builder = build((1, 4, 5, 5))
    if relu:
        builder.apply("Relu")
    scale = np.array([0.5, 0.125, 0.25, 1.0]).reshape(1, 4, 1, 1)
    builder.stream = builder.quant(builder.stream, scale, 4, signed=int(not relu))
    weights = builder.weights((8, 1, 3, 3), None, whole=False)
    bias = builder.constant(np.arange(8) / 8)
    shape = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1], "dilations": [1, 1]}
    builder.apply("Conv", weights, bias, group=4, **shape)
    builder.shape = (1, 8, 5, 5)
    builder.activation("relu", 0.25, 4)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    network = same_as_source(saved(builder, tmp_path))
    first = ["Relu"] * relu + ["Quant", "Conv", "Conv", "Mul", "Relu", "Quant"]
    assert [step.node.op_type for step in network.graph.steps][1 : len(first) + 1] == first
    assert network.graph.steps[0].node.op_type == "Div"


def test_scales_of_channels_stay_where_another_layer_reads_them(tmp_path):
    builder = build((1, 4, 5, 5))
    scale = np.array([0.5, 0.125, 0.25, 1.0]).reshape(1, 4, 1, 1)
    builder.stream = builder.quant("images", scale, 4)
    builder.convolution(3, per_channel=False, last=False)
    builder.flatten()
    builder.dense(3, per_channel=False, whole=False)
    assert operators(saved(builder, tmp_path))[0] == "Quant"


def test_constants_of_64_bits_are_read(tmp_path):
    builder = build()
    builder.stream = builder.quant("images", 0.125, 4)
    scale = builder.constant(0.25, np.float64)
    more = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
    values = builder.constant(np.random.default_rng(0).normal(size=(6, 3)))
    inputs = [values, scale, builder.constant(0.0, np.float64), builder.constant(4.0)]
    builder.apply("MatMul", builder.node("Quant", inputs, builder.domain, **more))
    path = saved(builder, tmp_path)
    assert open_network(path)(torch.zeros(1, 1, 1, 6)).dtype == torch.float32
    same_as_source(path)


def test_an_output_may_be_described_twice(tmp_path):
    builder = build()
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(3, per_channel=False, whole=False)
    proto = builder.model(open_batch=False)
    proto.graph.value_info.extend(proto.graph.output)
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    assert operators(tmp_path / "net.onnx") == ["Quant", "MatMul"]
