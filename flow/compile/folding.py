"""Folding: how many elements of a layer the hardware works on in one cycle."""

import math

from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

FEWEST_CYCLES = 16
MULTIPLIERS = {"lut": 4096, "dsp": 1024}
"""Multipliers that the default folding spends on a whole network, by matrix-vector unit. More of
them simulate faster, as each clock costs something of its own, but take longer to compile; FINN's
DSP lanes take by far the longest."""


def default_cycles(model: ModelWrapper) -> int:
    """Return a target of cycles per image that keeps a network within ``MULTIPLIERS``.

    Args:
        model: each unit's ``resType`` is set.
    """
    units = [getCustomOp(node) for node in model.graph.node if node.op_type.startswith("MVAU")]
    products = sum(
        unit.get_nodeattr("MW")
        * unit.get_nodeattr("MH")
        * math.prod(unit.get_nodeattr("numInputVectors"))
        for unit in units
    )
    kind = "lut" if all(unit.get_nodeattr("resType") == "lut" for unit in units) else "dsp"
    return max(FEWEST_CYCLES, -(-products // MULTIPLIERS[kind]))


class FoldChain(Transformation):
    """Fold a chain of layers to a number of cycles per image.

    A matrix-vector unit takes the fewest multipliers (PE · SIMD) that reach the target, and of
    equal choices the one whose SIMD is the PE before it. What follows it takes its PE, so that no
    width converter stands between a unit and its tap; other seams get FINN's converter.

    Args:
        cycles: target of cycles per image; ``default_cycles`` when None.
    """

    def __init__(self, cycles: int | None = None) -> None:
        super().__init__()
        self.cycles = cycles

    def apply(self, model: ModelWrapper):
        """Apply to the whole graph at once."""
        cycles = default_cycles(model) if self.cycles is None else self.cycles
        pe = 0
        for node in model.graph.node:
            operator = getCustomOp(node)
            if node.op_type.startswith("MVAU"):
                pe, simd = _fold_unit(operator, pe, cycles)
                operator.set_nodeattr("SIMD", simd)
            elif pe == 0:
                # in front of the first unit
                unit = getCustomOp(model.get_nodes_by_op_type("MVAU")[0])
                pe = _fold_unit(unit, 0, cycles)[1]
            operator.set_nodeattr("PE", pe)
        return model.transform(InsertDWC()), False


def _fold_unit(operator, before: int, cycles: int) -> tuple[int, int]:
    """Choose PE and SIMD of a matrix-vector unit fed ``before`` elements a beat."""
    width, height = operator.get_nodeattr("MW"), operator.get_nodeattr("MH")
    choices = [(pe, simd) for pe in _divisors(height) for simd in _divisors(width)]
    fast = [(pe, simd) for pe, simd in choices if (width // simd) * (height // pe) <= cycles]
    best = min(pe * simd for pe, simd in fast or choices[-1:])
    equal = [(pe, simd) for pe, simd in fast or choices[-1:] if pe * simd == best]
    return min(equal, key=lambda fold: (fold[1] != before, abs(fold[0] - fold[1])))


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
