"""Pooling in RTL."""

import math

from finn.custom_op.fpgadataflow.pool import Pool
from qonnx.core.datatype import DataType

from flow.compiler.operators.kernel import Kernel
from flow.errors import UserError
from flow.golden.layers import pool_shift


class Pool_rtl(Kernel, Pool):
    """``hw/kernels/pool.sv``: FINN's MaxPool, AccPool and QuantAvgPool.

    AvgPool is refused: FINN's execution returns a mean with a fraction, which no stream holds.
    """

    sources = ("kernels/pool.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: an adder, or a comparison and a multiplexer, per lane."""
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
        # the maximum of bits is that of −1 and 1, but their sum is not
        bipolar = idt == DataType["BIPOLAR"]
        if bipolar and function != "MaxPool":
            raise UserError(
                f"node {self.onnx_node.name}: only MaxPool takes a stream of −1 and 1, not "
                f"{function}"
            )
        window = math.prod(self.get_nodeattr("KernelSize"))
        in_bits, out_bits = idt.bitwidth(), self.get_output_datatype().bitwidth()
        return {
            "PE": self.get_nodeattr("PE"),
            "WINDOW": window,
            "SUM": int(function != "MaxPool"),
            "SHIFT": pool_shift(function, window, in_bits, out_bits),
            "IN_WIDTH": in_bits,
            "IN_SIGNED": int(idt.signed() and not bipolar),
            "OUT_WIDTH": out_bits,
        }
