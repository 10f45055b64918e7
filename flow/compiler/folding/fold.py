"""Folding: the number of elements of each layer that hardware processes per cycle."""

import math

from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from flow.compiler.folding import file
from flow.compiler.folding.cost import describe, nanoseconds
from flow.compiler.folding.fifos import JOINS
from flow.compiler.folding.target import Nodes, Target
from flow.compiler.folding.windows import GENERATOR, follow, input_lanes
from flow.errors import UserError
from flow.golden.units import common_simd, is_unit, matrix_size, operator_kind, planes

FEWEST_CYCLES = 16
MULTIPLIERS = {"lut": 8192, "dsp": 1024}
"""Largest number of multipliers of a network in the default folding, by matrix-vector unit: they
take long to compile, FINN's DSP lanes by far the longest."""
SLOWEST = 50_000
"""Largest target in the search for the default, cycles per image."""
STEP = 1.2
"""Ratio of successive targets in the search."""


def default_cycles(model: ModelWrapper) -> int:
    """Return the target of cycles per image that simulates fastest, according to `folding.cost`.

    Few cycles are best if clocks with mostly idle nodes cost more than wide units that wait for
    others; but no network gets more than ``MULTIPLIERS``.

    Args:
        model: graph with each unit's ``resType`` set; it is left folded to the last target tried.
    """
    least = fewest_cycles(model)
    _fold(model, least)
    # a generator produces at most one pixel of a window per cycle: wider consumers would wait
    bound = max(int(getCustomOp(node).get_exp_cycles()) for node in model.graph.node)
    targets = [max(least, bound)]
    while targets[-1] * STEP < SLOWEST:
        targets.append(math.ceil(targets[-1] * STEP))
    return min(targets, key=lambda cycles: _modelled(model, cycles))


def _modelled(model: ModelWrapper, cycles: int) -> float:
    """Fold to a target, and return the modelled nanoseconds per image, including converters."""
    _fold(model, cycles)
    entries = [describe(getCustomOp(node)) for node in model.graph.node]
    described = {entry["name"]: entry for entry in entries}
    for node in model.graph.node:
        for tensor in node.output:
            for consumer in model.find_consumers(tensor) or []:
                given, taken = described[node.name], described[consumer.name]
                if given["folded_output"][-1] != taken["folded_input"][-1]:
                    entries.append(
                        given
                        | {
                            "operator": "StreamingDataWidthConverter",
                            "resType": None,
                            "folded_input": given["folded_output"],
                            "folded_output": taken["folded_input"],
                            "input_type": given["output_type"],
                            "cycles": 0,
                        }
                    )
    return nanoseconds(entries)


def fewest_cycles(model: ModelWrapper) -> int:
    """Return a target of cycles per image that keeps a network within ``MULTIPLIERS``.

    Args:
        model: graph with each unit's ``resType`` set.
    """
    units = [getCustomOp(node) for node in model.graph.node if is_unit(node)]
    products = sum(math.prod(matrix_size(unit)) * _vectors(unit) for unit in units)
    kind = "lut" if all(unit.get_nodeattr("resType") == "lut" for unit in units) else "dsp"
    return max(FEWEST_CYCLES, -(-products // MULTIPLIERS[kind]))


def check_reached(model: ModelWrapper, target: Target) -> None:
    """Raise a UserError if a folded graph does not reach the requested frame rate."""
    cycles, name = max((int(getCustomOp(n).get_exp_cycles()), n.name) for n in model.graph.node)
    if target.fps is not None and cycles > 1e6 * target.mhz / target.fps:
        raise UserError(
            f"{target.fps:g} images per second cannot be reached: node {name} takes {cycles} "
            f"cycles per image, which is {1e6 * target.mhz / cycles:.0f} images per second at "
            f"{target.mhz:g} MHz"
        )


class FoldChain(Transformation):
    """Fold a graph of layers to a number of cycles per image.

    A unit takes the fewest multipliers (PE · SIMD) that reach the target, and among equal choices
    the fewest rows (PE), because the elements of a row are counted in one operation. SIMD divides
    every tile of a unit that has tiles, which takes no more cycles than one without. A depth-wise
    unit takes one place of a window at a time, or all of them if that is too slow.
    A convolution produces few outputs per cycle, so the nodes between units, including forks and
    additions, take the fewest lanes that reach the target: the lanes of a tap need much logic. A
    sliding-window generator takes the lanes of the unit it feeds, which then divide the channels.
    FINN's converters join streams of different width.

    Args:
        cycles: target of cycles per image; `default_cycles` if None.
        nodes: content of a folding file, which takes precedence.

    Raises:
        UserError: the folding file does not fit the graph; the message names the node.
    """

    def __init__(self, cycles: int | None = None, nodes: Nodes | None = None) -> None:
        super().__init__()
        self.cycles = cycles
        self.nodes = nodes

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        _fold(model, default_cycles(model) if self.cycles is None else self.cycles)
        if self.nodes is not None:
            file.apply(model, self.nodes)
        return model.transform(InsertDWC()), False


def _fold(model: ModelWrapper, cycles: int) -> None:
    """Set every node's folding."""
    units = [node for node in model.graph.node if is_unit(node)]
    for node in units:
        _fold_unit(model, node, cycles)
    for node in model.graph.node:
        if _feeds_unit(model, node):
            follow(getCustomOp(node), getCustomOp(model.find_consumer(node.output[0])))
    for segment in _segments(model):
        _narrow([getCustomOp(node) for node in segment], _lanes(model, segment), cycles)


def _vectors(unit) -> int:
    """Return the number of vectors or windows per image that a unit multiplies."""
    return math.prod(unit.get_normal_output_shape()[:-1])


def _fold_unit(model: ModelWrapper, node, cycles: int) -> None:
    """Choose and set the PE and SIMD of a unit."""
    operator = getCustomOp(node)
    width, height = matrix_size(operator)
    depth_wise, producer = operator_kind(node) == "VVAU", model.find_producer(node.input[0])
    windows = None
    if producer is not None and operator_kind(producer) == GENERATOR:
        windows = getCustomOp(producer)
    entering = 0
    if depth_wise:
        feeds = [1, width]
        # the generator takes PE values of the padded image per clock
        entering = math.prod(windows.get_normal_input_shape()) if windows else 0
    else:
        each = common_simd(operator)
        feeds = _divisors(math.gcd(each, windows.get_nodeattr("IFMChannels")) if windows else each)
    choices = [(pe, simd) for pe in _divisors(height) for simd in feeds]
    products = _vectors(operator) * width * height * planes(operator).count
    fast = [
        (pe, simd) for pe, simd in choices if max(products, entering * simd) <= cycles * pe * simd
    ]
    best = min(pe * simd for pe, simd in fast or choices[-1:])
    equal = [(pe, simd) for pe, simd in fast or choices[-1:] if pe * simd == best]
    pe, simd = max(equal) if depth_wise else min(equal)
    operator.set_nodeattr("PE", pe)
    operator.set_nodeattr("SIMD", simd)


def _segments(model: ModelWrapper) -> list[list]:
    """Return the segments of connected nodes between units and upstream of the first unit."""
    segments: list[list] = []
    for node in model.graph.node:
        if is_unit(node) or _feeds_unit(model, node):
            continue
        apart, joined = [], [node]
        for segment in segments:
            given = {name for one in segment for name in one.output}
            if given.isdisjoint(node.input):
                apart.append(segment)
            else:
                joined = [*segment, *joined]
        segments = [*apart, joined]
    return segments


def _lanes(model: ModelWrapper, segment: list) -> list[int]:
    """Return the possible lanes of a segment, the best first.

    Divisors of the upstream units' output lanes (or, upstream of the first unit, of its input
    lanes) need no uneven width converter. The other divisors of the channels follow, for segments
    that are slower, such as those with padding.
    """
    # a tap of tiles has several times the channels of what follows
    channels = math.gcd(
        *(
            int(getCustomOp(node).get_normal_input_shape(index)[-1])
            for node in segment
            for index in range(_streams_into(node))
        )
    )
    units = [
        getCustomOp(producer).get_nodeattr("PE")
        for node in segment
        for producer in model.find_direct_predecessors(node) or []
        if is_unit(producer)
    ]
    if not units:
        first = next((node for node in model.graph.node if is_unit(node)), None)
        units = [channels if first is None else input_lanes(getCustomOp(first))[1]]
    even = math.gcd(channels, *units)
    return [*_divisors(even), *(d for d in _divisors(channels) if d > even)]


def _streams_into(node) -> int:
    """Return the number of a node's input streams."""
    return len(node.input) if operator_kind(node) in JOINS else 1


def _narrow(segment: list, lanes: list[int], cycles: int) -> None:
    """Set operators to the first of ``lanes`` with which all reach the target, or to the last."""
    for few in lanes:
        for operator in segment:
            types = operator.get_nodeattr_types()
            operator.set_nodeattr("PE" if "PE" in types else "SIMD", few)
        if all(operator.get_exp_cycles() <= cycles for operator in segment):
            return


def _feeds_unit(model: ModelWrapper, node) -> bool:
    """Whether a node is the sliding-window generator of a unit."""
    return operator_kind(node) == GENERATOR and is_unit(model.find_consumer(node.output[0]))


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
