"""Execution of a QONNX file as it is, by qonnx and onnxruntime, to compare our reading with."""

from functools import lru_cache
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
    model, given = _opened(path, path.read_bytes())
    graph = model.graph
    values = given | {graph.input[0].name: x}
    for number, node in enumerate(graph.node):
        if node.domain.startswith(CUSTOM):
            _custom(node, values, model)
        else:
            inputs = {name: np.ascontiguousarray(values[name]) for name in node.input if name}
            types = tuple((value.dtype, value.shape) for value in inputs.values())
            session = _session(path, path.stat().st_mtime_ns, number, types)
            values.update(zip(node.output, session.run(None, inputs), strict=True))
    return values[graph.output[0].name]


@lru_cache(maxsize=1)
def _opened(path: Path, content: bytes) -> tuple[ModelWrapper, dict[str, npt.NDArray]]:
    """Return the file, and the values of its constants."""
    proto = onnx.load(str(path))
    for node in proto.graph.node:
        if node.op_type in ("Quant", "BipolarQuant", "MultiThreshold"):
            node.domain = f"{CUSTOM}.general"
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    return ModelWrapper(proto), constants


def _custom(node, values: dict, model: ModelWrapper) -> None:
    if node.domain.endswith("channels_last"):
        # qonnx wants to know the shapes, of which the execution itself has no need
        for name in node.input:
            model.set_tensor_shape(name, list(values[name].shape))
        shape = [*values[node.input[0]].shape[:-1], len(values[node.input[1]])]
        values[node.output[0]] = np.zeros(shape, np.float32)
    getCustomOp(node).execute_node(values, model.graph)


@lru_cache(maxsize=256)
def _session(path: Path, written: int, number: int, types: tuple) -> onnxruntime.InferenceSession:
    """Return what executes one node of a file on inputs of such types and shapes."""
    model, _ = _opened(path, path.read_bytes())
    node = model.graph.node[number]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
        for name, (dtype, shape) in zip(filter(None, node.input), types, strict=True)
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "one", inputs, outputs)
    opsets = [entry for entry in model.model.opset_import if entry.domain == ""]
    alone = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnxruntime.InferenceSession(alone.SerializeToString())


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
