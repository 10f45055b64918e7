"""FIFOs between forks and joins of a graph, deep enough to exclude deadlock."""

import math

from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveUniqueNodeNames, SortGraph

from flow.golden.units import is_unit, operator_kind

SHALLOWEST = 3
"""Smallest depth of FINN's FIFOs."""
JOINS = ("AddStreams", "MultiplyStreams", "StreamingConcat")
"""Operators of two streams."""
FORK = "DuplicateStreams"
Length = tuple[int, int]
"""Rows of an image, and whole vectors."""


class BufferBranches(Transformation):
    """Insert a FIFO of one image into the shorter branch of each join, or into both.

    The fork feeds both branches in step, beat by beat, and the join takes what belongs to one pixel
    from both. The longer branch needs part of an image before its first result, whole rows of it
    for sliding windows; until then the results of the shorter branch wait in the FIFO. It never
    overflows: the last result of an image in the longer branch needs nothing of the next image, so
    at most one image waits. The longer branch needs no FIFO: when it has a result, the shorter
    branch has all it needs for its own.

    That holds where the branches part at one fork and share nothing behind it. Elsewhere, as in a
    dense block whose every layer reads all before it, both get a FIFO: then a whole image fits in
    front of every join, and each node gives its image without waiting for a join.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to a whole folded graph."""
        # a copy: the graph keeps its order, by which nodes are named, and converters have no names
        ordered = model.transform(SortGraph()).transform(GiveUniqueNodeNames())
        for node in model.graph.node:
            if operator_kind(node) not in JOINS:
                continue
            operator = getCustomOp(node)
            lengths = _lengths(ordered, ordered.find_producer(node.output[0]))
            depths = [2, 2]
            # of equal ones the second, whose pixel waits while a concatenation takes the first's
            short = {int(lengths[1] <= lengths[0])} if lengths else {0, 1}
            for index in short:
                beats = math.prod(operator.get_folded_input_shape(index)[:-1])
                depths[index] = max(SHALLOWEST, beats)
            operator.set_nodeattr("inFIFODepths", depths)
        return model.transform(InsertFIFO()), False


def _lengths(model: ModelWrapper, join) -> list[Length]:
    """Return how much of an image each branch of a join holds back, from the fork on.

    There are none if the branches do not part at one fork, and go apart from all else behind it.
    """
    branches = [_upstream(model, name) for name in join.input]
    shared = [node for node in model.graph.node if node.name in branches[0] & branches[1]]
    if not shared or operator_kind(shared[-1]) != FORK:
        return []
    fork = shared[-1]
    before = {fork.name, *_upstream(model, fork.input[0])}
    if not before.issuperset(node.name for node in shared):
        return []
    apart = [branch - before for branch in branches]
    entry = model.graph.input[0].name
    for node in model.graph.node:
        if node.name not in apart[0] | apart[1]:
            continue
        sources = [model.find_producer(name) for name in node.input]
        behind = (one is None or one.name in {fork.name, *apart[0], *apart[1]} for one in sources)
        if entry in node.input or not all(behind):
            return []
    return [
        _length(model, name, branch, fork) for name, branch in zip(join.input, apart, strict=True)
    ]


def _upstream(model: ModelWrapper, stream: str) -> set[str]:
    """Return the names of all nodes that a stream is computed by."""
    found: set[str] = set()
    names = [stream]
    while names:
        node = model.find_producer(names.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            names += node.input
    return found


def _length(model: ModelWrapper, stream: str, branch: set[str], fork) -> Length:
    """Return how much of an image a branch holds back on its longest path: rows, whole vectors."""
    # what is held back between each stream and the join
    found: dict[str, Length] = {stream: (0, 0)}
    for node in reversed(model.graph.node):
        if node.name not in branch:
            continue
        rows, vectors = max(found[name] for name in node.output if name in found)
        if operator_kind(node) == "ConvolutionInputGenerator":
            generator = getCustomOp(node)
            height, _ = generator.get_nodeattr("ConvKernelDim")
            stride, _ = generator.get_nodeattr("Stride")
            # rows held back downstream, in input rows of this window, plus the window's rows
            rows = rows * stride + height - 1
        elif operator_kind(node) == "UpsampleNearestNeighbour":
            rows = -(-rows // getCustomOp(node).factors[0])
        length = rows, vectors + is_unit(node)
        for name in node.input:
            found[name] = max(found.get(name, length), length)
    return max(found[name] for name in fork.output if name in found)
