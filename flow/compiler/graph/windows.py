"""Graph passes that convert what works on windows of images: poolings, depth-wise convolutions."""

import math
from collections.abc import Sequence

from qonnx.core.datatype import BaseDataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes

from flow.compiler.graph.thresholds import smallest_type
from flow.models.qonnx.tidy.edits import CUSTOM, attribute, constant, insert, read_instead


class AveragesToPools(Transformation):
    """Replace averages of integers by FINN's Pool, which sums a window, and a factor.

    There is RTL for Pool, but not for FINN's sum over the whole image. Scales go past averages
    first, so that these see integers. A maximum becomes a Pool as well if it pads two sides
    unlike, which FINN refuses, or if several read it, of which FINN's pass sees only one.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in list(model.graph.node):
            averages = node.op_type in ("AveragePool", "GlobalAveragePool")
            if not averages and not _beyond_finn(model, node):
                continue
            datatype = model.get_tensor_datatype(node.input[0])
            if datatype.is_integer():
                self._replace(model, node, datatype)
        return model.transform(InferDataLayouts()).transform(InferDataTypes()), False

    @staticmethod
    def _replace(model: ModelWrapper, node, datatype: BaseDataType) -> None:
        _, channels, *sides = model.get_tensor_shape(node.input[0])
        size = attribute(node, "kernel_shape", sides)
        places = math.prod(size)
        largest = node.op_type == "MaxPool"
        summed = datatype if largest else _sum_type(datatype, places)
        _on_windows(
            model, node, size, "Pool", factor=None if largest else 1 / places,
            InputDataType=datatype.name, OutputDataType=summed.name, Channels=channels,
            PE=channels, KernelSize=size, Function="MaxPool" if largest else "AccPool",
            OutImgDims=model.get_tensor_shape(node.output[0])[2:],
        )  # fmt: skip


class DepthWiseToUnits(Transformation):
    """Replace depth-wise convolutions of integers by FINN's vector-vector unit.

    FINN's own way to it leads through a matrix of all places and channels, [K_H · K_W · C, C],
    which are zeros but for one channel each: 0.45 GB for 1,536 channels and 7×7 places. Here the
    weights stay [C, 1, K_H, K_W]. Scales go past convolutions first.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("Conv"):
            channels = model.get_tensor_shape(node.input[0])[1]
            stream, weights = (model.get_tensor_datatype(name) for name in node.input)
            outputs, inputs, *size = model.get_tensor_shape(node.input[1])
            if inputs > 1 or outputs != channels or not stream.is_integer():
                continue
            _on_windows(
                model, node, size, "VVAU", weights=[node.input[1]], PE=channels,
                Dim=model.get_tensor_shape(node.output[0])[2:], Channels=channels, Kernel=size,
                inputDataType=stream.name, weightDataType=weights.name, noActivation=1,
                outputDataType=model.get_tensor_datatype(node.output[0]).name,
            )  # fmt: skip
        return model.transform(InferDataLayouts()).transform(InferDataTypes()), False


def _on_windows(
    model: ModelWrapper,
    node,
    size: Sequence[int],
    operator: str,
    *,
    weights: Sequence[str] = (),
    factor: float | None = None,
    **attributes,
) -> None:
    """Replace a node on images by a hardware layer on their windows, channels last.

    Args:
        model: the graph.
        node: a convolution or pooling.
        size: rows and columns of a window.
        operator: FINN's layer.
        weights: what it reads besides the windows.
        factor: what its output is multiplied by.
        **attributes: attributes of the layer.
    """
    _, channels, height, width = model.get_tensor_shape(node.input[0])
    _, outputs, *pixels = model.get_tensor_shape(node.output[0])
    strides, dilations = (attribute(node, name, [1, 1]) for name in ("strides", "dilations"))
    pads = attribute(node, "pads", [0] * 4)
    shape = [1, height, width, channels]
    stream = insert(model, node, "Transpose", [node.input[0]], shape, perm=[0, 2, 3, 1])
    if operator == "Pool" or any(n != 1 for n in (*size, *strides)) or any(pads):
        stream = insert(
            model, node, "Im2Col", [stream], [1, *pixels, math.prod(size) * channels],
            domain=CUSTOM, stride=strides, kernel_size=size, depthwise=1, pad_amount=pads,
            dilations=dilations, input_shape=f"(1,{height},{width},{channels})",
        )  # fmt: skip
    shape = [1, *pixels, outputs]
    domain = {"domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}
    stream = insert(model, node, operator, [stream, *weights], shape, **domain, **attributes)
    shape = model.get_tensor_shape(node.output[0])
    stream = insert(model, node, "Transpose", [stream], shape, perm=[0, 3, 1, 2])
    if factor is not None:
        # behind the images, where further scales are
        stream = insert(model, node, "Mul", [stream, constant(model, factor)], shape)
    read_instead(model, node.output[0], stream)
    model.graph.node.remove(node)


def _beyond_finn(model: ModelWrapper, node) -> bool:
    """Whether a node takes maxima, and pads two sides unlike or has several readers."""
    if node.op_type != "MaxPool":
        return False
    pads = attribute(node, "pads", [0] * 4)
    return pads[:2] != pads[2:] or model.is_fork_node(node)


class SumTypes(Transformation):
    """Give each sum over windows the smallest type that holds it."""

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph, in the order of the data flow."""
        model = model.transform(InferDataTypes())
        for node in model.get_nodes_by_op_type("Pool"):
            pool = getCustomOp(node)
            if pool.get_nodeattr("Function") == "AccPool":
                places = math.prod(pool.get_nodeattr("KernelSize"))
                datatype = _sum_type(model.get_tensor_datatype(node.input[0]), places)
                pool.set_nodeattr("OutputDataType", datatype.name)
        return model.transform(InferDataTypes()), False


def _sum_type(datatype: BaseDataType, count: int) -> BaseDataType:
    """Return the type of a sum of this many values."""
    return smallest_type(round(datatype.min() * count), round(datatype.max() * count))
