"""Rules about the end of a network: what lies behind the scores, and keeps their order."""

import math

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    FALLS,
    attribute,
    constant,
    end_at,
    insert,
    insert_behind,
    reader,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.functions import function_of, levels_of
from flow.models.qonnx.tidy.steps import steps_of

_RISING = ("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Tanh", "Softplus", "Softsign")
"""Functions that keep the order of the scores."""


_SIGMOIDS = ("Sigmoid", "HardSigmoid")


def _last(model: ModelWrapper) -> NodeProto | None:
    name = model.graph.output[0].name
    return next((node for node in model.graph.node if name in node.output), None)


def cut_rising(model: ModelWrapper) -> bool:
    """End before a function that keeps the order of the scores."""
    last = _last(model)
    if last is None or last.op_type not in _RISING or stream_input(model, last) != 0:
        return False
    one = shape_of(model, last.output[0])[-1] == 1
    if one and last.op_type in ("Softmax", "LogSoftmax", "Softplus"):
        return False
    _end_before(model, last)
    return True


def cut_quantised_softmax(model: ModelWrapper) -> bool:
    """End before the quantiser of a softmax, in at least 8 bits, as onnxruntime appends it.

    It keeps the order, but for classes of almost one probability.
    """
    last = _last(model)
    if last is None or last.op_type != "Quant" or stream_input(model, last) != 0:
        return False
    before, bits = model.find_producer(last.input[0]), model.get_initializer(last.input[3])
    if before is None or before.op_type != "Softmax" or bits is None or bits.min() < 8:
        return False
    _end_before(model, last)
    return True


def _end_before(model: ModelWrapper, last: NodeProto) -> None:
    source = last.input[0]
    model.graph.node.remove(last)
    end_at(model, source)


def cut_top(model: ModelWrapper) -> bool:
    """End before the choice of the largest score."""
    last = _last(model)
    if last is None or last.op_type not in ("TopK", "ArgMax"):
        return False
    shape = shape_of(model, last.input[0])
    axis = attribute(last, "axis", -1 if last.op_type == "TopK" else 0) % len(shape)
    if shape[axis] != max(shape) or not attribute(last, "largest", 1):
        return False
    if attribute(last, "select_last_index", 0):
        return False
    _end_before(model, last)
    return True


def decide_before_sigmoid(model: ModelWrapper) -> bool:
    """End a network of one output before a quantised sigmoid: class 1 is one of 0.5 or more.

    The score is the distance to the least number for which it is that, so 0 or more.
    """
    last = _last(model)
    if last is None or shape_of(model, last.output[0]) != (1, 1) or not levels_of(model, last):
        return False
    chain = [last]
    while (before := model.find_producer(chain[0].input[0])) is not None:
        if before.op_type not in _SIGMOIDS and not levels_of(model, before):
            break
        if reader(model, before.output[0]) is None:
            break
        chain.insert(0, before)
    if not any(node.op_type in _SIGMOIDS for node in chain):
        return False
    functions = [function_of(model, node) for node in chain]

    def decided(x: npt.NDArray[np.float32]) -> npt.NDArray:
        for node, function in zip(chain, functions, strict=True):
            x = function({node.input[0]: x})
        return x >= 0.5

    with np.errstate(all="ignore"):
        found = steps_of(decided)
    if found is None or len(found.numbers) != 1:
        return False
    source, shifted = chain[0].input[0], constant(model, -found.numbers)
    score = insert(model, last, "Add", [source, shifted], (1, 1))
    for node in chain:
        model.graph.node.remove(node)
    end_at(model, score)
    return True


def cut_decision(model: ModelWrapper) -> bool:
    """End a network of one output before its decision: class 1 is a score of 0 or more."""
    last = _last(model)
    if last is None or shape_of(model, last.output[0]) != (1, 1):
        return False
    if last.op_type == "BipolarQuant" and stream_input(model, last) == 0:
        _end_before(model, last)
        return True
    if last.op_type == "MultiThreshold":
        rows = model.get_initializer(last.input[1])
        if rows is None or rows.size != 1 or attribute(last, FALLS):
            return False
        shifted = constant(model, -rows.reshape(1))
        score = insert(model, last, "Add", [last.input[0], shifted], (1, 1))
        model.graph.node.remove(last)
        end_at(model, score)
        return True
    return False


def flatten_scores(model: ModelWrapper) -> bool:
    """Write scores as [1, classes], if their further dimensions are of size 1."""
    shape = shape_of(model, model.graph.output[0].name)
    last = _last(model)
    if last is None or len(shape) < 3 or max(shape) != math.prod(shape):
        return False
    flat = (1, max(shape))
    insert_behind(model, last, "Reshape", shape, constants=[constant(model, flat, np.int64)])
    output = last.output[0]
    behind = next(node for node in model.graph.node if output in node.input)
    model.set_tensor_shape(behind.output[0], flat)
    end_at(model, behind.output[0])
    return True
