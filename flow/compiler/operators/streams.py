"""FINN's operators as RTL, which FINN has in HLS alone or, FIFOs, not for Verilator.

FINN's passes find them by name (``finn_setup.initialise``).
"""

import math

import numpy as np
from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams
from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd
from finn.custom_op.fpgadataflow.labelselect import LabelSelect as PlainLabelSelect
from finn.custom_op.fpgadataflow.pool import Pool
from finn.custom_op.fpgadataflow.streamingfifo import StreamingFIFO
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import Kernel
from flow.errors import UserError


class LabelSelect(PlainLabelSelect):
    """FINN's label select, which here adds each class's offset before it compares.

    The attribute ``Offsets`` has one for each class in units of the values, or none.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes and the offsets."""
        return super().get_nodeattr_types() | {"Offsets": ("floats", False, [])}

    def comparison(self) -> tuple[int, list[int]]:
        """Return whole numbers by which values compare as they do with the offsets, exactly.

        Of two sums of a whole number and an offset the larger has the larger whole part, or else
        the larger fraction; and of fractions there are no more than classes, so that their rank
        tells all.

        Returns:
            s, and c of each class: what is compared is value · 2^s + c.
        """
        # to what float32 holds of values in the hundreds: a bias quantised to whole LSB is whole
        offsets = np.round(np.array(self.get_nodeattr("Offsets"), np.float64), 4)
        whole = np.floor(offsets)
        fractions, rank = np.unique(offsets - whole, return_inverse=True)
        shift = max(len(fractions) - 1, 0).bit_length()
        return shift, (whole.astype(np.int64) * (1 << shift) + rank).tolist()

    def execute_node(self, context, graph):
        """Run FINN's execution on numbers that compare alike and that float32 holds."""
        name, (shift, offsets) = self.onnx_node.input[0], self.comparison()
        given = context[name]
        if offsets:
            compared = given.astype(np.int64) * (1 << shift) + offsets
            _, rank = np.unique(compared, return_inverse=True)
            context[name] = rank.reshape(given.shape).astype(np.float32)
        super().execute_node(context, graph)
        context[name] = given


class LabelSelect_rtl(Kernel, LabelSelect):
    """``hw/kernels/label_select.sv``."""

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
        # the largest of bits is the largest of −1 and 1; their sum is another
        bipolar = idt == DataType["BIPOLAR"]
        if bipolar and function != "MaxPool":
            raise UserError(
                f"node {self.onnx_node.name}: only MaxPool takes a stream of −1 and 1, not "
                f"{function}"
            )
        return {
            "PE": self.get_nodeattr("PE"),
            "WINDOW": math.prod(self.get_nodeattr("KernelSize")),
            "SUM": int(function != "MaxPool"),
            "SHIFT": pool_shift(self),
            "IN_WIDTH": idt.bitwidth(),
            "IN_SIGNED": int(idt.signed() and not bipolar),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
        }


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
