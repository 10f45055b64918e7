"""Which kind of matrix-vector unit each layer gets: LUTs (ours) or DSP slices (FINN's)."""

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from flow.compiler.folding.target import Nodes, wanted
from flow.errors import UserError

LUT_BITS = 8
"""Operands of up to so many bits go to LUTs, wider ones to DSP slices. It is all that the LUT unit
takes: FINN's DSP unit works through its pipeline in every clock, used or not, and simulates slower
at every width."""


class ChooseUnits(Transformation):
    """Set ``resType`` of each matrix-vector unit, and make those of LUTs RTL nodes.

    FINN's ``SpecializeLayers`` knows of its DSP unit only, and would send one-bit operands to HLS.

    Args:
        mvu: ``lut`` for our unit where operands have up to ``LUT_BITS`` bits, ``dsp`` for FINN's.
        nodes: a folding file's content; its ``resType`` goes before ``mvu``.

    Raises:
        UserError: no unit takes a layer's operands; the message names the node.
    """

    def __init__(self, mvu: str, nodes: Nodes | None = None) -> None:
        super().__init__()
        self.mvu = mvu
        self.nodes = nodes or {}

    def apply(self, model: ModelWrapper):
        """Apply to the whole graph at once."""
        for index, node in enumerate(model.get_nodes_by_op_type("MVAU")):
            unit = getCustomOp(node)
            # as it will be called
            name = f"MVAU_rtl_{index}"
            asked = wanted(self.nodes, name, "MVAU").get("resType", "auto")
            bits = [unit.get_input_datatype(i).bitwidth() for i in (0, 1)]
            if asked == "lut" and max(bits) > LUT_BITS:
                raise UserError(
                    f"node {name}: resType is lut, but its operands have {bits[0]} and {bits[1]} "
                    f"bits: a unit of LUTs takes up to {LUT_BITS}, give dsp"
                )
            kind = self.mvu if asked == "auto" else asked
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
        return model, False
