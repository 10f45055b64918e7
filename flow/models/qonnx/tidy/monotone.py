"""Functions in front of a quantiser, such as a tanh, written with it as thresholds.

A function that never falls, and then a quantiser, give one step more at each of a few inputs: the
thresholds. They are found among all float32 numbers, so that they are exact. A quantiser is such a
function itself, so that of several in a row one is left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.tidy.edits import (
    CUSTOM,
    QUANTISERS,
    attribute,
    constant,
    reader,
    rounding_of,
    rounds_half_even,
    shape_of,
    stream_input,
)

Floats = npt.NDArray[np.float32]
Function = Callable[[Floats], Floats]

_FUNCTIONS = (
    *("Tanh", "Sigmoid", "Clip", "HardSigmoid", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu"),
    *("Softplus", "Softsign", "Erf", "ThresholdedRelu"),
)
_ARITHMETIC = ("Mul", "Div", "Add", "Sub", "Max", "Min", "Relu")
"""What may stand behind a function or a quantiser, with one number as the other operand."""
_MOST_BITS = 10
_PROBES = np.concatenate([-np.geomspace(1e-6, 1e6, 500)[::-1], np.geomspace(1e-6, 1e6, 500)])


@dataclass(frozen=True)
class Levels:
    """A quantiser as a count of steps: its value is scale · count + bias."""

    count: Callable[[Floats], npt.NDArray]
    """Whole number for each input."""
    scale: float
    bias: float = 0.0

    def __call__(self, x: Floats) -> Floats:
        """Return the quantised values."""
        counts = self.count(x).astype(np.float32)
        return counts * np.float32(self.scale) + np.float32(self.bias)


def functions_to_thresholds(model: ModelWrapper) -> bool:
    """Write functions or quantisers and the quantiser behind them, or a zero point, as thresholds.

    The functions are those that never fall.
    """
    for node in model.graph.node:
        nodes = _chain(model, node)
        last = nodes[-1] if nodes else node
        levels = levels_of(model, last)
        if levels is None or not _simpler(model, nodes):
            continue
        functions = [_function(model, one) for one in nodes[:-1]]
        with np.errstate(all="ignore"):
            if any((np.diff(one(_PROBES.astype(np.float32))) < 0).any() for one in functions):
                continue
            found, low = rises(lambda x: _composed(functions, levels, x))  # noqa: B023
        if not len(found):
            continue
        index = stream_input(model, nodes[0])
        assert index is not None
        replacement = helper.make_node(
            "MultiThreshold",
            [nodes[0].input[index], constant(model, found[None])],
            list(last.output),
            name=last.name,
            domain=CUSTOM,
            out_dtype="FLOAT32",
            out_scale=levels.scale,
            out_bias=levels.bias + low * levels.scale,
        )
        replacement.metadata_props.extend(last.metadata_props)
        every = model.graph.node
        every.insert(list(every).index(last), replacement)
        for one in nodes:
            every.remove(one)
        return True
    return False


def _composed(functions: Sequence[Function], levels: Levels, x: Floats) -> npt.NDArray:
    for function in functions:
        x = function(x)
    return levels.count(x)


def quantise_before_pool(model: ModelWrapper) -> bool:
    """Move a quantiser up past a max pooling to the quantiser before that, which it then joins."""
    for node in model.graph.node:
        pool = model.find_producer(node.input[0]) if levels_of(model, node) else None
        if pool is None or pool.op_type != "MaxPool" or reader(model, pool.output[0]) is None:
            continue
        source = pool.input[0]
        before = model.find_producer(source)
        if before is None or not levels_of(model, before) or reader(model, source) is None:
            continue
        quantised = model.make_new_valueinfo_name()
        model.set_tensor_shape(quantised, shape_of(model, source))
        pool.output[0], node.output[0] = node.output[0], quantised
        node.input[0], pool.input[0] = source, quantised
        every = model.graph.node
        index = list(every).index(pool)
        every.remove(node)
        every.insert(index, node)
        return True
    return False


def rises(count: Callable[[Floats], npt.NDArray]) -> tuple[Floats, int]:
    """Return the least float32 at which a function reaches each of its values, and its lowest one.

    Args:
        count: whole numbers, for float32 of the same shape; it never falls.

    Returns:
        One number, rising, for each value above the lowest; and that.
    """
    largest = np.finfo(np.float32).max
    low, high = (int(count(np.array([end], dtype=np.float32))[0]) for end in (-largest, largest))
    values = np.arange(low + 1, high + 1)
    below, above = (np.full(len(values), _order(np.float32(end))) for end in (-largest, largest))
    while (above - below > 1).any():
        middle = (below + above) // 2
        reached = count(_number(middle)) >= values
        above, below = np.where(reached, middle, above), np.where(reached, below, middle)
    return _number(above), low


def _order(value: np.float32) -> int:
    """Return the place of a float32 in the order of all."""
    bits = int(value.view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _number(places: npt.NDArray[np.int64]) -> Floats:
    """Return the float32 at places in the order of all."""
    size = np.abs(places).astype(np.int32).view(np.float32)
    return np.where(places < 0, -size, size)


def _chain(model: ModelWrapper, node: NodeProto) -> list[NodeProto]:
    """Return the nodes from a function or quantiser to the last quantiser that follows directly.

    They are none if no quantiser follows a function.
    """
    found: list[NodeProto] = []
    end = 0
    behind: NodeProto | None = node
    while behind is not None:
        quantises = levels_of(model, behind) is not None
        known = (*_FUNCTIONS, *(_ARITHMETIC if found else ("Relu",)))
        if not quantises and not (behind.op_type in known and _of_numbers(model, behind)):
            break
        found.append(behind)
        end = len(found) if quantises else end
        behind = reader(model, behind.output[0])
    return found[:end]


def _of_numbers(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node reads one stream, and else single numbers."""
    if stream_input(model, node) is None:
        return False
    others = [model.get_initializer(name) for name in node.input if name]
    return all(one is None or one.size == 1 for one in others)


def _function(model: ModelWrapper, node: NodeProto) -> Function:
    """Return what a node computes of each value; functions by onnx's own implementation."""
    levels = levels_of(model, node)
    if levels is not None:
        return levels
    numbers = [
        numpy_helper.from_array(np.asarray(found, dtype=np.float32).reshape(()), name)
        for name in {name for name in node.input if name}
        if (found := model.get_initializer(name)) is not None
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["values"])
        for name in (node.input[stream_input(model, node) or 0], node.output[0])
    ]
    graph = helper.make_graph([node], "function", ends[:1], ends[1:], numbers)
    imports = [one for one in model.model.opset_import if one.domain in ("", "ai.onnx")]
    run = ReferenceEvaluator(helper.make_model(graph, opset_imports=imports))

    def function(x: Floats) -> Floats:
        (found,) = run.run(None, {ends[0].name: x})  # type: ignore[misc]  # one output
        return np.asarray(found, dtype=np.float32)

    return function


def levels_of(model: ModelWrapper, node: NodeProto) -> Levels | None:
    """Return a quantiser of a stream with one step for all as levels; None for anything else."""
    if node.op_type not in QUANTISERS or stream_input(model, node) != 0:
        return None
    given = [model.get_initializer(name) for name in node.input[1:]]
    if any(one is None for one in given):
        return None
    if node.op_type == "MultiThreshold":
        return _of_thresholds(node, given[0]) if len(given[0]) == 1 else None
    if any(one.size != 1 for one in given):
        return None
    if node.op_type == "BipolarQuant":
        scale = float(given[0].item())
        return Levels(lambda x: x >= 0, 2 * scale, -scale)
    scale, zero, bits = (float(one.item()) for one in given)
    if zero != round(zero) or not 1 <= bits <= _MOST_BITS:
        return None
    signed, narrow = (bool(attribute(node, name, 0)) for name in ("signed", "narrow"))
    quant = Quant(torch.tensor(scale), torch.tensor(zero), int(bits), signed=signed, narrow=narrow)
    rounded = rounding_of(node)
    if quant.bipolar or rounded is None:
        return None
    step, limits = np.float32(scale), quant.limits
    return Levels(lambda x: rounded(np.clip(x / step + np.float32(zero), *limits)) - zero, scale)


def _simpler(model: ModelWrapper, nodes: Sequence[NodeProto]) -> bool:
    """Whether a chain is simpler as thresholds: not a usual quantiser, nor one behind a ReLU."""
    if len(nodes) == 1:
        zero = model.get_initializer(nodes[0].input[2]) if nodes[0].op_type == "Quant" else None
        return zero is not None and (bool(zero.any()) or not rounds_half_even(nodes[0]))
    return nodes[0].op_type != "Relu" or nodes[-1].op_type == "MultiThreshold"


def _of_thresholds(node: NodeProto, rows: Floats) -> Levels:
    scale = float(attribute(node, "out_scale", 1.0))
    bias = float(attribute(node, "out_bias", 0.0))
    ordered: Floats = np.sort(rows[0])
    return Levels(lambda x: np.searchsorted(ordered, x, side="right"), scale, bias)
