"""Quantisers with a scale for each channel, where depth-wise convolutions alone read them."""

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    attribute,
    constant,
    insert,
    insert_behind,
    is_output,
    reader,
    readers,
    shape_of,
    stream_input,
)


def move_channel_scales(model: ModelWrapper) -> bool:
    """Move the scales of a quantiser past the depth-wise convolutions that read it.

    What is quantised is divided by them before, so that the quantiser's own step is 1. A ReLU
    before it commutes with positive factors.
    """
    for node in model.graph.node:
        scale = _scale_of_channels(model, node)
        if scale is None:
            continue
        found = readers(model, node.output[0])
        if is_output(model, node.output[0]) or not all(_depth_wise(model, one) for one in found):
            continue
        first, relu = node, model.find_producer(node.input[0])
        if relu is not None and relu.op_type == "Relu" and reader(model, relu.output[0]) is node:
            first = relu
        shape = shape_of(model, first.input[0])
        columns = constant(model, scale.reshape(1, -1, *[1] * (len(shape) - 2)))
        first.input[0] = insert(model, first, "Div", [first.input[0], columns], shape)
        node.input[1] = constant(model, 1.0)
        for one in found:
            _scale_behind(model, one, scale)
        return True
    return False


def _scale_of_channels(model: ModelWrapper, node: NodeProto) -> npt.NDArray | None:
    """Return a quantiser's scale of each channel, [C]; None if it has one for all."""
    if node.op_type != "Quant" or stream_input(model, node) != 0:
        return None
    scale, zero = (model.get_initializer(name) for name in node.input[1:3])
    shape = shape_of(model, node.input[0])
    if scale is None or zero is None or (zero != 0).any() or not (scale > 0).all():
        return None
    if scale.size == 1 or scale.shape != (1, shape[1], *[1] * (len(shape) - 2)):
        return None
    return scale.ravel()


def _depth_wise(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node convolves each channel of its stream by itself, and adds constants at most."""
    if node.op_type != "Conv" or stream_input(model, node) not in (0, None):
        return False
    biases = [model.get_initializer(name) for name in node.input[2:]]
    channels = shape_of(model, node.input[0])[1]
    return attribute(node, "group", 1) == channels and all(one is not None for one in biases)


def _scale_behind(model: ModelWrapper, node: NodeProto, scale: npt.NDArray) -> None:
    """Multiply what a depth-wise convolution gives by the scale of each channel of its input."""
    shape = shape_of(model, node.output[0])
    outputs = np.repeat(scale, shape[1] // len(scale))
    for index in range(2, len(node.input)):
        bias = model.get_initializer(node.input[index])
        node.input[index] = constant(model, bias / outputs)
    columns = constant(model, outputs.reshape(1, -1, *[1] * (len(shape) - 2)))
    insert_behind(model, node, "Mul", shape, constants=[columns])
