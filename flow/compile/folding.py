"""Folding: how many elements of a layer the hardware works on in one cycle."""

from finn.transformation.fpgadataflow.set_folding import SetFolding
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

CYCLES_AN_IMAGE = 256
"""Default target; of those tried it simulates the fully connected networks fastest."""


class FoldChain(Transformation):
    """Fold matrix-vector units by FINN's ``SetFolding``, and what follows each like it.

    Taps, thresholds and label select take their producer's PE, so that no width converter stands
    between a unit and its tap.

    Args:
        cycles: target of cycles per image.
    """

    def __init__(self, cycles: int = CYCLES_AN_IMAGE) -> None:
        super().__init__()
        self.cycles = cycles

    def apply(self, model: ModelWrapper):
        """Apply to the whole graph at once."""
        model = model.transform(SetFolding(self.cycles, two_pass_relaxation=False))
        nodes = list(model.graph.node)
        for node, follower in zip(nodes, nodes[1:], strict=False):
            if follower.op_type.startswith("MVAU"):
                continue
            pe = getCustomOp(node).get_nodeattr("PE")
            getCustomOp(follower).set_nodeattr("PE", pe)
        first = nodes[0]
        if first.op_type.startswith("NoiseTap"):
            getCustomOp(first).set_nodeattr("PE", getCustomOp(nodes[1]).get_nodeattr("SIMD"))
        return model, False
