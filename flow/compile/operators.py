"""FINN's operators that FINN has in HLS alone, as RTL.

FINN's passes find them by name (``finn_setup.initialise``).
"""

import math

from finn.custom_op.fpgadataflow.labelselect import LabelSelect
from finn.custom_op.fpgadataflow.pool import Pool

from flow.compile.kernel import Kernel
from flow.errors import UserError


class LabelSelect_rtl(Kernel, LabelSelect):
    """``hw/kernels/label_select.sv``."""

    sources = ("kernels/label_select.sv",)

    def parameters(self):
        """Return the module's parameters."""
        idt = self.get_input_datatype()
        return {
            "LABELS": self.get_nodeattr("Labels"),
            "PE": self.get_nodeattr("PE"),
            "K": self.get_nodeattr("K"),
            "IN_WIDTH": idt.bitwidth(),
            "IN_SIGNED": int(idt.signed()),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
        }


def pool_shift(pool: Pool) -> int:
    """Return by how many bits FINN's QuantAvgPool shifts its sum; 0 for the other kinds."""
    if pool.get_nodeattr("Function") != "QuantAvgPool":
        return 0
    places = math.prod(pool.get_nodeattr("KernelSize"))
    largest = (2 ** pool.get_input_datatype().bitwidth() - 1) * places
    return max(0, largest.bit_length() - pool.get_output_datatype().bitwidth())


class Pool_rtl(Kernel, Pool):
    """``hw/kernels/pool.sv``: FINN's MaxPool, AccPool and QuantAvgPool.

    AvgPool is refused: what FINN executes there is a mean with a fraction, which no stream holds.
    """

    sources = ("kernels/pool.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the LUTs: an adder or a comparison with its choice, a lane."""
        width, window = (
            self.get_input_datatype().bitwidth(),
            math.prod(self.get_nodeattr("KernelSize")),
        )
        summed = self.get_nodeattr("Function") != "MaxPool"
        each = width + math.ceil(math.log2(window)) if summed else 2 * width
        return self.get_nodeattr("PE") * each

    def parameters(self):
        """Return the module's parameters."""
        function = self.get_nodeattr("Function")
        if function == "AvgPool":
            raise UserError(
                f"node {self.onnx_node.name}: AvgPool gives fractions, which no integer stream "
                "holds: pool with MaxPool, AccPool or QuantAvgPool"
            )
        idt = self.get_input_datatype()
        return {
            "PE": self.get_nodeattr("PE"),
            "WINDOW": math.prod(self.get_nodeattr("KernelSize")),
            "SUM": int(function != "MaxPool"),
            "SHIFT": pool_shift(self),
            "IN_WIDTH": idt.bitwidth(),
            "IN_SIGNED": int(idt.signed()),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
        }
