"""FINN's operators as RTL, which FINN has in HLS alone or, FIFOs, not for Verilator.

FINN's passes find them by name (`flow.compiler.finn.register_operators`).
"""

from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams
from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd
from finn.custom_op.fpgadataflow.streamingfifo import StreamingFIFO
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import Kernel
from flow.errors import UserError


class DuplicateStreams_rtl(Kernel, DuplicateStreams):
    """``hw/kernels/duplicator.sv``."""

    sources = ("kernels/duplicator.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the LUTs: for an output its valid signal and its share of the input's ready."""
        return 2 * self.get_num_output_streams()

    def parameters(self):
        """Return the module's parameters."""
        return {"OUTPUTS": self.get_num_output_streams(), "WIDTH": self.get_outstream_width()}


class AddStreams(ElementwiseAdd):
    """FINN's addition of two streams of integers, under a name of its own.

    FINN's SpecializeLayers has RTL for an ElementwiseAdd of floats alone, and FINN's type of the
    sum lacks a bit where a signed operand meets an unsigned one as wide.
    """

    def _derive_out_dtype(self, model):
        """Return the smallest type that holds every sum."""
        types = self.lhs_dtype, self.rhs_dtype
        low, high = (int(sum(getattr(t, end)() for t in types)) for end in ("min", "max"))
        if low >= 0:
            return DataType[f"UINT{high.bit_length()}"]
        return DataType[f"INT{hdl.signed_width((low, high))}"]


class AddStreams_rtl(Kernel, AddStreams):
    """``hw/kernels/adder.sv``."""

    sources = ("kernels/adder.sv",)
    inputs = ("a_axis", "b_axis")

    def lut_estimation(self, fpgapart=None):
        """Return the LUTs: one a bit of each lane's sum."""
        return self.get_outstream_width()

    def parameters(self):
        """Return the module's parameters."""
        a, b = self.lhs_dtype, self.rhs_dtype
        if DataType["BIPOLAR"] in (a, b):
            raise UserError(
                f"node {self.onnx_node.name}: it adds streams of −1 and 1, and takes whole numbers "
                "only: quantise both terms to 2 bits or more"
            )
        return {
            "PE": self.get_nodeattr("PE"),
            "A_WIDTH": a.bitwidth(),
            "A_SIGNED": int(a.signed()),
            "B_WIDTH": b.bitwidth(),
            "B_SIGNED": int(b.signed()),
            "OUT_WIDTH": self.out_dtype.bitwidth(),
        }


class StreamingFIFO_rtl(Kernel, StreamingFIFO):
    """``hw/kernels/stream_fifo.sv``.

    FINN's own does not elaborate under Verilator, and where FINN simulates, it takes a queue
    without end, which would hide a FIFO that is too shallow.
    """

    sources = ("kernels/stream_fifo.sv",)

    def parameters(self):
        """Return the module's parameters."""
        return {"DEPTH": self.get_nodeattr("depth"), "WIDTH": self.get_instream_width()}
