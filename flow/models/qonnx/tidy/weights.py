"""Rules about how constants are quantised: weights of layers, and what else a quantiser reads.

A rule changes one place of a graph and returns whether it did. No rule changes what a network
computes.
"""

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    LAYERS,
    MOST_BITS,
    OLD_MODES,
    attribute,
    constant,
    insert,
    readers,
    rounding_of,
    rounds_half_even,
    set_attribute,
    shape_of,
    stream_input,
)

_ROUNDED = 2.0**-20
"""Error that arithmetic in float32 leaves of a quantised weight, relative to the largest."""
_COPIES = 8
"""Largest number of values that such errors make of one."""


def fold_quantised_bias(model: ModelWrapper) -> bool:
    """Replace a quantised constant that is no layer's weights by its values."""
    for node in model.graph.node:
        if node.op_type not in ("Quant", "BipolarQuant") or stream_input(model, node) is not None:
            continue
        if any(_weighs(model, one, node.output[0]) for one in readers(model, node.output[0])):
            continue
        given = [model.get_initializer(name) for name in node.input]
        if any(value is None for value in given):
            continue
        model.set_initializer(node.output[0], _quantised(node, given).astype(np.float32))
        model.graph.node.remove(node)
        return True
    return False


def _weighs(model: ModelWrapper, node: NodeProto, tensor: str) -> bool:
    """Whether a tensor is the weights of a node, or becomes them by a transposition."""
    if node.op_type in LAYERS:
        return node.input[1] == tensor
    return node.op_type in ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


def _quantised(node: NodeProto, given: list[np.ndarray]) -> np.ndarray:
    """Return the result of a quantiser, by qonnx's own function."""
    if node.op_type == "BipolarQuant":
        values, scale = given
        return np.where(values >= 0, 1.0, -1.0) * scale
    from qonnx.custom_op.general.quant import quant

    signed, narrow = (bool(attribute(node, name, 0)) for name in ("signed", "narrow"))
    mode = str(attribute(node, "rounding_mode", "ROUND"))
    return quant(*given, signed, narrow, OLD_MODES.get(mode.upper(), mode))


def quantised_constant(model: ModelWrapper, tensor: str) -> np.ndarray | None:
    """Return the values of a constant, or of a quantised one; None if a tensor is neither."""
    node = model.find_producer(tensor)
    given = [model.get_initializer(name) for name in ([tensor] if node is None else node.input)]
    if any(one is None for one in given):
        return None
    if node is None:
        return given[0]
    return _quantised(node, given) if node.op_type in ("Quant", "BipolarQuant") else None


def own_weights(model: ModelWrapper) -> bool:
    """Give each layer weights of its own, where several share a quantiser."""
    for node in model.graph.node:
        constants = [model.get_initializer(name) for name in node.input]
        if node.op_type not in ("Quant", "BipolarQuant") or any(one is None for one in constants):
            continue
        output = node.output[0]
        others = readers(model, output)[1:]
        for one in others:
            own = NodeProto()
            own.CopyFrom(node)
            own.output[0] = model.make_new_valueinfo_name()
            own.name = f"{node.name}_{own.output[0]}"
            model.set_tensor_shape(own.output[0], shape_of(model, output))
            model.graph.node.insert(list(model.graph.node).index(node), own)
            for index, name in enumerate(one.input):
                one.input[index] = own.output[0] if name == output else name
        if others:
            return True
    return False


def round_weights(model: ModelWrapper) -> bool:
    """Round weights beforehand that are rounded otherwise than to the nearest, as A2Q does."""
    for node in model.graph.node:
        given = [model.get_initializer(name) for name in node.input]
        if node.op_type != "Quant" or any(one is None for one in given) or rounds_half_even(node):
            continue
        if rounding_of(node) is None:
            continue
        node.input[0] = constant(model, _quantised(node, given))
        set_attribute(node, "rounding_mode", "ROUND")
        return True
    return False


def quantise_whole_weights(model: ModelWrapper) -> bool:
    """Put a quantiser behind weights that are whole numbers, or multiples of a step.

    FINN stores the former; the latter are left of quantisers that are written as arithmetic.
    """
    for node in model.graph.node:
        if node.op_type not in LAYERS or stream_input(model, node) != 0:
            continue
        weights = model.get_initializer(node.input[1])
        if weights is None or len(readers(model, node.input[1])) != 1:
            continue
        datatype = model.get_tensor_datatype(node.input[1])
        found = _on_grid(weights, _outputs_of(node), datatype == DataType["BIPOLAR"])
        if found is None:
            continue
        step, bits, shape = constant(model, found[0]), found[1], weights.shape
        if bits == 1:
            inputs, more = [node.input[1], step], {}
            kind = "BipolarQuant"
        else:
            inputs = [node.input[1], step, constant(model, 0), constant(model, bits)]
            more = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
            kind = "Quant"
        node.input[1] = insert(model, node, kind, inputs, shape, **more)
        return True
    return False


def _outputs_of(node: NodeProto) -> int:
    """Return the axis of a layer's weights that counts its outputs."""
    return 0 if node.op_type == "Conv" or attribute(node, "transB", 0) else 1


def _on_grid(weights: np.ndarray, axis: int, bipolar: bool) -> tuple[np.ndarray, int] | None:
    """Return the step of which weights are multiples, and the bits of these; None for others.

    Args:
        weights: weights of a layer.
        axis: the axis of its outputs, each of which may have a step of its own.
        bipolar: whether weights of −1 and 1 have one bit; they have two otherwise.

    Returns:
        The step, of one number or broadcast along ``axis``.
    """
    if not weights.any():
        return None
    if (weights == np.round(weights)).all():
        steps = np.ones(1)
    else:
        found = []
        for row in np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1):
            found.append(step_of(row))
            if row.any() and not found[-1]:
                return None
        # a row of zeros may have any
        each = np.array([step or max(found) for step in found])
        all_alike = step_of(weights)
        shape = [-1 if n == axis else 1 for n in range(weights.ndim)]
        steps = np.array([all_alike]) if all_alike else each.reshape(shape)
        bipolar = bool(weights.all())
    multiples = np.round(weights / steps)
    if bipolar and set(np.unique(multiples)) <= {-1.0, 1.0}:
        return steps, 1
    low, high = float(multiples.min()), float(multiples.max())
    bits = next((b for b in range(2, 33) if -(2 ** (b - 1)) <= low and high < 2 ** (b - 1)), 33)
    return (steps, bits) if bits <= MOST_BITS else None


def step_of(values: np.ndarray) -> float:
    """Return the largest number of which all values are multiples up to float32's rounding, or 0.

    It is 0 for values that need more than `MOST_BITS` bits.
    """
    sizes = np.unique(np.abs(values).astype(np.float64))
    # if the largest value is one step, two, and so on
    counts = np.arange(1, 2 ** (MOST_BITS - 1) + 1)
    if not sizes[-1] or len(sizes) > _COPIES * len(counts):
        return 0.0
    for some in np.array_split(sizes, -(-len(sizes) // 8)):
        multiples = some[:, None] / sizes[-1] * counts
        far = np.abs(multiples - np.round(multiples)).max(axis=0)
        counts = counts[far <= _ROUNDED * counts]
        if not len(counts):
            return 0.0
    multiples = np.round(sizes / sizes[-1] * counts[0])
    # of all values, because each was rounded
    return float((sizes * multiples).sum() / (multiples**2).sum())
