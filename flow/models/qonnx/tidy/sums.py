"""Sums of two quantised streams, whose integers must have one step."""

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import constant, insert, shape_of, stream_input
from flow.models.qonnx.tidy.monotone import Levels, levels_of, rises

_PASSING = ("MaxPool", "Reshape", "Flatten", "Transpose")
_MOST_BITS = 10
_NEAR = 1e-6
"""Relative error of a ratio of steps that is taken for a whole number: float32's own."""


def share_steps(model: ModelWrapper) -> bool:
    """Count the coarser operand of a sum in steps of the finer, if it has a whole number of them.

    Its values stay; a node of thresholds before the sum writes them so.
    """
    for node in model.graph.node:
        if node.op_type != "Add" or stream_input(model, node) is not None:
            continue
        levels = [_levels(model, name) for name in node.input]
        both = [one for one in levels if one is not None and not one.bias]
        if len(both) < 2:
            continue
        coarse = int(np.argmax([one.scale for one in both]))
        wide, fine = both[coarse], both[1 - coarse]
        ratio = wide.scale / fine.scale
        times = round(ratio)
        if times < 2 or abs(ratio - times) > _NEAR * times:
            continue
        found, low = rises(lambda x: times * wide.count(x))  # noqa: B023
        if len(found) >= 2**_MOST_BITS:
            continue
        stream = node.input[coarse]
        node.input[coarse] = insert(
            model, node, "MultiThreshold", [stream, constant(model, found[None])],
            shape_of(model, stream), out_dtype="FLOAT32", out_scale=fine.scale,
            out_bias=low * fine.scale,
        )  # fmt: skip
        return True
    return False


def _levels(model: ModelWrapper, stream: str) -> Levels | None:
    """Return the levels of the quantiser whose values a stream holds."""
    producer = model.find_producer(stream)
    while producer is not None and producer.op_type in _PASSING:
        producer = model.find_producer(producer.input[0])
    return None if producer is None else levels_of(model, producer)
