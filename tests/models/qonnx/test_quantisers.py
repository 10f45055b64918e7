"""Quantisers of found graphs: pairs of QuantizeLinear and DequantizeLinear, and one for images."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from flow.errors import UserError
from flow.models.qonnx.file import read
from flow.models.qonnx.input_quantiser import InputQuantiser
from flow.models.qonnx.network import open_network
from tests.helpers import random_graphs, source_execution
from tests.models.qonnx.test_found_graphs import build, operators, saved


def _qcdq():
    """Return a network quantised by QuantizeLinear and DequantizeLinear."""
    rng = np.random.default_rng(0)
    constants = [
        onnx.numpy_helper.from_array(value, name)
        for name, value in {
            "s": np.float32(2**-5), "z": np.int8(0), "w": rng.integers(-8, 8, (6, 4), np.int8),
            "sw": np.float32(2**-3), "zw": np.int8(0), "sa": np.float32(2**-3),
            "high": np.uint8(15), "v": rng.integers(-8, 8, (4, 3), np.int8),
        }.items()
    ]  # fmt: skip
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["images", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["x"]),
        node("DequantizeLinear", ["w", "sw", "zw"], ["W"]),
        node("MatMul", ["x", "W"], ["y"]),
        node("Relu", ["y"], ["r"]),
        # no zero point means unsigned bytes from 0
        node("QuantizeLinear", ["r", "sa"], ["a"]),
        # as torch writes it
        node("Clip", ["a", "", "high"], ["c"]),
        node("DequantizeLinear", ["c", "sa"], ["A"]),
        node("DequantizeLinear", ["v", "sw"], ["V"]),
        node("MatMul", ["A", "V"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "qcdq",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_quantize_linear_is_quant_bit_for_bit(tmp_path):
    path = tmp_path / "qcdq.onnx"
    path.write_bytes(_qcdq().SerializeToString())
    assert operators(path) == ["Quant", "MatMul", "Relu", "Quant", "MatMul"]
    options = onnxruntime.SessionOptions()
    # computes what the nodes say, in their order
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    network, session = open_network(path), onnxruntime.InferenceSession(path, options)
    images = np.random.default_rng(3).uniform(-5, 5, (50, 1, 6)).astype(np.float32)
    for x in images:
        (theirs,) = session.run(None, {"images": x})
        np.testing.assert_array_equal(source_execution.run_ours(network, x), theirs)


def test_a_clip_to_no_whole_bits_is_refused(tmp_path):
    proto = _qcdq()
    for tensor in proto.graph.initializer:
        if tensor.name == "high":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.uint8(9), "high"))
    path = tmp_path / "qcdq.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(UserError, match=r"limits quantised values to 0\.\.9: use the limits of"):
        open_network(path)


def _without_input_quantiser(tmp_path):
    builder = build()
    builder.apply("Add", builder.constant(1.0))
    builder.apply("Div", builder.constant(2.0))
    builder.dense(4, per_channel=False, whole=False)
    builder.activation("relu", 0.25, 3)
    builder.dense(3, per_channel=False, whole=False)
    return builder


def test_a_quantiser_is_put_before_the_first_layer(tmp_path):
    path = saved(_without_input_quantiser(tmp_path), tmp_path)
    bare = open_network(path)
    network = open_network(path, None, InputQuantiser(8, -1.0, 1.0))
    assert "input" not in bare.sites and network.sites[0] == "input"
    # images of the grid lose nothing, others up to half a step
    grid = torch.arange(0, 256, 51)[:6].view(1, 1, 1, 6) / 255 * 2 - 1
    torch.testing.assert_close(network(grid), bare(grid))
    assert torch.equal(network.without_input_quantiser()(grid), bare(grid))
    assert network.digest != bare.digest
    with pytest.raises(UserError, match="quantises its images already"):
        path = random_graphs.write(1, tmp_path)
        open_network(path, None, InputQuantiser(8, -1.0, 1.0))


@pytest.mark.parametrize("text", ["", "1", "11", "8,1", "8,1,1", "8,nan,1", "x", "8,0,1,2"])
def test_an_input_quantiser_is_bits_or_bits_and_range(text):
    with pytest.raises(ValueError, match="give "):
        InputQuantiser.parse(text)


def test_images_that_the_file_declares_to_be_whole_need_no_quantiser(tmp_path):
    builder = _without_input_quantiser(tmp_path)
    path = saved(builder, tmp_path)
    model = ModelWrapper(str(path))
    model.set_tensor_datatype("images", DataType["BIPOLAR"])
    model.save(str(path))
    network = open_network(path)
    assert (
        network.sites[0] == "input" and network.graph.grids[network.graph.sites["input"]].low == 0
    )
    x = np.where(np.arange(6) % 2, 1, -1)[None].astype(np.float32)
    theirs = source_execution.run_source(path, x)
    np.testing.assert_allclose(source_execution.run_ours(network, x), theirs, atol=1e-6)
    steps = json.loads(ModelWrapper(read(path)).get_metadata_prop("noisewalk.input") or "[]")
    assert steps == []
