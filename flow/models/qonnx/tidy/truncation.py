"""QONNX's Trunc, which drops low bits of a sum, written as thresholds."""

import math
from collections.abc import Callable

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import CUSTOM, MOST_BITS, attribute, constant, rounding_of

_KEEPING_SIGN = ("AveragePool", "GlobalAveragePool", "MaxPool", "Reshape", "Flatten", "Transpose")


def truncation_to_thresholds(model: ModelWrapper) -> bool:
    """Write a Trunc as a MultiThreshold, whose thresholds lie between the whole numbers.

    Trunc counts its input in steps, divides by a power of two and rounds, usually down. Version 1
    keeps the step and has no limits; version 2 names the step of its output and limits that.
    """
    for node in model.graph.node:
        if node.op_type != "Trunc" or len(node.input) not in (5, 6):
            continue
        given = [model.get_initializer(name) for name in node.input[1:]]
        if any(value is None or value.size != 1 for value in given) or given[1].item():
            continue
        step, bits = float(given[0].item()), int(given[-1].item())
        if not (step > 0 and 1 <= bits <= MOST_BITS):
            continue
        if len(node.input) == 6:
            # the step of the output, whose ratio is a power of two
            output, signed = float(given[3].item()), bool(attribute(node, "signed", 1))
            shift = round(math.log2(output / step)) if output > 0 else -1
        else:
            output, signed = step, _may_be_negative(model, node.input[0])
            shift = int(given[2].item()) - bits
        rounded = rounding_of(node)
        if not 0 <= shift <= 30 or rounded is None:
            continue
        narrow = bool(attribute(node, "narrow", 0))
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        low = -high - 1 + narrow if signed else 0
        _replace(model, node, rounded, shift, range(low, high + 1), step, output)
        return True
    return False


def _replace(
    model: ModelWrapper,
    node: NodeProto,
    rounded: Callable[[np.ndarray], np.ndarray],
    shift: int,
    levels: range,
    step: float,
    output: float,
) -> None:
    reached = [_least(rounded, level, 2**shift) for level in levels[1:]]
    thresholds = constant(model, [[(count - 0.5) * step for count in reached]])
    replacement = helper.make_node(
        "MultiThreshold",
        [node.input[0], thresholds],
        list(node.output),
        name=node.name,
        domain=CUSTOM,
        out_dtype="FLOAT32",
        out_scale=output,
        out_bias=levels[0] * output,
    )
    replacement.metadata_props.extend(node.metadata_props)
    nodes = model.graph.node
    nodes.insert(list(nodes).index(node), replacement)
    nodes.remove(node)


def _least(rounded: Callable[[np.ndarray], np.ndarray], level: int, divisor: int) -> int:
    """Return the smallest whole number that, divided and rounded, is at least a level."""
    found, above = (level - 1) * divisor - 1, level * divisor
    # every rounding gives less than the level at the first, and at least it at the last
    while above - found > 1:
        middle = (above + found) // 2
        if rounded(np.asarray(middle / divisor)) >= level:
            above = middle
        else:
            found = middle
    return above


def _may_be_negative(model: ModelWrapper, tensor: str) -> bool:
    """Whether a stream may hold values below 0, as far as the nodes before it show."""
    producer = model.find_producer(tensor)
    if producer is None:
        return True
    if producer.op_type == "Mul":
        factor = model.get_initializer(producer.input[1])
        return factor is None or (factor < 0).any() or _may_be_negative(model, producer.input[0])
    if producer.op_type in _KEEPING_SIGN:
        return _may_be_negative(model, producer.input[0])
    if producer.op_type == "Quant":
        return bool(attribute(producer, "signed", 1))
    if producer.op_type == "MultiThreshold":
        return float(attribute(producer, "out_bias", 0.0)) < 0
    return producer.op_type != "Relu"
