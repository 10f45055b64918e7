"""RTL for FINN operators that FINN has only in HLS or, for FIFOs, not for Verilator.

FINN's passes find them by name (`flow.compiler.finn.register_operators`).
"""

import math

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.concat import StreamingConcat as PlainConcat
from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams
from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd, ElementwiseMul
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
    """FINN's addition of two integer streams, under a different name, and of multiples of them.

    FINN's SpecializeLayers has RTL only for an ElementwiseAdd of floats, and FINN's type of the sum
    lacks a bit if a signed operand meets an unsigned one of equal width. The attribute ``Gains``
    has the whole number by which each operand is multiplied, or the numbers for each channel of the
    first operand, and then those of the second.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes and the gains."""
        return super().get_nodeattr_types() | {"Gains": ("ints", False, [1, 1])}

    @property
    def gains(self) -> npt.NDArray[np.int64]:
        """Gains of the two operands, [2, C], or [2, 1] if all channels have the same."""
        return np.array(self.get_nodeattr("Gains"), np.int64).reshape(2, -1)

    @property
    def npy_op(self):
        """The operation on arrays of whole numbers, channels last."""
        a, b = self.gains
        return lambda left, right: a * left + b * right

    def execute_node(self, context, graph):
        """Add whole numbers; sums that float32 would round are kept in float64."""
        left, right = (context[name].astype(np.int64) for name in self.onnx_node.input)
        sums = self.npy_op(left, right)
        small = sums.astype(np.float32)
        exact = (small.astype(np.int64) == sums).all()
        context[self.onnx_node.output[0]] = small if exact else sums.astype(np.float64)

    def infer_node_datatype(self, model):
        """Take the operands' types from the graph, and set that of their sum."""
        for name, attribute in zip(self.onnx_node.input, ("lhs_dtype", "rhs_dtype"), strict=True):
            self.set_nodeattr(attribute, model.get_tensor_datatype(name).name)
        self.minimize_accumulator_width(model)

    def _derive_out_dtype(self, model):
        """Return the smallest type that holds every sum.

        Raises:
            UserError: a sum may have more than 64 bits.
        """
        low = high = np.zeros(1, object)
        for gains, datatype in zip(self.gains, (self.lhs_dtype, self.rhs_dtype), strict=True):
            ends = [gains.astype(object) * int(getattr(datatype, end)()) for end in _ENDS]
            low, high = low + np.minimum(*ends), high + np.maximum(*ends)
        found = int(low.min()), int(high.max())
        if hdl.signed_width(found) > MOST_SUM_BITS:
            raise UserError(
                f"node {self.onnx_node.name} adds up to {hdl.signed_width(found)} bits, and "
                f"{MOST_SUM_BITS} is the most: quantise one of its operands"
            )
        return _holding(*found)


MOST_SUM_BITS = 64
"""Largest width of a sum of two streams."""
_ENDS = ("min", "max")


def _holding(low: int, high: int):
    """Return the smallest type that holds all numbers from low to high."""
    if low >= 0:
        return DataType[f"UINT{high.bit_length()}"]
    return DataType[f"INT{hdl.signed_width((low, high))}"]


def _operands(operator) -> dict[str, int]:
    """Return the parameters of two operands, their lanes, and of what a kernel makes of them.

    Raises:
        UserError: an operand is −1 and 1.
    """
    a, b = operator.lhs_dtype, operator.rhs_dtype
    if DataType["BIPOLAR"] in (a, b):
        raise UserError(
            f"node {operator.onnx_node.name}: it joins streams of −1 and 1, and takes whole "
            "numbers only: quantise both terms to 2 bits or more"
        )
    return {
        "PE": operator.get_nodeattr("PE"),
        "A_WIDTH": a.bitwidth(),
        "A_SIGNED": int(a.signed()),
        "B_WIDTH": b.bitwidth(),
        "B_SIGNED": int(b.signed()),
        "OUT_WIDTH": operator.out_dtype.bitwidth(),
    }


class AddStreams_rtl(Kernel, AddStreams):
    """Addition of two streams in RTL, ``hw/kernels/adder.sv``."""

    sources = ("kernels/adder.sv",)
    inputs = ("a_axis", "b_axis")

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: one per bit of each lane's sum, for each bit of a gain."""
        ones = [[int(gain).bit_count() for gain in gains] for gains in np.abs(self.gains)]
        return self.get_outstream_width() * sum(map(max, ones)) // 2

    def parameters(self):
        """Return the module's parameters."""
        gains = self.gains
        if (gains == 1).all():
            return _operands(self)
        pe = self.get_nodeattr("PE")
        # of each lane in each beat of a pixel
        lanes = gains if gains.shape[1] > 1 else gains.repeat(pe, axis=1)
        width = hdl.signed_width(gains.ravel().tolist())
        own = {
            f"{name}_GAINS": hdl.packed(row.tolist(), width)
            for name, row in zip("AB", lanes, strict=True)
        }
        return _operands(self) | {"FOLDS": lanes.shape[1] // pe, "GAIN_WIDTH": width} | own


class MultiplyStreams(ElementwiseMul):
    """FINN's product of two integer streams, under a different name, with its smallest type.

    The second operand has as many values as the first, or one for each channel.
    """

    def _derive_out_dtype(self, model):
        """Return the smallest type that holds every product."""
        ends = [[int(getattr(t, end)()) for end in _ENDS] for t in (self.lhs_dtype, self.rhs_dtype)]
        products = [a * b for a in ends[0] for b in ends[1]]
        return _holding(min(products), max(products))


class MultiplyStreams_rtl(Kernel, MultiplyStreams):
    """Product of two streams in RTL, ``hw/kernels/multiplier.sv``."""

    sources = ("kernels/multiplier.sv",)
    inputs = ("a_axis", "b_axis")

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: those of a product of each lane, and of the memory."""
        a, b = self.lhs_dtype.bitwidth(), self.rhs_dtype.bitwidth()
        return self.get_nodeattr("PE") * (a * b + b)

    def parameters(self):
        """Return the module's parameters."""
        *_, folds, _ = self.get_folded_output_shape()
        pixels = math.prod(self.out_shape) // math.prod(self.rhs_shape)
        return _operands(self) | {"FOLDS": folds, "PIXELS": pixels}


class StreamingConcat(PlainConcat):
    """FINN's concatenation of streams along their channels, also of streams of −1 and 1.

    The attribute ``Gains`` has the whole number, above 0, by which each stream is multiplied.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes and the gains."""
        return super().get_nodeattr_types() | {"Gains": ("ints", False, [1, 1])}

    @property
    def gains(self) -> list[int]:
        """Gain of each stream."""
        return [int(gain) for gain in self.get_nodeattr("Gains")]

    def execute_node(self, context, graph):
        """Concatenate multiples of the streams."""
        node = self.onnx_node
        parts = [g * context[name] for g, name in zip(self.gains, node.input, strict=True)]
        context[node.output[0]] = np.concatenate(parts, axis=-1).astype(np.float32)

    def get_output_datatype(self, ind=0):
        """Return the smallest type that holds the values of every input."""
        types = [self.get_input_datatype(i) for i in range(self.get_n_inputs())]
        if DataType["BIPOLAR"] not in types:
            pairs = list(zip(self.gains, types, strict=True))
            low, high = (int(e(g * getattr(t, e.__name__)() for g, t in pairs)) for e in (min, max))
            return _holding(min(low, 0), high)
        if len(set(types)) > 1:
            raise UserError(
                f"node {self.onnx_node.name}: it concatenates a stream of −1 and 1 with whole "
                "numbers: quantise all of them in 2 bits or more"
            )
        return types[0]


class StreamingConcat_rtl(Kernel, StreamingConcat):
    """Concatenation of two streams in RTL, ``hw/kernels/concatenator.sv``."""

    sources = ("kernels/concatenator.sv",)
    inputs = ("a_axis", "b_axis")

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: a choice of two for each bit, its gain, and the beats."""
        *_, folds, _ = self.get_folded_output_shape()
        added = sum(gain.bit_count() for gain in self.gains) - 1
        return self.get_outstream_width() * added + folds.bit_length()

    def parameters(self):
        """Return the module's parameters."""
        found: dict[str, int | str] = {"PE": self.get_nodeattr("SIMD")}
        for index, name in enumerate("AB"):
            datatype = self.get_input_datatype(index)
            # a bit of −1 and 1 is passed on as it is
            signed = datatype.signed() and datatype != DataType["BIPOLAR"]
            found |= {
                f"{name}_BEATS": self.get_folded_input_shape(index)[-2],
                f"{name}_WIDTH": datatype.bitwidth(),
                f"{name}_SIGNED": int(signed),
            }
            if (gain := self.gains[index]) > 1:
                found[f"{name}_GAIN"] = gain
        return found | {"OUT_WIDTH": self.get_output_datatype().bitwidth()}


class StreamingFIFO_rtl(Kernel, StreamingFIFO):
    """FIFO in RTL, ``hw/kernels/stream_fifo.sv``.

    FINN's FIFO does not elaborate under Verilator, and FINN's simulation uses an unbounded queue,
    which would hide a FIFO that is too shallow.
    """

    sources = ("kernels/stream_fifo.sv",)

    def parameters(self):
        """Return the module's parameters."""
        return {"DEPTH": self.get_nodeattr("depth"), "WIDTH": self.get_instream_width()}
