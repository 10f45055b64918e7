"""Quantisers that are written as arithmetic: divide, limit, round and multiply.

So do LSQ, PACT, DoReFa and other quantisers that people write in torch, and torch's own fake
quantisers. A rounding becomes a quantiser, whose bits follow from the limits of what it rounds.
"""

import math
from collections.abc import Sequence

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    CUSTOM,
    FALLS,
    MOST_BITS,
    QUANTISERS,
    attribute,
    constant,
    insert,
    number_of,
    read_instead,
    reader,
    readers,
    remove,
    set_attribute,
    shape_of,
    shift_of,
    stream_input,
)
from flow.models.qonnx.tidy.functions import range_before
from flow.models.qonnx.tidy.ranges import (
    AROUND,
    EVERY,
    PASSING,
    limits_of,
    quantised_range,
    range_of,
)
from flow.models.qonnx.tidy.steps import Floats, steps_of

ROUNDINGS = {"Round": "ROUND", "Floor": "FLOOR", "Ceil": "CEIL"}
"""Operators that round, with the name of the mode."""
_OUTPUT = (("scale", 1.0), ("bias", 0.0))
"""Attributes of a MultiThreshold behind ``out_``, with what they are if left out."""


def drop_straight_through(model: ModelWrapper) -> bool:
    """Replace x + (q − x), which passes gradients on in training, by q."""
    for node in model.graph.node:
        quantised = _straight_through(model, node)
        if quantised is not None:
            read_instead(model, node.output[0], quantised)
            model.graph.node.remove(node)
            return True
    return False


def _straight_through(model: ModelWrapper, node: NodeProto) -> str | None:
    """Return q of a node that computes x + (q − x), x − (x − q) or (q + x) − x."""
    if node.op_type not in ("Add", "Sub"):
        return None
    first, second = node.input
    before, behind = model.find_producer(first), model.find_producer(second)
    if behind is not None and behind.op_type == "Sub":
        own = 0 if node.op_type == "Sub" else 1
        if behind.input[own] == first:
            return behind.input[1 - own]
    if before is not None and node.op_type == "Add" and before.op_type == "Sub":
        return before.input[0] if before.input[1] == second else None
    if before is not None and node.op_type == "Sub" and before.op_type == "Add":
        others = [name for name in before.input if name != second]
        return others[0] if len(others) == 1 else None
    return None


def extreme_to_limit(model: ModelWrapper) -> bool:
    """Write the maximum or minimum of a stream and a number as a limit."""
    for node in model.graph.node:
        if node.op_type not in ("Max", "Min") or len(node.input) != 2:
            continue
        index = stream_input(model, node)
        number = None if index is None else model.get_initializer(node.input[1 - index])
        if number is None or number.size != 1:
            continue
        limit = constant(model, number.reshape(()))
        ends = [limit] if node.op_type == "Max" else ["", limit]
        node.input[:] = [node.input[index], *ends]
        node.op_type = "Clip"
        return True
    return False


def limit_before_rounding(model: ModelWrapper) -> bool:
    """Move a limit to whole numbers from behind a rounding, and a whole shift, in front of it."""
    for node in model.graph.node:
        if node.op_type != "Clip" or stream_input(model, node) != 0:
            continue
        limits, before = limits_of(model, node), model.find_producer(node.input[0])
        shift = None if before is None else shift_of(model, before)
        if before is not None and shift is not None:
            if reader(model, before.output[0]) is None:
                continue
            before = model.find_producer(before.input[0])
        shift = shift or 0.0
        if before is None or before.op_type not in ROUNDINGS or limits is None:
            continue
        if reader(model, before.output[0]) is None or not _whole((shift, *limits)):
            continue
        ends = [constant(model, limit - shift) for limit in limits]
        source = before.input[0]
        before.input[0] = insert(model, before, "Clip", [source, *ends], shape_of(model, source))
        remove(model, node)
        return True
    return False


def merge_shifts(model: ModelWrapper) -> bool:
    """Merge two shifts in a row of rounded or quantised values, as by a zero point and back."""
    for node in model.graph.node:
        behind, shift = reader(model, node.output[0]), shift_of(model, node)
        more = None if behind is None else shift_of(model, behind)
        if behind is None or shift is None or more is None:
            continue
        before = model.find_producer(node.input[0])
        if before is None or before.op_type not in (*ROUNDINGS, *QUANTISERS):
            continue
        if shift + more:
            behind.input[1] = constant(model, shift + more)
            behind.op_type = "Add"
        else:
            remove(model, behind)
        remove(model, node)
        return True
    return False


def drop_idle_limit(model: ModelWrapper) -> bool:
    """Remove a limit that its stream never meets, or that the quantiser behind it has as well."""
    for node in model.graph.node:
        if node.op_type != "Clip" or stream_input(model, node) != 0:
            continue
        limits, behind = limits_of(model, node), reader(model, node.output[0])
        if limits is None:
            continue
        known = [range_of(model, node.input[0])]
        if behind is not None and behind.op_type == "Quant":
            known.append(quantised_range(model, behind) or EVERY)
        if any(limits[0] <= low and high <= limits[1] for low, high in known):
            remove(model, node)
            return True
    return False


def round_to_quantiser(model: ModelWrapper) -> bool:
    """Write the rounding of a limited stream as a quantiser with a step of 1, or as thresholds."""
    for node in model.graph.node:
        if node.op_type not in ROUNDINGS or stream_input(model, node) != 0:
            continue
        around = AROUND[node.op_type]
        known = range_of(model, node.input[0])
        if not all(map(math.isfinite, known)):
            known = range_before(model, node) or known
        ends = [float(around(np.float64(end))) for end in known]
        if not all(map(math.isfinite, ends)):
            continue
        low, high = map(int, ends)
        signed = low < 0
        bits = max(high.bit_length(), (-low - 1).bit_length() if signed else 1) + signed
        if bits > MOST_BITS:
            continue
        if _scaled_behind(model, node):
            steps = steps_of(lambda x: around(np.clip(x, low, high)))  # noqa: B023
            assert steps is not None
            to_thresholds(model, node, steps.numbers[None], 1.0, float(low))
            return True
        narrow = int(signed and low == -high and high == 2 ** (bits - 1) - 1)
        node.input.extend(constant(model, number) for number in (1, 0, bits))
        set_attribute(node, "rounding_mode", ROUNDINGS[node.op_type])
        set_attribute(node, "signed", int(signed))
        set_attribute(node, "narrow", narrow)
        node.op_type, node.domain = "Quant", CUSTOM
        return True
    return False


def _scaled_behind(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether what is rounded is scaled or shifted, other than back by what it was divided by."""
    behind = reader(model, node.output[0])
    if behind is None or behind.op_type not in ("Mul", "Div", "Add", "Sub"):
        return False
    if stream_input(model, behind) is None:
        return False
    before = model.find_producer(node.input[0])
    while before is not None and before.op_type == "Clip":
        before = model.find_producer(before.input[0])
    return before is None or not _cancel(model, before, behind)


def to_thresholds(
    model: ModelWrapper, node: NodeProto, rows: Floats, scale: float, bias: float
) -> None:
    """Turn a node into thresholds, [1 or C, steps], of its first input."""
    del node.attribute[:]
    node.input[1:] = [constant(model, rows)]
    node.op_type, node.domain = "MultiThreshold", CUSTOM
    for name, value in (("out_dtype", "FLOAT32"), ("out_scale", scale), ("out_bias", bias)):
        set_attribute(node, name, value)


def cancel_scale(model: ModelWrapper) -> bool:
    """Merge a division, a quantiser with a step of 1 and the multiplication back into one."""
    for node in model.graph.node:
        before, behind = model.find_producer(node.input[0]), reader(model, node.output[0])
        if node.op_type != "Quant" or before is None or behind is None:
            continue
        given = [model.get_initializer(name) for name in node.input[1:3]]
        if any(one is None or one.size != 1 for one in given) or given[0].item() != 1:
            continue
        if given[1].item() or reader(model, before.output[0]) is None:
            continue
        if not _cancel(model, before, behind):
            continue
        node.input[1] = constant(model, model.get_initializer(before.input[1]))
        remove(model, before)
        remove(model, behind)
        return True
    return False


def _cancel(model: ModelWrapper, before: NodeProto, behind: NodeProto) -> bool:
    """Whether a node divides by the positive constant that another multiplies with."""
    if before.op_type != "Div" or behind.op_type != "Mul" or stream_input(model, before) != 0:
        return False
    index = stream_input(model, behind)
    if index is None:
        return False
    one, other = (
        model.get_initializer(name) for name in (before.input[1], behind.input[1 - index])
    )
    return one.size == other.size and bool((one.ravel() == other.ravel()).all() and (one > 0).all())


def sign_to_thresholds(model: ModelWrapper) -> bool:
    """Write a sign, which is −1, 0 or 1, as two thresholds."""
    for node in model.graph.node:
        if node.op_type == "Sign" and stream_input(model, node) == 0:
            numbers = np.array([[0.0, np.nextafter(np.float32(0), np.float32(1))]], np.float32)
            to_thresholds(model, node, numbers, 1.0, -1.0)
            return True
    return False


def choice_to_threshold(model: ModelWrapper) -> bool:
    """Write what a comparison with a number decides, such as ``where(x > c, a, b)``."""
    for node in model.graph.node:
        compared = model.find_producer(node.input[0]) if node.input else None
        if compared is None or node.op_type not in ("Where", "Cast"):
            continue
        found = _threshold_of(model, compared)
        if found is None:
            continue
        number, from_there = found
        above, below = 1.0, 0.0
        if node.op_type == "Where":
            values = [model.get_initializer(name) for name in node.input[1:]]
            if any(one is None or one.size != 1 for one in values):
                continue
            above, below = (float(one.item()) for one in values)
        if not from_there:
            above, below = below, above
        node.input[0] = compared.input[0]
        rows = np.array([[number]], np.float32)
        to_thresholds(model, node, rows, abs(above - below), min(above, below))
        if above < below:
            set_attribute(node, FALLS, [1])
        return True
    return False


def _threshold_of(model: ModelWrapper, node: NodeProto) -> tuple[float, bool] | None:
    """Return the least float32 from which a comparison gives another answer, and whether true."""
    if node.op_type not in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        return None
    number = number_of(model, node)
    if number is None:
        return None
    # above a number begins with the next one
    behind = node.op_type in ("Greater", "LessOrEqual")
    if behind:
        number = float(np.nextafter(np.float32(number), np.float32(np.inf)))
    return number, node.op_type.startswith("Greater")


def widen_signs(model: ModelWrapper) -> bool:
    """Give values of −1 and 1 two bits where what reads them needs a 0 between.

    A padding puts a 0 beside them, and averages and sums have values between them.
    """
    for node in model.graph.node:
        if not _is_sign(model, node) or not _needs_zero(model, node.output[0]):
            continue
        if node.op_type == "BipolarQuant":
            rows = np.zeros((1, 1), np.float32)
            step, falls = float(model.get_initializer(node.input[1]).item()), []
        else:
            rows = model.get_initializer(node.input[1])
            step = float(attribute(node, "out_scale", 1.0)) / 2
            falls = attribute(node, FALLS, [])
        to_thresholds(model, node, np.repeat(rows, 2, axis=1), step, -step)
        if falls:
            set_attribute(node, FALLS, [*falls, *falls])
        return True
    return False


def _is_sign(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node quantises a stream to −s and s."""
    if node.op_type not in QUANTISERS or stream_input(model, node) != 0:
        return False
    if node.op_type == "BipolarQuant":
        scale = model.get_initializer(node.input[1])
        return scale is not None and scale.size == 1
    if node.op_type != "MultiThreshold":
        return False
    rows = model.get_initializer(node.input[1])
    scale, bias = (float(attribute(node, f"out_{name}", usual)) for name, usual in _OUTPUT)
    return rows.shape[1] == 1 and bias == -scale / 2


def _needs_zero(model: ModelWrapper, tensor: str) -> bool:
    """Whether something that reads a tensor, or its largest values, needs a 0 in it."""
    for node in readers(model, tensor):
        if node.op_type in PASSING and _needs_zero(model, node.output[0]):
            return True
        if node.op_type == "Conv" and any(attribute(node, "pads", [])):
            return True
        if node.op_type in ("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum"):
            return True
        if node.op_type in ("Add", "Mul") and stream_input(model, node) is None:
            return True
    return False


def _whole(numbers: Sequence[float]) -> bool:
    return all(math.isfinite(number) and number == round(number) for number in numbers)
