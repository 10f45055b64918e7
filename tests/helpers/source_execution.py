"""Execution of a QONNX file as it is, by qonnx and onnxruntime, to compare our reading with."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.models.qonnx.network import ImportedNetwork

CUSTOM = "qonnx.custom_op"


def run_source(path: Path, x: npt.NDArray[np.float32]) -> npt.NDArray:
    """Return a file's output for one image in the file's own layout.

    Operators of QONNX are executed by its classes, those of ONNX by onnxruntime, one by one; the
    file is not tidied in any way but for the names of old domains.
    """
    proto = onnx.load(str(path))
    for node in proto.graph.node:
        if node.op_type in ("Quant", "BipolarQuant", "MultiThreshold"):
            node.domain = f"{CUSTOM}.general"
    model = ModelWrapper(proto)
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    values[proto.graph.input[0].name] = x
    for node in model.graph.node:
        if node.domain.startswith(CUSTOM):
            _custom(node, values, model)
        else:
            _plain(node, values, proto)
    return values[proto.graph.output[0].name]


def _custom(node, values: dict, model: ModelWrapper) -> None:
    if node.domain.endswith("channels_last"):
        # qonnx wants to know the shapes, of which the execution itself has no need
        for name in node.input:
            model.set_tensor_shape(name, list(values[name].shape))
        shape = [*values[node.input[0]].shape[:-1], len(values[node.input[1]])]
        values[node.output[0]] = np.zeros(shape, np.float32)
    getCustomOp(node).execute_node(values, model.graph)


def _plain(node, values: dict, proto: onnx.ModelProto) -> None:
    inputs = [name for name in node.input if name]
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(values[name].dtype), values[name].shape
            )
            for name in inputs
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    opsets = [entry for entry in proto.opset_import if entry.domain == ""]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = {name: np.ascontiguousarray(values[name]) for name in inputs}
    values.update(zip(node.output, session.run(None, given), strict=True))


def run_ours(network: ImportedNetwork, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return our scores, [1, classes] or [1, 1], of an image in the file's own layout."""
    given = network.from_own_layout(x)
    if given is None:
        # as images, channels last
        given = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        scores = network(given).numpy()
    return scores[:, 1:] if network.single else scores


def label(scores: npt.NDArray) -> int:
    """Return the label that scores tell: of one score whether it is 0 or more."""
    return int(scores.item() >= 0) if scores.size == 1 else int(scores.argmax())
