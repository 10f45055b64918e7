"""Check, node by node and before compilation, that a custom network fits the hardware.

The hardware computes with integers. Every convolution, dense layer, pooling and addition must
therefore read quantised values, and between a layer and the next quantiser only scaling, shifting
and batch norm are allowed. The accumulators of the last layer, each with its class's bias, are
compared, and the largest is the label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flow.compiler.graph.surroundings import (
    adds,
    flattened,
    quantised_behind,
    shifted,
    sums_of_layer,
)
from flow.errors import Defect, UserError
from flow.models.planes import Grid
from flow.models.qonnx.file import shown
from flow.models.qonnx.graph import Graph, chain_before
from flow.models.qonnx.operators import (
    AVERAGES,
    BatchNorm,
    Chosen,
    Concatenated,
    Convolution,
    Dense,
    Elementwise,
    MaxPool,
    Permuted,
    Reshaped,
    Upsampled,
)
from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.streams import (
    EXACT_IN_FLOAT32,
    MOST_OPERAND_BITS,
    PASSING,
    Step,
    Weights,
    averages_fixed_number,
)

MOST_BITS = 10
"""Largest width of a quantiser, and of a layer's weights, in bits."""


@dataclass(frozen=True)
class NodeReport:
    """Report on whether one node fits the hardware."""

    step: Step
    problem: str = ""
    """Reason why the node cannot be compiled; empty if it can."""
    change: str = ""
    """Change that would solve the problem."""
    note: str = ""
    """Remark on a node that fits."""


def check_nodes(graph: Graph) -> list[NodeReport]:
    """Return a report on each node of a network, in the order of the data flow."""
    reports = []
    for step in graph.steps:
        problem, change = next(_problems(graph, step), ("", ""))
        reports.append(NodeReport(step, problem, change, "" if problem else _note(graph, step)))
    return reports


def reject_unfit(name: str, graph: Graph) -> None:
    """Raise a UserError that lists all nodes that do not fit, if there are any."""
    bad = [report for report in check_nodes(graph) if report.problem]
    if bad:
        listed = "".join(f"\n  - {shown(v.step.node)} {v.problem}: {v.change}" for v in bad)
        raise UserError(f"{name} cannot be compiled:{listed}")


Problem = tuple[str, str]
"""The problem, and the change that solves it."""


def _problems(graph: Graph, step: Step) -> Iterator[Problem]:
    module = step.module
    yield from _unquantised(graph, step)
    if isinstance(module, Quant):
        yield from _quantiser(graph, step, module)
    elif isinstance(module, Convolution | Dense):
        yield from _layer(graph, step)
    elif isinstance(module, MaxPool):
        yield from _max_pool(graph, step, module)
    elif isinstance(module, AVERAGES):
        yield from _average(graph, step, module)
    elif isinstance(module, Concatenated):
        yield from _concatenation(graph, step, module)
    elif isinstance(module, Permuted):
        yield (
            "swaps dimensions of a stream, whose values hardware takes pixel by pixel",
            "transpose the images, or in front of a flattening and a dense layer",
        )
    elif isinstance(module, Reshaped):
        before, after = (graph.shapes.get(name, ()) for name in (*step.inputs, step.output))
        if len(after) > 2 and before != after:
            yield (
                f"makes an image of {_shown(after)} of values of {_shown(before)}, which hardware "
                "takes in another order",
                "use a network without it; a vector may multiply an image's channels",
            )
    elif isinstance(module, Chosen):
        yield (
            "chooses or reorders values where no weights can take that",
            "choose channels in front of a convolution or a dense layer, not of one addend alone",
        )
    elif isinstance(module, nn.ReLU):
        if any(not isinstance(consumer.module, Quant) for consumer in graph.consumers(step.output)):
            yield "is not followed by a quantiser", "use QuantReLU instead of ReLU"
    elif isinstance(module, Elementwise) and len(step.inputs) == 2:
        yield from _join(graph, step, module)
    elif isinstance(module, Elementwise | BatchNorm):
        yield from _affine(graph, step)


def _shown(shape: Sequence[int]) -> str:
    """Return the shape [1, …] of one image as text."""
    return "×".join(map(str, shape[1:])) or "1"


def _average(graph: Graph, step: Step, module: nn.Module) -> Iterator[Problem]:
    if averages_fixed_number(module):
        pass
    elif isinstance(module, nn.AvgPool2d):
        yield (
            "averages fewer values at an edge",
            "use AvgPool2d without ceil_mode, and with count_include_pad",
        )
    else:
        yield "averages other than a whole image", "use AdaptiveAvgPool2d(1)"
    places = graph.averaged(step)
    stream = step.inputs[0]
    padded = isinstance(module, nn.AvgPool2d) and module.padding not in (0, (0, 0))
    if padded and shifted(graph, stream):
        yield (
            "averages sums behind a bias or batch norm together with zeros around the image",
            "quantise them before it, or average without padding",
        )
    grid = graph.grids.get(stream)
    if grid is not None:
        if grid.bipolar:
            yield "averages a stream of −1 and 1", "quantise it in 2 bits or more"
        largest = float(max(-grid.low, grid.high))
    else:
        layer = chain_before(graph, stream)[-1]
        weights, read = graph.weights.get(layer.output), graph.grids.get(layer.inputs[0])
        if weights is None or read is None:
            return
        largest = _largest_accumulator(weights, read)
    if largest * places >= EXACT_IN_FLOAT32:
        yield (
            f"sums up to {largest * places:,.0f}, beyond 2^24",
            "average fewer pixels, or use fewer bits",
        )


def _concatenation(graph: Graph, step: Step, module: Concatenated) -> Iterator[Problem]:
    if module.dim != 1:
        yield "concatenates other than channels", "concatenate along dimension 1 of [N, C, H, W]"
    if any(flattened(graph, name) for name in step.inputs):
        yield (
            "concatenates flattened images, whose pixels hardware takes in another order",
            "concatenate channels before flattening, or average the images first",
        )
    grids = [graph.grids[name] for name in step.inputs]
    if len({grid.bipolar for grid in grids}) > 1:
        yield (
            "concatenates streams of −1 and 1 with others",
            "quantise all of them in 2 bits or more",
        )
    if grids[0].bipolar and len({grid.step for grid in grids}) > 1:
        yield (
            "concatenates streams of −1 and 1 in unlike scales",
            "quantise all of them with one and the same quantiser",
        )


def _max_pool(graph: Graph, step: Step, module: MaxPool) -> Iterator[Problem]:
    if module.dilation != (1, 1):
        yield "pools with dilation", "use a plain MaxPool2d"
    grid = graph.grids.get(step.inputs[0])
    if any(module.pads) and grid is not None and grid.low < 0:
        # hardware pads with 0, which must be no more than any value
        yield (
            "pads values that may be negative",
            "pool behind a QuantReLU, or without padding and ceil_mode",
        )


def _unquantised(graph: Graph, step: Step) -> Iterator[Problem]:
    """Check the streams that a node consumes, and the consumers of its output."""
    lenient = isinstance(step.module, (Quant, BatchNorm, nn.ReLU, *PASSING)) or (
        isinstance(step.module, Elementwise) and len(step.inputs) == 1
    )
    if isinstance(step.module, AVERAGES) and step.inputs[0] not in graph.grids:
        lenient = sums_of_layer(graph, step.inputs[0])
    if adds(step) or isinstance(step.module, Upsampled):
        lenient = all(name in graph.lines or name in graph.grids for name in step.inputs)
    if not lenient and (graph.entry in step.inputs):
        yield (
            "reads images that are not quantised",
            f"begin the network with a QuantIdentity of up to {MOST_BITS} bits",
        )
    if not lenient and any(_has_offset(graph, name) for name in step.inputs):
        yield (
            "reads quantised values whose offset is no multiple of their step; only sums, and "
            "layers and averages without padding, take one",
            "make the offset a multiple of the step (a whole zero point), or do not pad",
        )
    if not lenient and any(name not in graph.grids for name in step.inputs):
        yield (
            "reads values that are not quantised with one scale for all channels",
            "put a QuantIdentity or QuantReLU before it",
        )
    behind = graph.consumers(step.output)
    if step.output not in graph.grids and len(behind) > 1:
        bare = [one for one in behind if not quantised_behind(graph, one)]
        if bare:
            yield (
                "produces values that are read in several places, and not quantised before "
                f"{shown(bare[0].node)}",
                "put one quantiser after it, and read its output, or one on the way to each reader",
            )


def _has_offset(graph: Graph, stream: str) -> bool:
    """Whether a stream holds quantised values to which a number is added."""
    before = graph.producer(stream)
    if before is None or not isinstance(before.module, Elementwise) or len(before.inputs) > 1:
        return False
    line = before.module.line
    return before.inputs[0] in graph.grids and line is not None and line[1] != 0


def _quantiser(graph: Graph, step: Step, quant: Quant) -> Iterator[Problem]:
    if quant.bits > MOST_BITS:
        yield f"quantises to {quant.bits} bits", f"use up to {MOST_BITS} bits"
    if quant.bits == 1 and step in chain_before(graph, graph.exit):
        yield (
            "compares one bit for each class, of which most are equal",
            "leave it out, and compare accumulators, or quantise the scores in 2 bits or more",
        )
    if quant.scale.numel() != 1:
        yield (
            "has a scale for each channel",
            "use one scale for all, per tensor, except where only depth-wise convolutions read it",
        )
    if bool((quant.zero_point != 0).any()):
        yield "has a zero point", "use a symmetric or unsigned quantiser without one"
    before = graph.producer(step.inputs[0])
    behind_relu = before is not None and isinstance(before.module, nn.ReLU)
    if behind_relu and step.node.op_type == "Quant" and (quant.signed or quant.narrow):
        yield "quantises a ReLU's values as signed or narrow", "use QuantReLU, which is unsigned"
    if step.node.op_type == "Quant" and quant.bits == 1 and (quant.signed or not behind_relu):
        yield (
            "quantises to one bit as an integer",
            "use a binary quantiser, as SignedBinaryActPerTensorConst",
        )


def _layer(graph: Graph, step: Step) -> Iterator[Problem]:
    weights = graph.weights.get(step.output)
    if weights is None:
        yield "has weights that are not quantised", "use QuantConv2d or QuantLinear"
        return
    if weights.bits > MOST_BITS:
        yield f"has weights of {weights.bits} bits", f"use up to {MOST_BITS} bits"
    grid = graph.grids[step.inputs[0]]
    if grid.bits > MOST_OPERAND_BITS:
        yield (
            f"reads averages, sums or unlike scales of {grid.bits} bits, beyond "
            f"{MOST_OPERAND_BITS}",
            "put a QuantIdentity before it",
        )
    largest = _largest_accumulator(weights, grid)
    if largest >= EXACT_IN_FLOAT32:
        yield (
            f"has accumulators of up to {largest:,.0f}, beyond 2^24",
            "use fewer bits for its weights or its inputs",
        )
    if grid.bipolar and isinstance(step.module, Convolution) and any(step.module.pads):
        yield (
            "pads a stream of −1 and 1 with 0",
            "quantise its input in 2 bits or more, or do without padding",
        )


def _largest_accumulator(weights: Weights, grid: Grid) -> float:
    """Return the largest absolute sum that weights make of a grid's inputs, or of any of them.

    The inputs may be all numbers of the grid's bits.
    """
    low, high = grid.low, grid.high
    if not grid.bipolar:
        signed = int(grid.low < 0)
        low, high = -signed << grid.bits - 1, (1 << grid.bits - signed) - 1
    above, below = (
        part.flatten(1).sum(1)
        for part in (weights.integers.clamp(min=0), -weights.integers.clamp(max=0))
    )
    ends = (above * high - below * low, below * high - above * low)
    return max(float(end.max()) for end in ends)


def _join(graph: Graph, step: Step, module: Elementwise) -> Iterator[Problem]:
    if module.operator not in ("Add", "Mul"):
        yield f"is a {module.operator} of two streams", "use an addition or a product"
        return
    whole = graph.shapes[step.output]
    vector = (1, whole[1], *[1] * (len(whole) - 2))
    shapes = [graph.shapes.get(name, whole) for name in step.inputs]
    if shapes != [whole, whole] and (
        module.operator == "Add" or sorted(shapes) != sorted((whole, vector))
    ):
        yield (
            f"joins streams of unlike shapes ({shapes[0]} and {shapes[1]})",
            "join streams of one shape, or multiply one by a number for each channel",
        )
    bipolar = any(name in graph.grids and graph.grids[name].bipolar for name in step.inputs)
    if bipolar:
        what = "multiplies" if module.operator == "Mul" else "adds"
        yield f"{what} a stream of −1 and 1", "quantise both operands in 2 bits or more"
    elif module.operator == "Add" and graph.lines[step.output].reach >= _MOST_REACH:
        yield (
            "adds streams of unlike scales, of which a common one has more than 2^63 steps",
            "quantise one of them in front of it, after other sums that are not quantised",
        )
    elif module.operator == "Mul":
        product = graph.grids[step.output]
        if max(-product.low, product.high) >= EXACT_IN_FLOAT32:
            yield "has products beyond 2^24", "use fewer bits for its operands"


_MOST_REACH = 2.0**63
"""Bound of a sum in hardware, whose values have 64 bits."""


def _affine(graph: Graph, step: Step) -> Iterator[Problem]:
    """Check a scaling, shift or batch norm."""
    gain = _gain(step.module)
    one = isinstance(step.module, Elementwise) and _constant(step.module).numel() == 1
    if not one and flattened(graph, step.inputs[0], channels=2):
        yield (
            "scales or shifts each value of a flattened image by itself",
            "put it in front of the flattening, with a number for each channel",
        )
    if bool((gain == 0).any()):
        yield f"has a gain of 0 in {int((gain == 0).sum())} channels", "remove these channels"


def _gain(module: nn.Module) -> Tensor:
    """Return the signed factor of a module; 1 if it adds."""
    if isinstance(module, BatchNorm):
        return module.gain
    if not isinstance(module, Elementwise):
        raise Defect(f"{type(module).__name__} neither multiplies nor adds")
    return _constant(module) if module.operator in ("Mul", "Div") else torch.tensor(1.0)


def _constant(module: Elementwise) -> Tensor:
    constant = module.right if module.left is None else module.left
    assert constant is not None
    return constant


def _note(graph: Graph, step: Step) -> str:
    module = step.module
    weights = graph.weights.get(step.output)
    notes = []
    if isinstance(module, Convolution) and (groups := module.options["groups"]) > 1:
        outputs, inputs = module.weight.shape[:2]
        if (outputs, inputs) != (groups, 1):
            notes.append(f"{groups} groups: computed as a whole convolution, {groups}× the work")
    if weights is not None and not weights.per_tensor:
        notes.append("a scale for each channel: σ is in LSB of its accumulator")
    return "; ".join(notes)
