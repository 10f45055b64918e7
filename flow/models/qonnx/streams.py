"""What the streams of a network hold: whole numbers in one step, or in a step for each channel."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from torch import Tensor, nn

from flow.models.planes import Grid
from flow.models.qonnx.operators import (
    AVERAGES,
    BatchNorm,
    Concatenated,
    Elementwise,
    Mean,
    Permuted,
    Reshaped,
    Upsampled,
)
from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.tidy.edits import set_attribute
from flow.models.steps import common_multiples, common_step, common_steps

PASSING = (Reshaped, Permuted, nn.Identity)
"""Modules whose output holds the values of their input."""


@dataclass(frozen=True)
class Step:
    """One node along the data flow; a layer's bias is a separate step downstream of it."""

    node: NodeProto
    module: nn.Module
    inputs: tuple[str, ...]
    """Names of the input streams."""
    output: str
    """Name of the output stream."""

    @property
    def is_bias(self) -> bool:
        """Whether this is the bias of a layer."""
        return isinstance(self.module, Elementwise) and self.node.op_type in ("Conv", "Gemm")


@dataclass(frozen=True)
class Weights:
    """The quantised weights of a layer: w = scale · integers."""

    integers: Tensor
    """float32 [O, …], whole numbers."""
    scale: Tensor
    """[O], in the unit of the network."""
    bits: int

    @property
    def per_tensor(self) -> bool:
        """Whether all channels share one scale."""
        return bool((self.scale == self.scale[0]).all())


def averaged(step: Step, pixels: Mapping[str, int]) -> int:
    """Return the number of values in each average that a step takes; 0 if none is known."""
    if isinstance(step.module, nn.AvgPool2d):
        size = step.module.kernel_size
        return math.prod(size if isinstance(size, tuple) else (size, size))
    return pixels.get(step.inputs[0], 0)


def averages_fixed_number(module: nn.Module) -> bool:
    """Whether each average is of as many values, which may be zeros around an image."""
    if isinstance(module, nn.AvgPool2d):
        padded = module.padding not in (0, (0, 0))
        return not module.ceil_mode and (module.count_include_pad or not padded)
    return isinstance(module, Mean) and {dim % 4 for dim in module.dims} == {2, 3}


MOST_OPERAND_BITS = 16
"""Largest width of what a layer reads: averages and sums of quantised values are wider."""
EXACT_IN_FLOAT32 = 1 << 24
"""Bound of accumulators, since FINN executes in float32."""
MOST_GAINS = "MostGains"
"""Attribute of a concatenation: the largest gain of each operand that its readers take."""


def _most_for_readers(
    steps: Sequence[Step],
    stream: str,
    signed: bool,
    weights: Mapping[str, Weights],
    pixels: Mapping[str, int],
) -> float:
    """Return the largest whole number of a stream that all layers that read it take."""
    most = math.inf
    for step in steps:
        if stream not in step.inputs:
            continue
        if step.output in weights:
            rows = weights[step.output].integers.flatten(1)
            above, below = (part.clamp(min=0).sum(1) for part in (rows, -rows))
            sums = above + below if signed else above.maximum(below)
            bits = int(math.log2((EXACT_IN_FLOAT32 - 1) / max(1.0, float(sums.max()))))
            most = min(most, (1 << min(bits, MOST_OPERAND_BITS - signed)) - 1)
        elif isinstance(step.module, (*PASSING, nn.MaxPool2d, Upsampled, *AVERAGES)):
            places = averaged(step, pixels) if isinstance(step.module, AVERAGES) else 1
            behind = _most_for_readers(steps, step.output, signed, weights, pixels)
            most = min(most, behind / max(1, places))
    return most


def grids_of(
    steps: Sequence[Step], weights: Mapping[str, Weights], pixels: Mapping[str, int]
) -> dict[str, Grid]:
    """Return the grid of each quantised stream, propagated through the network.

    An average of n values is a sum, in steps of which n are one of the values'. Concatenations get
    the gains that their readers take as an attribute.
    """
    grids: dict[str, Grid] = {}
    for step in steps:
        module = step.module
        known = [grids[name] for name in step.inputs if name in grids]
        if isinstance(module, Quant):
            if module.scale.numel() == 1 and not bool((module.zero_point != 0).any()):
                grids[step.output] = Grid(float(module.scale), *module.limits, module.bipolar)
        elif len(known) < len(step.inputs):
            continue
        elif isinstance(module, (*PASSING, nn.MaxPool2d, Upsampled)):
            grids[step.output] = known[0]
        elif isinstance(module, nn.ReLU):
            grids[step.output] = known[0].above_zero()
        elif isinstance(module, Elementwise) and module.operator == "Add" and len(known) == 2:
            a, b = known
            (left, right), unit = common_step(a.step, b.step)
            low, high = left * a.low + right * b.low, left * a.high + right * b.high
            grids[step.output] = Grid(unit, low, high)
        elif isinstance(module, Elementwise) and module.operator == "Mul" and len(known) == 2:
            a, b = known
            ends = [left * right for left in (a.low, a.high) for right in (b.low, b.high)]
            grids[step.output] = Grid(a.step * b.step, min(ends), max(ends))
        elif isinstance(module, Elementwise) and len(known) == 1 and module.line is not None:
            gain, shift = module.line
            (a,) = known
            if shift == 0 and (gain > 0 or not a.bipolar):
                low, high = (a.low, a.high) if gain > 0 else (-a.high, -a.low)
                grids[step.output] = Grid(a.step * abs(gain), low, high, a.bipolar)
        elif isinstance(module, AVERAGES) and (places := averaged(step, pixels)):
            (a,) = known
            if averages_fixed_number(module) and not a.bipolar:
                low, high = min(a.low, 0), max(a.high, 0)
                grids[step.output] = Grid(a.step / places, low * places, high * places)
        elif isinstance(module, Concatenated) and len({g.bipolar for g in known}) == 1:
            signed = min(g.low for g in known) < 0
            most = min(_most_for_readers(steps, step.output, signed, weights, pixels), 2.0**31)
            gains_most = [int(most / max(-g.low, g.high, 1)) for g in known]
            set_attribute(step.node, MOST_GAINS, gains_most)
            gains, unit = common_multiples([g.step for g in known], gains_most)
            if known[0].bipolar and max(gains) > 1:
                continue
            low = min(gain * g.low for gain, g in zip(gains, known, strict=True))
            high = max(gain * g.high for gain, g in zip(gains, known, strict=True))
            grids[step.output] = Grid(unit, low, high, known[0].bipolar)
    return grids


@dataclass(frozen=True)
class Line:
    """Whole numbers, of which real = step · number + shift, with both of these for each channel."""

    step: npt.NDArray[np.float64]
    """[C], or [1] for all; not 0."""
    reach: float
    """Bound of the numbers in hardware, with noise, in units of 2^−8."""


_REACH_OF_LAYER = 2.0**31
"""A layer's sums with noise have 32 bits."""
_REACH_OF_ONE = 2.0**8


def lines_of(
    steps: Iterable[Step],
    grids: Mapping[str, Grid],
    weights: Mapping[str, Weights],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Line]:
    """Return the line of each stream that has one: of layers, of what is quantised, and of sums.

    Args:
        steps: the steps in topological order.
        grids: grid of each stream that has one.
        weights: weights by the layer's output.
        shapes: shape of each step's output for one image.
    """
    pixels = pixels_of(shapes)
    lines: dict[str, Line] = {}

    def line(step: Step, known: Sequence[Line]) -> Line | None:
        module = step.module
        if step.output in weights and step.inputs[0] in grids:
            scale = weights[step.output].scale.double().numpy()
            return Line(scale * grids[step.inputs[0]].step, _REACH_OF_LAYER)
        if len(known) < len(step.inputs):
            return None
        first = known[0]
        if isinstance(module, (Reshaped, nn.Identity)):
            whole = first.step.size == 1 or pixels.get(step.inputs[0], 1) == 1
            return first if whole else None
        if isinstance(module, Upsampled):
            return first
        if isinstance(module, AVERAGES):
            places = averaged(step, pixels)
            fits = places and averages_fixed_number(module)
            return Line(first.step / places, first.reach * places) if fits else None
        if isinstance(module, BatchNorm):
            gain = module.gain / (module.var + module.eps).sqrt()
            return Line(first.step * gain.double().numpy(), first.reach)
        if isinstance(module, Elementwise) and len(known) == 2 and module.operator == "Add":
            gains, unit = common_steps(first.step, known[1].step)
            reach = np.abs(gains).max(1) @ [one.reach for one in known]
            return Line(unit, float(reach))
        if isinstance(module, Elementwise) and len(known) == 1:
            factor = module.gain_of_channels(shapes[step.output])
            return None if factor is None else Line(first.step * factor.numpy(), first.reach)
        return None

    for step in steps:
        if (grid := grids.get(step.output)) is not None:
            if not grid.bipolar:
                reach = max(-grid.low, grid.high, 1) * _REACH_OF_ONE
                lines[step.output] = Line(np.array([grid.step]), reach)
            continue
        found = line(step, [lines[name] for name in step.inputs if name in lines])
        if found is not None and np.isfinite(found.step).all() and (found.step != 0).all():
            lines[step.output] = found
    return lines


def pixels_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the number of pixels of an image in each stream [N, C, H, W], by their shapes."""
    return {name: shape[2] * shape[3] for name, shape in shapes.items() if len(shape) == 4}
