"""Functions in front of a quantiser, such as a tanh or SiLU, written with it as thresholds.

A function of one number and then a quantiser give one step more, or one less, at each of a few
inputs: the thresholds. They are found among all float32 numbers, so that they are exact. A
quantiser is such a function itself, so that of several in a row one is left.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from onnx import NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.tidy.edits import (
    CUSTOM,
    FALLS,
    LAYERS,
    MOST_BITS,
    QUANTISERS,
    attribute,
    constant,
    is_output,
    reader,
    readers,
    rounding_of,
    rounds_half_even,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.steps import NUMBERS, Floats, Steps, of_channels, steps_at, steps_of

_FUNCTIONS = (
    *("Tanh", "Sigmoid", "Clip", "HardSigmoid", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu"),
    *("Softplus", "Softsign", "Erf", "ThresholdedRelu", "HardSwish", "Swish", "Gelu", "Mish"),
    *("Abs", "Sin", "Cos", "Pow", "Sqrt", "Exp", "Log", "Max", "Min"),
)
_ARITHMETIC = ("Mul", "Div", "Add", "Sub", "Relu", "Neg")
_NORM = "BatchNormalization"
"""What may stand behind a function or a quantiser, or join what functions of one stream give."""
_FAR = 2.0 ** (MOST_BITS + 1)
"""Distance in steps that no quantiser reaches."""


@dataclass(frozen=True)
class Levels:
    """A quantiser as a count of steps: its value is scale · count + bias."""

    count: Callable[[Floats], npt.NDArray]
    """Whole number for each input, which never falls."""
    scale: float
    bias: float = 0.0

    def __call__(self, x: Floats) -> Floats:
        """Return the quantised values."""
        counts = self.count(x).astype(np.float32)
        return counts * np.float32(self.scale) + np.float32(self.bias)


@dataclass(frozen=True)
class _Region:
    """Nodes that compute a quantised value of one stream alone, number by number."""

    source: str
    """Name of the stream."""
    nodes: tuple[NodeProto, ...]
    """Nodes in the order of the data flow, of which the last is a quantiser."""


def functions_to_thresholds(model: ModelWrapper) -> bool:
    """Write functions or quantisers and the quantiser behind them, or a zero point, as thresholds.

    Each channel may have constants of its own, such as the slopes of a PReLU or a batch norm.
    """
    for last in reversed(model.graph.node):
        levels = levels_of(model, last)
        region = None if levels is None else _region(model, last)
        if levels is None or region is None or not _simpler(model, region.nodes):
            continue
        mark = _fingerprint(model, region)
        found = None if mark in _REFUSED else _rows(model, region, levels)
        if found is None:
            _REFUSED.add(mark)
            continue
        rows, falls, lowest = found
        more = {FALLS: falls.astype(int).tolist()} if falls.any() else {}
        replacement = helper.make_node(
            "MultiThreshold",
            [region.source, constant(model, rows)],
            list(last.output),
            name=last.name,
            domain=CUSTOM,
            out_dtype="FLOAT32",
            out_scale=levels.scale,
            out_bias=levels.bias + lowest * levels.scale,
            **more,
        )
        replacement.metadata_props.extend(last.metadata_props)
        every = model.graph.node
        every.insert(list(every).index(last), replacement)
        for one in region.nodes:
            every.remove(one)
        return True
    return False


_REFUSED: set[bytes] = set()
"""Fingerprints of regions that are no thresholds: the rules come back to each many times."""


def _fingerprint(model: ModelWrapper, region: _Region) -> bytes:
    """Return a hash of all that a region computes."""
    found = hashlib.sha256(repr(shape_of(model, region.source)).encode())
    for node in region.nodes:
        found.update(node.SerializeToString(deterministic=True))
        for name in node.input:
            values = model.get_initializer(name) if name else None
            found.update(b"" if values is None else values.tobytes())
    return found.digest()


def _rows(
    model: ModelWrapper, region: _Region, levels: Levels
) -> tuple[Floats, npt.NDArray[np.bool_], int] | None:
    """Return thresholds [1 or C, steps], which steps fall, and the count below all of them."""
    first = levels_of(model, region.nodes[0])
    others = region.nodes[1:]
    # of quantised values every one is tried, so that they may turn as often as they like
    quantised = first is not None and all(region.source not in node.input for node in others)
    with np.errstate(all="ignore"):
        jumps = steps_of(first.count) if first is not None and quantised and others else None
    places = None if jumps is None else jumps.numbers
    every: list[Steps] = []
    for function in _of_each_channel(model, region):
        count = lambda x: levels.count(function(x))  # noqa: B023, E731
        with np.errstate(all="ignore"):
            if places is not None:
                steps: Steps | None = steps_at(count, places)
            else:
                steps = steps_of(
                    count,
                    lambda x: np.clip(function(x) / levels.scale, -_FAR, _FAR),  # noqa: B023
                )
        if steps is None:
            return None
        every.append(steps)
    return of_channels(every) if any(len(one.numbers) for one in every) else None


def _of_each_channel(model: ModelWrapper, region: _Region) -> Iterator[Callable[[Floats], Floats]]:
    """Yield what a region gives its last node, as a function of its stream, for each channel.

    There is one if all channels have the same constants.
    """
    shape = shape_of(model, region.source)
    constants = {
        name: _of_channels(values, node, shape)
        for node in region.nodes
        for name in node.input
        if (values := model.get_initializer(name) if name else None) is not None
    }
    functions = [function_of(model, node) for node in region.nodes[:-1]]
    last = region.nodes[-1].input[0]

    def composed(x: Floats, given: Mapping[str, npt.NDArray]) -> Floats:
        values = {region.source: x, **given}
        for node, function in zip(region.nodes, functions, strict=False):
            values[node.output[0]] = function(values)
        return values[last]

    channels = max((len(one) for one in constants.values() if one is not None), default=1)
    for channel in range(channels):
        given = {
            name: one[channel % len(one)] for name, one in constants.items() if one is not None
        }
        yield partial(composed, given=given)


def range_before(model: ModelWrapper, node: NodeProto) -> tuple[float, float] | None:
    """Return the smallest and the largest number that a function of one stream gives to a node.

    It is tried at 128 numbers in each octave of float32. None if no function is there.
    """
    region = _region(model, node)
    if region is None:
        return None
    with np.errstate(all="ignore"):
        every = [function(NUMBERS) for function in _of_each_channel(model, region)]
    if any(np.isnan(one).any() for one in every):
        return None
    return float(min(one.min() for one in every)), float(max(one.max() for one in every))


def quantise_before_pool(model: ModelWrapper) -> bool:
    """Move a quantiser up past a max pooling, to a quantiser that it then joins or to a layer.

    What rises with its input, for each channel, gives the largest value for the largest input.
    Behind a layer, batch norms and the like that lie between move up too.
    """
    for node in model.graph.node:
        index = stream_input(model, node)
        pool = None if index is None else model.find_producer(node.input[index])
        if pool is None or pool.op_type != "MaxPool" or reader(model, pool.output[0]) is None:
            continue
        source = pool.input[0]
        before = model.find_producer(source)
        if before is None or reader(model, source) is None or not _rises(model, node):
            continue
        joins = levels_of(model, before) and levels_of(model, node)
        if not joins and not _of_layer(model, source):
            continue
        quantised = model.make_new_valueinfo_name()
        model.set_tensor_shape(quantised, shape_of(model, source))
        pool.output[0], node.output[0] = node.output[0], quantised
        node.input[index], pool.input[0] = source, quantised
        every = model.graph.node
        index = list(every).index(pool)
        every.remove(node)
        every.insert(index, node)
        return True
    return False


def _rises(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether the values of each channel never fall where those of a node's stream rise."""
    if node.op_type == "MultiThreshold":
        return not attribute(node, FALLS)
    if levels_of(model, node) is not None or node.op_type == "Relu":
        return True
    if node.op_type not in ("Mul", "Div", "Add", "Sub", _NORM) or not _pointwise(model, node):
        return False
    if node.op_type in ("Div", "Sub") and stream_input(model, node) != 0:
        return False
    factors = [model.get_initializer(name) for name in node.input]
    known = [one for one in factors if one is not None]
    return node.op_type in ("Add", "Sub") or bool((known[0] > 0).all())


def _of_layer(model: ModelWrapper, stream: str) -> bool:
    """Whether a stream holds what a layer gives, scaled, shifted or rectified, without a fork."""
    while (node := model.find_producer(stream)) is not None:
        if node.op_type in LAYERS:
            return True
        index = stream_input(model, node)
        scales = node.op_type in (*_ARITHMETIC, *_FUNCTIONS, _NORM)
        if index is None or not scales or reader(model, node.input[index]) is None:
            return False
        stream = node.input[index]
    return False


def _region(model: ModelWrapper, last: NodeProto) -> _Region | None:
    """Return the most nodes up to a quantiser that read one stream alone; None if there are none.

    They begin with a function or a quantiser, or where several of them read the stream.
    """
    region, streams, found = [last], [last.input[0]], None
    while True:
        (source, *others) = streams
        fronts = [name for node in region for name in node.input if name == source]
        begins = len(fronts) > 1 or _begins(model, region[0])
        if not others and begins:
            found = _Region(source, tuple(region))
        node = next(
            (
                before
                for name in streams
                if (before := model.find_producer(name)) is not None
                and _pointwise(model, before)
                and not is_output(model, name)
                and all(one in region for one in readers(model, name))
            ),
            None,
        )
        if node is None:
            return found
        region = [node, *region]
        own = [name for name in node.input if name and model.get_initializer(name) is None]
        kept = [name for name in streams if name != node.output[0]]
        streams = list(dict.fromkeys([*own, *kept]))
        if not streams:
            return found


def _begins(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node may be the first of what becomes thresholds."""
    return node.op_type in (*_FUNCTIONS, "Relu") or levels_of(model, node) is not None


def _pointwise(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node computes each number by itself, from streams and constants of a channel."""
    if levels_of(model, node) is not None:
        return True
    if node.op_type not in (*_FUNCTIONS, *_ARITHMETIC, _NORM):
        return False
    shape = shape_of(model, node.output[0])
    for name in node.input:
        values = model.get_initializer(name) if name else None
        if values is not None and _of_channels(values, node, shape) is None:
            return False
        if name and values is None and shape_of(model, name) != shape:
            return False
    return True


def _of_channels(values: npt.NDArray, node: NodeProto, shape: Sequence[int]) -> Floats | None:
    """Return a constant's number of each channel, [1] or [C]; None if pixels have their own."""
    if node.op_type == _NORM:
        return np.asarray(values, np.float32) if values.ndim == 1 else None
    axis = values.ndim - len(shape) + 1
    sizes = [size for place, size in enumerate(values.shape) if place != axis]
    if any(size > 1 for size in sizes) or values.size not in (1, shape[1]):
        return None
    return np.asarray(values, np.float32).reshape(-1)


def function_of(
    model: ModelWrapper, node: NodeProto
) -> Callable[[Mapping[str, npt.NDArray]], Floats]:
    """Return what a node computes of numbers by name; functions by onnx's own implementation."""
    levels = levels_of(model, node)
    if levels is not None:
        return lambda values: levels(values[node.input[0]])
    if node.op_type == _NORM:
        epsilon = np.float32(attribute(node, "epsilon", 1e-5))

        def norm(values: Mapping[str, npt.NDArray]) -> Floats:
            x, gain, shift, mean, variance = (values[name] for name in node.input)
            return (x - mean) / np.sqrt(variance + epsilon) * gain + shift

        return norm
    names = list(dict.fromkeys(name for name in node.input if name))
    streams = {name for name in names if model.get_initializer(name) is None}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"] if name in streams else [])
        for name in (*names, node.output[0])
    ]
    graph = helper.make_graph([node], "function", ends[:-1], ends[-1:])
    imports = [one for one in model.model.opset_import if one.domain in ("", "ai.onnx")]
    run = ReferenceEvaluator(helper.make_model(graph, opset_imports=imports))

    def function(values: Mapping[str, npt.NDArray]) -> Floats:
        (found,) = run.run(None, {name: values[name] for name in names})  # type: ignore[misc]
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
        usual = len(given[0]) == 1 and not attribute(node, FALLS)
        return _of_thresholds(node, given[0]) if usual else None
    if any(one.size != 1 for one in given):
        return None
    if node.op_type == "BipolarQuant":
        scale = float(given[0].item())
        return Levels(lambda x: x >= 0, 2 * scale, -scale)
    scale, zero, bits = (float(one.item()) for one in given)
    if zero != round(zero) or not 1 <= bits <= MOST_BITS:
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
    *before, last = nodes
    if [node.op_type for node in before] not in ([], ["Relu"]):
        return True
    if last.op_type != "Quant":
        return bool(before) and last.op_type == "MultiThreshold"
    zero = model.get_initializer(last.input[2])
    return zero is not None and (bool(zero.any()) or not rounds_half_even(last))


def _of_thresholds(node: NodeProto, rows: Floats) -> Levels:
    scale = float(attribute(node, "out_scale", 1.0))
    bias = float(attribute(node, "out_bias", 0.0))
    ordered: Floats = np.sort(rows[0])
    return Levels(lambda x: np.searchsorted(ordered, x, side="right"), scale, bias)
