"""What lies before and behind a stream of a custom network."""

from torch import nn

from flow.models.qonnx.graph import Graph
from flow.models.qonnx.operators import (
    AVERAGES,
    BatchNorm,
    Convolution,
    Dense,
    Elementwise,
    Upsampled,
)
from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.streams import PASSING, Step

_LINEAR = (Elementwise, BatchNorm, *PASSING)


def adds(step: Step) -> bool:
    """Whether a step adds two streams."""
    module = step.module
    return isinstance(module, Elementwise) and module.operator == "Add" and len(step.inputs) == 2


def shifted(graph: Graph, stream: str) -> bool:
    """Whether a constant was added to a stream since its values were quantised or summed up."""
    step = graph.producer(stream)
    if step is None or stream in graph.grids or isinstance(step.module, Convolution | Dense):
        return False
    alone = len(step.inputs) == 1
    if alone and isinstance(step.module, Elementwise) and step.module.operator in ("Add", "Sub"):
        return True
    return isinstance(step.module, BatchNorm) or any(shifted(graph, n) for n in step.inputs)


def sums_of_layer(graph: Graph, stream: str) -> bool:
    """Whether a stream holds what a layer gives, scaled and shifted, or a sum of such.

    Nothing else reads it.
    """
    while len(graph.consumers(stream)) == 1:
        before = graph.producer(stream)
        if before is None or not isinstance(before.module, _LINEAR):
            return before is not None and isinstance(before.module, Convolution | Dense)
        if len(before.inputs) > 1:
            return stream in graph.lines
        stream = before.inputs[0]
    return False


def flattened(graph: Graph, stream: str, channels: int = 1) -> bool:
    """Whether a flat stream holds images of several pixels, and at least so many channels."""
    while stream not in graph.pixels and (step := graph.producer(stream)) is not None:
        if len(step.inputs) > 1 or isinstance(step.module, Dense):
            return False
        (before,) = step.inputs
        if graph.pixels.get(before, 1) > 1 and graph.shapes[before][1] >= channels:
            return True
        stream = before
    return False


def quantised_behind(graph: Graph, step: Step) -> bool:
    """Whether what a step reads is scaled, rectified, added or averaged before it is quantised."""
    while not isinstance(step.module, Quant):
        if not isinstance(step.module, (*_LINEAR, *AVERAGES, Upsampled, nn.ReLU)):
            return False
        if len(step.inputs) > 1 and not adds(step):
            return False
        behind = graph.consumers(step.output)
        if len(behind) != 1:
            return bool(behind) and all(quantised_behind(graph, one) for one in behind)
        (step,) = behind
    return True
