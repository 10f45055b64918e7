"""Sums and concatenations of quantised streams, whose integers must have one step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    FALLS,
    attribute,
    constant,
    insert,
    is_output,
    reader,
    readers,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.functions import levels_of
from flow.models.qonnx.tidy.steps import reach

JOINS = ("Add", "Concat")
_PASSING = ("MaxPool", "Reshape", "Flatten", "Transpose")
POINTWISE = ("Quant", "BipolarQuant", "Relu", "Add", "Sub", "Mul", "Div")
CHANNELWISE = ("BatchNormalization", "MultiThreshold")
_NEAR = 1e-6
"""Relative error of a ratio of steps that is taken for a whole number: float32's own."""


@dataclass(frozen=True)
class _Range:
    """Values of a stream: whole numbers from low to high, in steps."""

    step: float
    low: int
    high: int


def joins(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node adds or concatenates streams alone."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return node.op_type in JOINS and len(node.input) > 1 and constants.isdisjoint(node.input)


def _range(model: ModelWrapper, stream: str) -> _Range | None:
    """Return the values of a quantised stream, or of a join of such; None for others."""
    producer = model.find_producer(stream)
    if producer is None:
        return None
    if producer.op_type in _PASSING:
        return _range(model, producer.input[0])
    if joins(model, producer):
        found = [_range(model, name) for name in producer.input]
        known = [one for one in found if one is not None]
        if len(known) < len(found) or len({one.step for one in known}) > 1:
            return None
        lows, highs = [one.low for one in known], [one.high for one in known]
        if producer.op_type == "Add":
            return _Range(known[0].step, sum(lows), sum(highs))
        return _Range(known[0].step, min(lows), max(highs))
    if producer.op_type == "MultiThreshold":
        # with a row for each channel or one for all
        rows = model.get_initializer(producer.input[1])
        falls = attribute(producer, FALLS, [])
        low, high = (0, None) if rows is None else reach(rows, falls)
        scale, bias = (
            float(attribute(producer, f"out_{name}", usual))
            for name, usual in (("scale", 1.0), ("bias", 0.0))
        )
    else:
        levels = levels_of(model, producer)
        if levels is None:
            return None
        ends = np.array([-1, 1], np.float32) * np.finfo(np.float32).max
        with np.errstate(all="ignore"):
            low, high = (int(count) for count in levels.count(ends))
        scale, bias = levels.scale, levels.bias
    if high is None or scale <= 0:
        return None
    shift = bias / scale
    if abs(shift - round(shift)) > _NEAR * max(1, abs(shift)):
        return None
    return _Range(scale, low + round(shift), high + round(shift))


def divide_concat(model: ModelWrapper) -> bool:
    """Give each reader of a concatenation one of its own, of all that concatenations before hold.

    Only if its branches are not quantised alike: the quantiser of each reader then moves up into
    them.
    """
    for node in model.graph.node:
        if node.op_type != "Concat" or not joins(model, node):
            continue
        if is_output(model, node.output[0]) or _alike(model, node):
            continue
        below = readers(model, node.output[0])
        for one in below[1:]:
            shape = shape_of(model, node.output[0])
            again = insert(model, one, "Concat", node.input, shape, axis=attribute(node, "axis"))
            for index, name in enumerate(one.input):
                one.input[index] = again if name == node.output[0] else name
        if len(below) > 1:
            return True
        if below and below[0].op_type == "Concat" and joins(model, below[0]):
            rank = len(shape_of(model, node.output[0]))
            (outer,) = below
            if attribute(outer, "axis") % rank == attribute(node, "axis") % rank:
                parts = [[*node.input] if n == node.output[0] else [n] for n in outer.input]
                del outer.input[:]
                outer.input.extend(name for part in parts for name in part)
                model.graph.node.remove(node)
                return True
    return False


def raise_past_concat(model: ModelWrapper) -> bool:
    """Move an operator on single values up into the branches of a concatenation.

    Only if these are not quantised alike: there, each layer needs a quantiser of its own.
    """
    for node in model.graph.node:
        if node.op_type != "Concat" or not joins(model, node):
            continue
        below = reader(model, node.output[0])
        shape = shape_of(model, node.output[0])
        axis = attribute(node, "axis") % len(shape)
        if below is None or axis != 1 or stream_input(model, below) is None:
            continue
        if below.op_type not in (*POINTWISE, *CHANNELWISE):
            continue
        if _alike(model, node):
            continue
        sizes = [shape_of(model, name)[axis] for name in node.input]
        parts = _split(model, below, sizes, len(shape))
        if parts is None:
            continue
        index = stream_input(model, below)
        for number, own in enumerate(parts):
            stream = node.input[number]
            output = model.make_new_valueinfo_name()
            model.set_tensor_shape(output, shape_of(model, stream))
            copy = NodeProto()
            copy.CopyFrom(below)
            copy.name, copy.output[0] = f"{below.name}_{number}", output
            for place in range(len(copy.input)):
                if place != index and place in own:
                    copy.input[place] = constant(model, own[place])
            copy.input[index] = stream
            model.graph.node.insert(list(model.graph.node).index(node), copy)
            node.input[number] = output
        model.graph.node.remove(below)
        node.output[0] = below.output[0]
        return True
    return False


def _alike(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether all operands of a join are quantised, in whole multiples of one step."""
    if not all(_quantised(model, name) for name in node.input):
        return False
    steps = [one.step for name in node.input if (one := _range(model, name)) is not None]
    return all(_multiple(step, min(steps)) is not None for step in steps)


def _multiple(step: float, finest: float) -> int | None:
    """Return how many times a step has another one; None if that is no whole number."""
    times = round(step / finest)
    return times if abs(step / finest - times) <= _NEAR * times else None


def _quantised(model: ModelWrapper, stream: str) -> bool:
    """Whether a stream holds quantised values, of whatever steps."""
    producer = model.find_producer(stream)
    if producer is None:
        return False
    if producer.op_type in _PASSING:
        return _quantised(model, producer.input[0])
    if joins(model, producer):
        return all(_quantised(model, name) for name in producer.input)
    return producer.op_type in ("Quant", "BipolarQuant", "MultiThreshold")


def _split(
    model: ModelWrapper, node: NodeProto, sizes: Sequence[int], rank: int
) -> list[dict[int, npt.NDArray]] | None:
    """Return an operator's constants for each part of the channels, by the index of the input."""
    parts: list[dict[int, npt.NDArray]] = [{} for _ in sizes]
    ends = np.cumsum(sizes)[:-1]
    for index, name in enumerate(node.input):
        values = model.get_initializer(name) if name else None
        if values is None:
            continue
        axis = 0 if node.op_type in CHANNELWISE else values.ndim - rank + 1
        if axis < 0 or axis >= values.ndim or values.shape[axis] == 1:
            for own in parts:
                own[index] = values
        elif values.shape[axis] == sum(sizes):
            for own, part in zip(parts, np.split(values, ends, axis=axis), strict=True):
                own[index] = part
        else:
            return None
    return parts
