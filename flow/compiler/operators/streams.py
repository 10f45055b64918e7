"""RTL for FINN operators that FINN has only in HLS or, for FIFOs, not for Verilator.

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
    """Fork of a stream in RTL, ``hw/kernels/duplicator.sv``."""

    sources = ("kernels/duplicator.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: valid and a share of the input's ready for each output."""
        return 2 * self.get_num_output_streams()

    def parameters(self):
        """Return the module's parameters."""
        return {"OUTPUTS": self.get_num_output_streams(), "WIDTH": self.get_outstream_width()}


class AddStreams(ElementwiseAdd):
    """FINN's addition of two integer streams, under a different name.

    FINN's SpecializeLayers has RTL only for an ElementwiseAdd of floats, and FINN's type of the sum
    lacks a bit if a signed operand meets an unsigned one of equal width.
    """

    def _derive_out_dtype(self, model):
        """Return the smallest type that holds every sum."""
        types = self.lhs_dtype, self.rhs_dtype
        low, high = (int(sum(getattr(t, end)() for t in types)) for end in ("min", "max"))
        if low >= 0:
            return DataType[f"UINT{high.bit_length()}"]
        return DataType[f"INT{hdl.signed_width((low, high))}"]


class AddStreams_rtl(Kernel, AddStreams):
    """Addition of two streams in RTL, ``hw/kernels/adder.sv``."""

    sources = ("kernels/adder.sv",)
    inputs = ("a_axis", "b_axis")

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: one per bit of each lane's sum."""
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
    """FIFO in RTL, ``hw/kernels/stream_fifo.sv``.

    FINN's FIFO does not elaborate under Verilator, and FINN's simulation uses an unbounded queue,
    which would hide a FIFO that is too shallow.
    """

    sources = ("kernels/stream_fifo.sv",)

    def parameters(self):
        """Return the module's parameters."""
        return {"DEPTH": self.get_nodeattr("depth"), "WIDTH": self.get_instream_width()}
