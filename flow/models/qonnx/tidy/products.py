"""Products of two streams, such as squeeze-and-excite: one may be a vector of channels."""

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    attribute,
    constant,
    insert,
    is_output,
    reader,
    remove,
    set_attribute,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.joins import CHANNELWISE, POINTWISE
from flow.models.qonnx.tidy.shapes import reshaping


def multiplies(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node multiplies two streams."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return node.op_type == "Mul" and constants.isdisjoint(node.input)


def drop_expand(model: ModelWrapper) -> bool:
    """Remove what repeats a vector for each pixel of a product, which does that itself."""
    for node in model.graph.node:
        below = reader(model, node.output[0]) if node.op_type == "Expand" else None
        if below is None or not multiplies(model, below):
            continue
        (other,) = [name for name in below.input if name != node.output[0]] or [None]
        if other is not None and shape_of(model, other) == shape_of(model, node.output[0]):
            remove(model, node)
            return True
    return False


def vectors_to_pixels(model: ModelWrapper) -> bool:
    """Write dense layers from one pixel to the vector of a product as convolutions of that pixel.

    The pixel is flattened before them, and the vector gets the shape of a pixel behind them.
    """
    for node in model.graph.node:
        chains = [_chain(model, n) for n in node.input] if multiplies(model, node) else []
        chain = next((one for one in chains if one), None)
        if chain is None:
            continue
        first, *between, last = chain
        for one in between:
            _as_pixel(model, one)
        if between:
            between[0].input[0] = first.input[0]
        source = between[-1].output[0] if between else first.input[0]
        for index, name in enumerate(node.input):
            node.input[index] = source if name == last.output[0] else name
        for one in (first, last):
            model.graph.node.remove(one)
        return True
    return False


def _chain(model: ModelWrapper, name: str) -> list[NodeProto]:
    """Return the nodes from the flattening of a pixel to a stream, which is a pixel again.

    There are none if others than these read what is between.
    """
    found: list[NodeProto] = []
    while (node := model.find_producer(name)) is not None:
        if is_output(model, name) or reader(model, name) is None:
            return []
        before, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
        if reshaping(model, node):
            begins, ends = _is_pixel(before), _is_pixel(after)
            if (ends if found else begins) or len(before) + len(after) != 6:
                return []
            found.insert(0, node)
            if begins:
                return found
        elif not found or not _convertible(model, node):
            return []
        else:
            found.insert(0, node)
        name = node.input[0]
    return []


def _is_pixel(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2:] == (1, 1)


def _convertible(model: ModelWrapper, node: NodeProto) -> bool:
    if node.op_type not in ("Gemm", "MatMul"):
        known = node.op_type in (*POINTWISE, *CHANNELWISE)
        return known and stream_input(model, node) == 0
    names = _weights(model, node)
    given = [model.get_initializer(name) for name in names]
    plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
    return plain and all(one is not None and one.ndim <= 2 for one in given)


def _weights(model: ModelWrapper, node: NodeProto) -> list[str]:
    """Return the constants that a layer's weights are made of."""
    quantiser = model.find_producer(node.input[1])
    return [node.input[1]] if quantiser is None else list(quantiser.input)


def _as_pixel(model: ModelWrapper, node: NodeProto) -> None:
    """Let a node compute [1, C, 1, 1] instead of [1, C]."""
    shape = (*shape_of(model, node.output[0]), 1, 1)
    if node.op_type in ("Gemm", "MatMul"):
        turned = node.op_type == "Gemm" and attribute(node, "transB", 0)

        def filters(name: str) -> str:
            values = model.get_initializer(name)
            if values.size == 1:
                return name
            matrix = np.atleast_2d(values)
            matrix = matrix if turned else matrix.T
            return constant(model, matrix.reshape(*matrix.shape, 1, 1))

        names, quantiser = _weights(model, node), model.find_producer(node.input[1])
        given = [filters(name) for name in names]
        if quantiser is None:
            node.input[1] = given[0]
        else:
            inputs = shape_of(model, node.input[0])[1]
            more = {one.name: attribute(quantiser, one.name) for one in quantiser.attribute}
            sizes = (shape[1], inputs, 1, 1)
            node.input[1] = insert(model, node, quantiser.op_type, given, sizes, **more)
        node.op_type = "Conv"
        del node.attribute[:]
        for name, value in (("kernel_shape", [1, 1]), ("pads", [0] * 4), ("strides", [1, 1])):
            set_attribute(node, name, value)
        if len(node.input) > 2:
            node.input[2] = constant(model, model.get_initializer(node.input[2]).ravel())
    elif node.op_type in POINTWISE:
        for index, name in enumerate(node.input[1:], 1):
            values = model.get_initializer(name)
            if values is not None and values.size > 1:
                node.input[index] = constant(model, values.reshape(1, -1, 1, 1))
    elif attribute(node, "data_layout") is not None:
        set_attribute(node, "data_layout", "NCHW")
    model.set_tensor_shape(node.output[0], list(shape))
