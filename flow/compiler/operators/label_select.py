"""Label select: the arg-max of the last layer."""

import numpy as np
from finn.custom_op.fpgadataflow.labelselect import LabelSelect as PlainLabelSelect

from flow import hdl
from flow.compiler.operators.kernel import Kernel


class LabelSelect(PlainLabelSelect):
    """FINN's label select, extended by an offset that is added to each class before comparison.

    The attribute ``Offsets`` has one offset per class, in the unit of the values, or is empty. Of a
    single value (``Labels`` 1) the label is whether it is 0 or more.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes and the offsets."""
        return super().get_nodeattr_types() | {"Offsets": ("floats", False, [])}

    def comparison(self) -> tuple[int, list[int]]:
        """Return integers with which values compare exactly as with the offsets.

        The larger of two sums of an integer and an offset has the larger integer part, or else the
        larger fraction. There are at most as many fractions as classes, so their rank suffices.

        Returns:
            The shift s, and the summand c of each class: value · 2^s + c is compared.
        """
        # rounded to float32's precision in the hundreds, so a bias of whole LSB is an integer
        offsets = np.round(np.array(self.get_nodeattr("Offsets"), np.float64), 4)
        whole = np.floor(offsets)
        fractions, rank = np.unique(offsets - whole, return_inverse=True)
        shift = max(len(fractions) - 1, 0).bit_length()
        return shift, (whole.astype(np.int64) * (1 << shift) + rank).tolist()

    def execute_node(self, context, graph):
        """Run FINN's execution on equivalent numbers that float32 can represent."""
        name, (shift, offsets) = self.onnx_node.input[0], self.comparison()
        given = context[name]
        if self.get_nodeattr("Labels") == 1:
            label = given.astype(np.int64) * (1 << shift) + (offsets or [0]) >= 0
            context[self.onnx_node.output[0]] = label.astype(np.float32)
            return
        if offsets:
            compared = given.astype(np.int64) * (1 << shift) + offsets
            _, rank = np.unique(compared, return_inverse=True)
            context[name] = rank.reshape(given.shape).astype(np.float32)
        super().execute_node(context, graph)
        context[name] = given


class LabelSelect_rtl(Kernel, LabelSelect):
    """Label select in RTL, ``hw/kernels/label_select.sv``."""

    sources = ("kernels/label_select.sv",)

    def parameters(self):
        """Return the module's parameters."""
        idt, (shift, offsets) = self.get_input_datatype(), self.comparison()
        labels = self.get_nodeattr("Labels")
        offsets = offsets or [0] * labels
        width = hdl.signed_width(offsets)
        return {
            "LABELS": labels,
            "SHIFT": shift,
            "OFFSET_WIDTH": width,
            "OFFSETS": hdl.packed(offsets, width),
            "PE": self.get_nodeattr("PE"),
            "K": self.get_nodeattr("K"),
            "IN_WIDTH": idt.bitwidth(),
            "IN_SIGNED": int(idt.signed()),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
        }
