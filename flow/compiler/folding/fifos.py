"""FIFOs where a graph forks and joins, deep enough that it cannot lock up."""

import math

from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

SHALLOWEST = 3
"""FINN makes no FIFO of less."""


class BufferBranches(Transformation):
    """Put a FIFO of one image on the shorter branch into each addition.

    The fork gives both branches beat after beat together, and the addition takes from both
    together. The longer branch needs some of an image before its first result, sliding windows
    whole rows of it; until then the shorter one's results wait in the FIFO. It never fills before
    they are taken: an image's last result of the longer branch needs nothing of the next image, so
    that at most one image waits. The other way round no FIFO is needed: where the longer branch
    has a result, the shorter one has got all it needs for the same.
    """

    def apply(self, model: ModelWrapper):
        """Apply to the whole graph at once, folded."""
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
    """Return how long a branch holds back what enters it at the fork: rows, and whole vectors."""
    rows = vectors = 0
    while (node := model.find_producer(name)) is not None:
        kind = node.op_type.removesuffix("_rtl")
        if kind == "DuplicateStreams":
            break
        if kind == "ConvolutionInputGenerator":
            generator = getCustomOp(node)
            height, _ = generator.get_nodeattr("ConvKernelDim")
            stride, _ = generator.get_nodeattr("Stride")
            # rows behind this window, in rows in front of it, and those of the window
            rows = rows * stride + height - 1
        vectors += kind == "MVAU"
        name = node.input[0]
    return rows, vectors
