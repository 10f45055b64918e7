"""The noise tap as a FINN operator: its streams and clean execution, and its RTL."""

import math

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from qonnx.core.datatype import DataType

from flow.compiler.operators.kernel import Kernel, whole_bytes


class NoiseTap(HWCustomOp):
    """A tap on a stream edge: the place where noise enters a value.

    Executed by FINN it is clean (σ = 0): values are widened by ``FracBits`` fractional bits, or,
    where ``Rounds`` is 1, pass unchanged. Noise is the golden model's and the RTL's.
    """

    def get_nodeattr_types(self):
        """Return FINN's attribute table; the tap's own attributes come first."""
        types = {
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 1),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "numInputVectors": ("ints", False, [1]),
            # σ = 0 widens by this many fractional bits
            "FracBits": ("i", True, 8),
            # 1: rounded back to integers, for sites whose stream keeps its type
            "Rounds": ("i", False, 0, {0, 1}),
            # grid of a rounded output: 2 for a one-bit stream, which holds −1 and 1
            "Step": ("i", False, 1, {1, 2}),
            # saturation bounds, in units of the output
            "OutMin": ("i", True, 0),
            "OutMax": ("i", True, 0),
            # site's name, and its number in the noise counter
            "SiteName": ("s", True, ""),
            "Site": ("i", True, 0),
            # o of the accumulator's real value scale · (acc + o), times 2^FracBits, per channel
            "Offsets": ("ints", False, []),
        }
        types.update(super().get_nodeattr_types())
        return types

    def get_normal_input_shape(self, ind=0):
        """Return (vectors..., channels)."""
        return (*self.get_nodeattr("numInputVectors"), self.get_nodeattr("NumChannels"))

    def get_normal_output_shape(self, ind=0):
        """Return the input's shape."""
        return self.get_normal_input_shape()

    def get_folded_input_shape(self, ind=0):
        """Return (vectors..., channels / PE, PE)."""
        channels, pe = self.get_nodeattr("NumChannels"), self.get_nodeattr("PE")
        assert channels % pe == 0, f"{self.onnx_node.name}: PE {pe} does not divide {channels}"
        return (*self.get_nodeattr("numInputVectors"), channels // pe, pe)

    def get_folded_output_shape(self, ind=0):
        """Return the input's folded shape."""
        return self.get_folded_input_shape()

    def get_input_datatype(self, ind=0):
        """Return the type of one element of the input."""
        return DataType[self.get_nodeattr("inputDataType")]

    def get_output_datatype(self, ind=0):
        """Return the type of one element of the output."""
        return DataType[self.get_nodeattr("outputDataType")]

    def infer_node_datatype(self, model):
        """Take the input's type from the graph and give the output its own."""
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(self.onnx_node.input[0]).name)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_instream_width(self, ind=0):
        """Return the bits of one input beat."""
        return self.get_input_datatype().bitwidth() * self.get_nodeattr("PE")

    def get_outstream_width(self, ind=0):
        """Return the bits of one output beat."""
        return self.get_output_datatype().bitwidth() * self.get_nodeattr("PE")

    def get_number_output_values(self):
        """Return the beats of one image."""
        return math.prod(self.get_folded_output_shape()[:-1])

    def get_exp_cycles(self):
        """Return the cycles of one image: a beat a cycle."""
        return self.get_number_output_values()

    def execute_node(self, context, graph):
        """Run the tap without noise."""
        values = context[self.onnx_node.input[0]]
        if not self.get_nodeattr("Rounds"):
            values = values * 2.0 ** self.get_nodeattr("FracBits")
        clipped = np.clip(values, self.get_nodeattr("OutMin"), self.get_nodeattr("OutMax"))
        context[self.onnx_node.output[0]] = clipped.astype(np.float32)


class NoiseTap_rtl(Kernel, NoiseTap):
    """``hw/noise/noise_tap.sv``."""

    sources = (
        "noise/gaussian_pkg.sv",
        "noise/gaussian.sv",
        "noise/philox4x32.sv",
        "noise/noise_tap_pkg.sv",
        "noise/tap_settings.sv",
        "noise/stream_digest.sv",
        "noise/noise_tap.sv",
    )

    def wrapper(self):
        """Return the wrapper: FINN's streams, the settings bus and the digest."""
        name, pe = self.onnx_node.name, self.get_nodeattr("PE")
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        channels = self.get_nodeattr("NumChannels")
        offsets = self.get_nodeattr("Offsets") or [0] * channels
        width = 1 + max(max(o, -o - 1).bit_length() for o in offsets)
        packed = sum((o % (1 << width)) << (c * width) for c, o in enumerate(offsets))
        return f"""// One noise tap: {self.get_nodeattr("SiteName")}
module {name} (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic        cfg_valid,
    input  logic [7:0]  cfg_site,
    input  logic [3:0]  cfg_addr,
    input  logic [31:0] cfg_data,
    output logic        cfg_pending,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [{whole_bytes(pe * idt.bitwidth()) - 1}:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [{whole_bytes(pe * odt.bitwidth()) - 1}:0] out0_V_TDATA,
    output logic        digest_valid,
    output logic [31:0] digest
);
  noise_tap #(
      .CHANNELS({channels}),
      .PE({pe}),
      .PIXELS({math.prod(self.get_nodeattr("numInputVectors"))}),
      .IN_WIDTH({idt.bitwidth()}),
      .IN_SIGNED(1'b{int(idt.signed())}),
      .FRAC({self.get_nodeattr("FracBits")}),
      .ROUND(1'b{self.get_nodeattr("Rounds")}),
      .BIPOLAR(1'b{self.get_nodeattr("Step") - 1}),
      .OUT_WIDTH({odt.bitwidth()}),
      .OUT_SIGNED(1'b{int(odt.signed())}),
      .OUT_MIN({_signed64(self.get_nodeattr("OutMin"))}),
      .OUT_MAX({_signed64(self.get_nodeattr("OutMax"))}),
      .OFFSET_WIDTH({width}),
      .OFFSETS({channels * width}'h{packed:x}),
      .SITE({self.get_nodeattr("Site")})
  ) u_tap (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .cfg_valid, .cfg_site, .cfg_addr, .cfg_data, .cfg_pending,
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA),
      .digest_valid, .digest
  );
endmodule
"""


def _signed64(value: int) -> str:
    """Write a bound as a SystemVerilog literal."""
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"
