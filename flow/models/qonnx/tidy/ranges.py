"""Between which numbers the values of a stream lie, whatever the images are."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.tidy.edits import FALLS, QUANTISERS, attribute
from flow.models.qonnx.tidy.steps import reach

Range = tuple[float, float]

EVERY: Range = (-math.inf, math.inf)
AROUND: Mapping[str, Callable[[Any], Any]] = {
    "Round": np.round,
    "Floor": np.floor,
    "Ceil": np.ceil,
}
"""What operators that round do."""
_RANGES = {
    "Tanh": (-1.0, 1.0),
    "Sigmoid": (0.0, 1.0),
    "HardSigmoid": (0.0, 1.0),
    "Softsign": (-1.0, 1.0),
    "Erf": (-1.0, 1.0),
    "Sign": (-1.0, 1.0),
    "Sin": (-1.0, 1.0),
    "Cos": (-1.0, 1.0),
}
PASSING = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity")
"""Operators whose outputs are some of their inputs."""


def range_of(model: ModelWrapper, tensor: str) -> Range:
    """Return two numbers between which all values of a tensor lie, for any images."""
    known = model.get_initializer(tensor)
    if known is not None:
        return float(known.min()), float(known.max())
    node = model.find_producer(tensor)
    if node is None:
        return EVERY
    if node.op_type in QUANTISERS:
        return quantised_range(model, node) or EVERY
    if node.op_type in _RANGES:
        return _RANGES[node.op_type]
    every = [range_of(model, name) for name in node.input if name]
    if node.op_type == "Clip":
        limits = limits_of(model, node)
        return EVERY if limits is None else _within(every[0], limits)
    if node.op_type == "Relu":
        return _within(every[0], (0.0, math.inf))
    if node.op_type in AROUND:
        low, high = (float(AROUND[node.op_type](np.float64(end))) for end in every[0])
        return low, high
    if node.op_type in ("Max", "Min"):
        choose = max if node.op_type == "Max" else min
        return choose(low for low, _ in every), choose(high for _, high in every)
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        return _arithmetic(node.op_type, *every)
    if node.op_type == "Neg":
        return -every[0][1], -every[0][0]
    return every[0] if node.op_type in PASSING and not any(attribute(node, "pads", [])) else EVERY


def _arithmetic(operator: str, one: Range, other: Range) -> Range:
    """Return the range of a sum, difference, product or quotient of two numbers in ranges."""
    if operator == "Div" and other[0] <= 0 <= other[1]:
        return EVERY
    compute = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[operator]
    with np.errstate(all="ignore"):
        ends = [float(compute(np.float32(a), np.float32(b))) for a in one for b in other]
    return EVERY if any(map(math.isnan, ends)) else (min(ends), max(ends))


def _within(values: Range, limits: Range) -> Range:
    low, high = (min(max(end, limits[0]), limits[1]) for end in values)
    return low, high


def quantised_range(model: ModelWrapper, node: NodeProto) -> Range | None:
    """Return the smallest and the largest value that a quantiser gives; None if not constants."""
    given = [model.get_initializer(name) for name in node.input[1:]]
    if any(one is None for one in given):
        return None
    if node.op_type == "BipolarQuant":
        return -float(given[0].max()), float(given[0].max())
    if node.op_type == "MultiThreshold":
        scale = float(attribute(node, "out_scale", 1.0))
        bias = float(attribute(node, "out_bias", 0.0))
        low, high = reach(given[0], attribute(node, FALLS, []))
        return low * scale + bias, high * scale + bias
    scale, zero, bits = given
    if bits.size != 1:
        return None
    quant = Quant(
        torch.tensor(scale), torch.tensor(zero), int(bits.item()),
        signed=bool(attribute(node, "signed", 1)), narrow=bool(attribute(node, "narrow", 0)),
    )  # fmt: skip
    ends = [(end - zero) * scale for end in quant.limits]
    return float(min(end.min() for end in ends)), float(max(end.max() for end in ends))


def limits_of(model: ModelWrapper, node: NodeProto) -> Range | None:
    """Return the limits of a Clip, of which either may be infinite; None if not constants."""
    found = [attribute(node, "min", -math.inf), attribute(node, "max", math.inf)]
    for index, name in enumerate(node.input[1:3]):
        if name:
            values = model.get_initializer(name)
            if values is None or values.size != 1:
                return None
            found[index] = float(values.item())
    low, high = found
    return low, high
