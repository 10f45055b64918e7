"""FIFOs between forks and joins of a graph, deep enough to exclude deadlock."""

import math

from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from flow.golden.units import UNITS

SHALLOWEST = 3
"""Smallest depth of FINN's FIFOs."""


class BufferBranches(Transformation):
    """Insert a FIFO of one image into the shorter branch of each addition.

    The fork feeds both branches in step, beat by beat, and the addition takes from both in step.
    The longer branch needs part of an image before its first result, whole rows of it for sliding
    windows; until then the results of the shorter branch wait in the FIFO. It never overflows: the
    last result of an image in the longer branch needs nothing of the next image, so at most one
    image waits. The longer branch needs no FIFO: when it has a result, the shorter branch has all
    it needs for its own.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to a whole folded graph."""
        for node in model.get_nodes_by_op_type("AddStreams_rtl"):
            operator = getCustomOp(node)
            lengths = [_length(model, name) for name in node.input]
            depths = [2, 2]
            short = lengths.index(min(lengths))
            beats = math.prod(operator.get_folded_input_shape(short)[:-1])
            depths[short] = max(SHALLOWEST, beats)
            operator.set_nodeattr("inFIFODepths", depths)
        return model.transform(InsertFIFO()), False


def _length(model: ModelWrapper, name: str) -> tuple[int, int]:
    """Return how much of an image a branch holds back from the fork on: rows, and whole vectors."""
    rows = vectors = 0
    while (node := model.find_producer(name)) is not None:
        kind = node.op_type.removesuffix("_rtl")
        if kind == "DuplicateStreams":
            break
        if kind == "ConvolutionInputGenerator":
            generator = getCustomOp(node)
            height, _ = generator.get_nodeattr("ConvKernelDim")
            stride, _ = generator.get_nodeattr("Stride")
            # rows held back downstream, in input rows of this window, plus the window's rows
            rows = rows * stride + height - 1
        vectors += kind in UNITS
        name = node.input[0]
    return rows, vectors
