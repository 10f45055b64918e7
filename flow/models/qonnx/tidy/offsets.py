"""Rules that move an offset of quantised values, as of LSQ+, behind the layer that reads them.

Values s · q + β, of whole numbers q, are no multiples of one step. A layer makes of β a number for
each of its outputs, as long as it puts no zeros around an image. An offset of whole steps may stay.
"""

import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    LAYERS,
    QUANTISERS,
    attribute,
    constant,
    insert,
    insert_behind,
    number_of,
    reader,
    readers,
    set_attribute,
    shape_of,
    shift_of,
    stream_input,
)
from flow.models.qonnx.tidy.functions import levels_of
from flow.models.qonnx.tidy.ranges import PASSING
from flow.models.qonnx.tidy.roundings import to_thresholds
from flow.models.qonnx.tidy.steps import steps_of
from flow.models.qonnx.tidy.weights import quantised_constant

_AVERAGES = ("GlobalAveragePool", "AveragePool", "ReduceMean")
_WHOLE = 1e-4
"""Largest distance of a whole number of steps, from float32's rounding."""


def part_offset(model: ModelWrapper) -> bool:
    """Put a shift behind a quantiser whose values are no multiples of its step."""
    for node in model.graph.node:
        if node.op_type not in QUANTISERS or stream_input(model, node) != 0:
            continue
        if node.op_type == "MultiThreshold":
            offset = float(attribute(node, "out_bias", 0.0))
            if is_whole(model, node, offset):
                continue
            set_attribute(node, "out_bias", 0.0)
        else:
            given = [model.get_initializer(name) for name in node.input[1:3]]
            if node.op_type != "Quant" or any(one is None or one.size != 1 for one in given):
                continue
            scale, zero = (float(one.item()) for one in given)
            if zero == round(zero):
                continue
            offset = -zero * scale
            source, back = node.input[0], constant(model, -offset)
            node.input[0] = insert(model, node, "Add", [source, back], shape_of(model, source))
            node.input[2] = constant(model, 0)
        shape = shape_of(model, node.output[0])
        insert_behind(model, node, "Add", shape, constants=[constant(model, offset)])
        return True
    return False


def is_whole(model: ModelWrapper, node: NodeProto, bias: float) -> bool:
    """Whether thresholds with a bias give multiples of their step, or −1 and 1 times half of it."""
    low = bias / float(attribute(node, "out_scale", 1.0))
    bipolar = shape_of(model, node.input[1])[1] == 1 and abs(low + 0.5) < _WHOLE
    return bipolar or _is_whole(low)


def include_whole_offset(model: ModelWrapper) -> bool:
    """Write a quantiser of values that are shifted by whole steps as thresholds, which shift."""
    for node in model.graph.node:
        levels = levels_of(model, node) if node.op_type == "Quant" else None
        behind = reader(model, node.output[0])
        offset = None if behind is None else shift_of(model, behind)
        if levels is None or offset is None or not _is_whole(offset / levels.scale):
            continue
        steps = steps_of(levels.count)
        assert steps is not None
        bias = levels.bias + steps.lowest * levels.scale
        to_thresholds(model, node, steps.numbers[None], levels.scale, bias)
        return True
    return False


def sink_offset(model: ModelWrapper) -> bool:
    """Move a shift of quantised values down past a pooling, a sum or a layer."""
    for node in model.graph.node:
        offset = shift_of(model, node)
        if offset is None or not _quantised(model, node.input[0]):
            continue
        for below in readers(model, node.output[0]):
            moved = _behind(model, below, node.output[0], offset)
            if moved is None:
                continue
            below.input[list(below.input).index(node.output[0])] = node.input[0]
            shape = shape_of(model, below.output[0])
            insert_behind(model, below, "Add", shape, constants=[constant(model, moved)])
            return True
    return False


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < _WHOLE


def _quantised(model: ModelWrapper, stream: str) -> bool:
    """Whether a stream holds quantised values, or averages and sums of such."""
    node = model.find_producer(stream)
    if node is None or node.op_type in QUANTISERS:
        return node is not None
    own = [name for name in node.input if name and model.get_initializer(name) is None]
    passes = node.op_type in (*PASSING, *_AVERAGES, "Add", "Mul", "Div")
    return passes and all(_quantised(model, name) for name in own)


def _behind(
    model: ModelWrapper, node: NodeProto, stream: str, offset: float
) -> npt.NDArray | float | None:
    """Return what a node makes of an offset of a stream that it reads; None if no constant."""
    if node.op_type in PASSING:
        return offset
    if node.op_type in _AVERAGES:
        return None if any(attribute(node, "pads", [])) else offset
    if node.op_type == "Add" and stream_input(model, node) is None:
        return offset
    if node.op_type in ("Mul", "Div") and (number := number_of(model, node)) is not None:
        return offset * number if node.op_type == "Mul" else offset / number
    if node.op_type not in LAYERS or stream == node.input[1] or any(attribute(node, "pads", [])):
        return None
    weights = quantised_constant(model, node.input[1])
    if weights is None or attribute(node, "transA", 0):
        return None
    if node.op_type == "Conv":
        sums = weights.reshape(len(weights), -1).sum(1)
        return offset * sums.reshape(1, -1, *[1] * (weights.ndim - 2))
    sums = weights.sum(1 if attribute(node, "transB", 0) else 0)
    return offset * sums * float(attribute(node, "alpha", 1.0)) if weights.ndim == 2 else None
