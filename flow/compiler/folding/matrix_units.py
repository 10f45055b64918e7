"""Choice of each layer's unit: LUTs (ours) or DSP slices (FINN's)."""

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from flow.compiler.folding.target import Nodes, wanted
from flow.errors import UserError
from flow.golden.units import partial_sums

LUT_BITS = 16
"""Widest operands, in bits, that use LUTs; wider ones use DSP slices. It is the LUT unit's limit:
FINN's DSP unit evaluates its pipeline in every clock, used or not, and simulates slower at every
width."""


class ChooseUnits(Transformation):
    """Set the ``resType`` of each unit, and make those of LUTs RTL nodes.

    FINN's ``SpecializeLayers`` knows only its DSP unit and would use HLS for one-bit operands. The
    unit of a depth-wise convolution, and that of a layer with tiles or planes, is of LUTs.

    Args:
        mvu: ``lut`` for our unit if operands have up to ``LUT_BITS`` bits, ``dsp`` for FINN's.
        nodes: content of a folding file, whose ``resType`` takes precedence over ``mvu``.

    Raises:
        UserError: no unit takes a layer's operands; the message names the node.
    """

    def __init__(self, mvu: str, nodes: Nodes | None = None) -> None:
        super().__init__()
        self.mvu = mvu
        self.nodes = nodes or {}

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        self._choose_matrix_units(model)
        self._choose_depth_wise_units(model)
        return model, False

    def _choose_matrix_units(self, model: ModelWrapper) -> None:
        for index, node in enumerate(model.get_nodes_by_op_type("MVAU")):
            unit = getCustomOp(node)
            # the node's later name
            name = f"MVAU_rtl_{index}"
            asked = wanted(self.nodes, name, "MVAU").get("resType", "auto")
            bits = _operand_bits(unit)
            if asked == "lut" and max(bits) > LUT_BITS:
                raise UserError(
                    f"node {name}: resType is lut, but its operands have {bits[0]} and {bits[1]} "
                    f"bits: a unit of LUTs takes up to {LUT_BITS}, give dsp"
                )
            kind = self.mvu if asked == "auto" else asked
            if partial_sums(unit) > 1:
                kind = self._unit_of_sums(name, asked, max(bits))
            if kind == "lut" and max(bits) <= LUT_BITS:
                unit.set_nodeattr("resType", "lut")
                node.op_type, node.domain = "MVAU_rtl", f"{node.domain}.rtl"
            elif min(bits) < 2:
                raise UserError(
                    f"node {name}: activations of {bits[0]} and weights of {bits[1]} bits fit "
                    f"no matrix-vector unit: that of LUTs takes 1 to {LUT_BITS} bits, that of DSP "
                    "slices at least 2"
                )
            else:
                unit.set_nodeattr("resType", "dsp")

    @staticmethod
    def _unit_of_sums(name: str, asked: str, bits: int) -> str:
        """Return the unit of a layer with tiles or planes, of which only ours gives the sums."""
        if asked == "dsp" or bits > LUT_BITS:
            why = "resType is dsp" if asked == "dsp" else f"its operands have up to {bits} bits"
            raise UserError(
                f"node {name}: {why}, but only the unit of LUTs gives the sums of tiles and "
                f"planes, of operands of up to {LUT_BITS} bits: leave ROWS and INPUT_BITS out, or "
                "change that"
            )
        return "lut"

    def _choose_depth_wise_units(self, model: ModelWrapper) -> None:
        for index, node in enumerate(model.get_nodes_by_op_type("VVAU")):
            unit = getCustomOp(node)
            # the node's later name
            name = f"VVAU_rtl_{index}"
            if wanted(self.nodes, name, "VVAU").get("resType", "auto") == "dsp":
                raise UserError(
                    f"node {name}: resType is dsp, but the unit of a depth-wise convolution is of "
                    "LUTs: give lut, or compile the whole network with MVU=dsp"
                )
            bits = _operand_bits(unit)
            if max(bits) > LUT_BITS:
                raise UserError(
                    f"node {name}: the operands of its depth-wise convolution have {bits[0]} and "
                    f"{bits[1]} bits, and its unit takes up to {LUT_BITS}: use fewer bits, or "
                    "compile with MVU=dsp"
                )
            unit.set_nodeattr("resType", "lut")
            node.op_type, node.domain = "VVAU_rtl", f"{node.domain}.rtl"


def _operand_bits(unit) -> list[int]:
    """Return the bits of what a unit multiplies: of activations, or a plane of them; of weights."""
    return [unit.operand_type().bitwidth(), unit.get_input_datatype(1).bitwidth()]
