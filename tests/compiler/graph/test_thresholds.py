"""Negative gains before thresholds: the hardware layer gives what the graph gave, on ties too."""

from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_data_layouts import InferDataLayouts

from flow.compiler.finn import register_operators

CHANNELS = 6


def thresholds_behind(factors, rows, bias, kind) -> ModelWrapper:
    """Return factors in a row and thresholds behind them, of whole numbers of 6 bits."""
    shape = [1, CHANNELS]
    names = ["in", *(f"scaled{n}" for n in range(len(factors)))]
    nodes = [
        helper.make_node("Mul", [before, f"factor{n}"], [after])
        for n, (before, after) in enumerate(pairwise(names))
    ]
    last = helper.make_node(
        "MultiThreshold", [names[-1], "rows"], ["out"], domain="qonnx.custom_op.general",
        out_dtype=kind, out_bias=float(bias), data_layout="NC",
        out_scale=2.0 if kind == "BIPOLAR" else 1.0,
    )  # fmt: skip
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("in", "out")]
    graph = helper.make_graph([*nodes, last], "thresholds", ends[:1], ends[1:])
    model = ModelWrapper(helper.make_model(graph))
    for n, factor in enumerate(factors):
        model.set_initializer(f"factor{n}", np.asarray(factor, np.float32))
        model.set_tensor_shape(names[n + 1], shape)
    model.set_initializer("rows", np.asarray(rows, np.float32))
    model.set_tensor_datatype("in", DataType["INT6"])
    model.set_tensor_datatype("out", DataType[kind])
    return model.transform(InferDataLayouts())


@pytest.mark.parametrize(
    ("factors", "steps", "bias", "kind"),
    [
        # quarters and halves of whole numbers, so that many values equal a threshold
        ([[1, -1, 0.5, -0.5, -2, 0.25]], 3, 0, "UINT2"),
        ([[-1, -1, -0.5, -0.5, -2, -0.25], [-1, 1, 1, -0.5, 1, 1]], 3, -2, "INT2"),
        ([-0.5], 2, -1, "INT2"),
        ([[1, -1, 0.5, -0.5, -2, 0.25]], 1, -1, "BIPOLAR"),
    ],
)
def test_the_hardware_layer_falls_where_the_gain_is_negative(factors, steps, bias, kind):
    register_operators()
    from flow.compiler.graph.passes import BipolarToBit
    from flow.compiler.graph.thresholds import AbsorbNegativeGains, InferThresholds

    rows = np.sort(np.random.default_rng(0).integers(-32, 32, (CHANNELS, steps)) / 4, axis=1)
    model = thresholds_behind(factors, rows, bias, kind)
    images = [{"in": np.full((1, CHANNELS), value, np.float32)} for value in range(-32, 32)]
    expected = [execute_onnx(model, one)["out"] for one in images]
    for step in (AbsorbNegativeGains(), BipolarToBit(), InferThresholds()):
        model = model.transform(step)
    (node,) = model.graph.node
    assert node.op_type == "Thresholding"
    product = np.prod([np.broadcast_to(one, CHANNELS) for one in factors], axis=0)
    assert [bool(one) for one in getCustomOp(node).get_nodeattr("Falling")] == (
        product < 0
    ).tolist()
    for given, wanted in zip(images, expected, strict=True):
        assert (execute_onnx(model, given)["out"] == wanted).all()
