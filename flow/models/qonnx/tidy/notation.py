"""Rules about how a quantised value is written.

A rule changes one place of a graph and returns whether it did. No rule changes what a network
computes.
"""

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    QUANTISERS,
    attribute,
    constant,
    insert,
    reader,
    readers,
    remove,
    rounds_half_even,
    set_attribute,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.offsets import is_whole


def narrow_doubles(model: ModelWrapper) -> bool:
    """Round a constant of 64 bits to the 32 in which everything is computed."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            values = model.get_initializer(tensor.name)
            model.set_initializer(tensor.name, values.astype(np.float32))
            return True
    return False


def fold_into_thresholds(model: ModelWrapper) -> bool:
    """Fold a scaling or shift by one number, behind thresholds, into the thresholds' output."""
    for node in model.graph.node:
        behind = reader(model, node.output[0])
        if node.op_type != "MultiThreshold" or behind is None:
            continue
        if behind.op_type not in ("Add", "Sub", "Mul", "Div"):
            continue
        factor = model.get_initializer(behind.input[1])
        if factor is None or factor.size != 1:
            continue
        number = float(factor.item())
        scale = float(attribute(node, "out_scale", 1.0))
        bias = float(attribute(node, "out_bias", 0.0))
        if behind.op_type in ("Add", "Sub"):
            bias += number if behind.op_type == "Add" else -number
            if not is_whole(model, node, bias):
                continue
        elif number <= 0:
            continue
        else:
            factor_ = number if behind.op_type == "Mul" else 1 / number
            scale, bias = scale * factor_, bias * factor_
        set_attribute(node, "out_scale", scale)
        set_attribute(node, "out_bias", bias)
        set_attribute(node, "out_dtype", "FLOAT32")
        remove(model, behind)
        return True
    return False


def share_thresholds(model: ModelWrapper) -> bool:
    """Replace equal rows of thresholds, one for each channel, by one for all."""
    for node in model.graph.node:
        if node.op_type != "MultiThreshold":
            continue
        rows = model.get_initializer(node.input[1])
        if rows is None or len(rows) == 1 or (rows != rows[:1]).any():
            continue
        node.input[1] = constant(model, rows[:1])
        return True
    return False


def centre_zero_point(model: ModelWrapper) -> bool:
    """Write values with the other sign where their zero point is then 0.

    It is the middle of unsigned values, or the least of signed ones.
    """
    for node in model.graph.node:
        if node.op_type != "Quant":
            continue
        zero, bits = (model.get_initializer(node.input[n]) for n in (2, 3))
        if zero is None or bits is None or bits.size != 1 or attribute(node, "narrow", 0):
            continue
        half, signed = 2.0 ** (float(bits.item()) - 1), int(attribute(node, "signed", 1))
        if not zero.size or (zero != (-half if signed else half)).any():
            continue
        node.input[2] = constant(model, 0)
        set_attribute(node, "signed", 1 - signed)
        return True
    return False


def rectified_as_unsigned(model: ModelWrapper) -> bool:
    """Write a signed quantiser of values that are not negative as an unsigned one of a bit less."""
    for node in model.graph.node:
        before = model.find_producer(node.input[0]) if node.op_type == "Quant" else None
        if before is None or before.op_type != "Relu" or not attribute(node, "signed", 1):
            continue
        zero, bits = (model.get_initializer(node.input[n]) for n in (2, 3))
        if any(value is None or value.size != 1 for value in (zero, bits)) or zero.item():
            continue
        if bits.item() < 2:
            continue
        node.input[3] = constant(model, bits.item() - 1)
        set_attribute(node, "signed", 0)
        set_attribute(node, "narrow", 0)
        return True
    return False


def rectify_before_quantiser(model: ModelWrapper) -> bool:
    """Move a ReLU behind a signed quantiser before it, which is then unsigned, of a bit less."""
    for node in model.graph.node:
        found, relu = _uniform(model, node), reader(model, node.output[0])
        if found is None or relu is None or relu.op_type != "Relu":
            continue
        _, low, high = found
        below = readers(model, relu.output[0])
        if low >= 0 or high < 1 or any(one.op_type in QUANTISERS for one in below):
            continue
        shape = shape_of(model, node.input[0])
        node.input[0] = insert(model, node, "Relu", [node.input[0]], shape)
        node.input[3] = constant(model, int(high).bit_length())
        set_attribute(node, "signed", 0)
        set_attribute(node, "narrow", 0)
        remove(model, relu)
        return True
    return False


def write_differences(model: ModelWrapper) -> bool:
    """Add the negative of a stream that is subtracted, and write that as a factor of −1."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Neg":
            node.op_type = "Mul"
            node.input.append(constant(model, -1))
            return True
        if node.op_type == "Sub" and node.input[1] not in constants:
            taken = node.input[1]
            node.input[1] = insert(model, node, "Neg", [taken], shape_of(model, taken))
            node.op_type = "Add"
            return True
    return False


def merge_quantisers(model: ModelWrapper) -> bool:
    """Merge a quantiser, with or without a ReLU behind it, into the next where one does both."""
    for node in model.graph.node:
        first = _uniform(model, node)
        after = reader(model, node.output[0])
        if first is None or after is None:
            continue
        rectified = after.op_type == "Relu"
        step, low, high = first
        if rectified and low >= 0:
            remove(model, after)
            return True
        second = reader(model, after.output[0]) if rectified else after
        found = None if second is None else _uniform(model, second)
        if second is None or found is None or found[0] != step:
            continue
        low = max(low, 0) if rectified else low
        if rectified and low == 0 and found[1] == 0 and found[2] == high:
            # values above 0 meet the same steps and the same end
            remove(model, node)
            return True
        if not rectified and found[1] <= low and high <= found[2]:
            # every value of the first is one of the second
            remove(model, second)
            return True
    return False


def _uniform(model: ModelWrapper, node: NodeProto) -> tuple[float, float, float] | None:
    """Return the step and the limits of a stream's quantiser of one scale without a zero point."""
    if node.op_type != "Quant" or stream_input(model, node) != 0:
        return None
    scale, zero, bits = (model.get_initializer(name) for name in node.input[1:4])
    if any(value is None or value.size != 1 for value in (scale, zero, bits)) or zero.item():
        return None
    if not rounds_half_even(node):
        return None
    count, narrow = float(bits.item()), bool(attribute(node, "narrow", 0))
    if attribute(node, "signed", 1):
        high = 2 ** (count - 1) - 1
        return float(scale.item()), -high - (not narrow), high
    return float(scale.item()), 0.0, 2**count - 1 - narrow


def write_windows(model: ModelWrapper) -> bool:
    """Write what a convolution or pooling leaves to its defaults, or to ``auto_pad``."""
    for node in model.graph.node:
        if node.op_type not in ("Conv", "MaxPool", "AveragePool"):
            continue
        sizes = shape_of(model, node.input[0])[2:]
        kernel = attribute(node, "kernel_shape")
        if node.op_type == "Conv":
            kernel = list(shape_of(model, node.input[1])[2:])
        strides, dilations = (
            attribute(node, name, [1] * len(sizes)) for name in ("strides", "dilations")
        )
        same = str(attribute(node, "auto_pad", "NOTSET"))
        pads = attribute(node, "pads", [0] * (2 * len(sizes)))
        if same.startswith("SAME"):
            missing = [
                max(0, (-(-size // stride) - 1) * stride + dilation * (side - 1) + 1 - size)
                for size, side, stride, dilation in zip(
                    sizes, kernel, strides, dilations, strict=True
                )
            ]
            less, more = [n // 2 for n in missing], [n - n // 2 for n in missing]
            pads = [*more, *less] if same == "SAME_LOWER" else [*less, *more]
        written = {"kernel_shape": kernel, "strides": strides, "pads": pads, "auto_pad": "NOTSET"}
        if node.op_type == "Conv":
            written |= {"dilations": dilations, "group": attribute(node, "group", 1)}
        if any(attribute(node, name) != value for name, value in written.items()):
            for name, value in written.items():
                set_attribute(node, name, value)
            return True
    return False


def move_pads(model: ModelWrapper) -> bool:
    """Move a padding with 0 into the convolution that reads it."""
    for node in model.graph.node:
        behind = reader(model, node.output[0]) if node.op_type == "Pad" else None
        if behind is None or behind.op_type != "Conv" or behind.input[0] != node.output[0]:
            continue
        pads, rank = zeros_around(model, node), len(shape_of(model, node.input[0]))
        if pads is None or any(pads[:2] + pads[rank:][:2]):
            continue
        if attribute(behind, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            continue
        own = attribute(behind, "pads", [0] * (2 * (rank - 2)))
        more = [*pads[2:rank], *pads[rank + 2 :]]
        set_attribute(behind, "pads", [a + b for a, b in zip(own, more, strict=True)])
        set_attribute(behind, "auto_pad", "NOTSET")
        remove(model, node)
        return True
    return False


def zeros_around(model: ModelWrapper, node: NodeProto) -> list[int] | None:
    """Return how many zeros a Pad puts before each dimension and behind; None for other nodes."""
    if node.op_type != "Pad" or attribute(node, "mode", "constant") != "constant":
        return None
    rank = len(shape_of(model, node.input[0]))
    constants = [model.get_initializer(name) for name in node.input[1:3] if name]
    if any(one is None for one in constants):
        return None
    pads = list(attribute(node, "pads", constants[0] if constants else []))
    filled = constants[1].item() if len(constants) > 1 else attribute(node, "value", 0.0)
    fits = len(pads) == 2 * rank and filled == 0 and min(pads) >= 0
    return [int(n) for n in pads] if fits else None


_SAME = ("Identity", "Dropout")


def remove_identity(model: ModelWrapper) -> bool:
    """Remove a node that passes its input on."""
    for node in model.graph.node:
        if node.op_type in _SAME and stream_input(model, node) == 0:
            count = len(model.graph.node)
            remove(model, node)
            if len(model.graph.node) < count:
                return True
    return False
