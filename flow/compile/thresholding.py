"""Thresholding in RTL: ``hw/kernels/thresholds.sv`` behind FINN's operator."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.rtl.thresholding_rtl import Thresholding_rtl as FinnThresholding

from flow.compile.operators import _bytes, _Kernel


class Thresholding_rtl(_Kernel, FinnThresholding):
    """``hw/kernels/thresholds.sv``, with the attributes, folding and execution of FINN's.

    FINN's own is a binary search, a pipeline with a stage for each output bit and a port to rewrite
    thresholds: its registers move in every clock, and cost a simulation more than all comparisons.
    """

    sources = ("kernels/thresholds.sv",)

    def execute_node(self, context, graph):
        """Run FINN's Python execution."""
        FinnThresholding.execute_node(self, context, graph)

    def lut_estimation(self, fpgapart=None):
        """Return the LUTs: a comparison's carry chain, half a LUT a bit, and the count, a lane."""
        steps = self.get_nodeattr("numSteps")
        each = steps * -(-self.get_input_datatype(1).bitwidth() // 2) + steps
        return self.get_nodeattr("PE") * each

    def generate_hdl(self, model, fpgapart, clk):
        """Write the wrapper and the thresholds into the node's folder."""
        super().generate_hdl(model, fpgapart, clk)
        path = Path(self.get_nodeattr("code_gen_dir_ipgen"), self._memory)
        lanes, bits = self.get_nodeattr("PE"), self.get_input_datatype(1).bitwidth()
        thresholds = model.get_initializer(self.onnx_node.input[1])
        channels = self.get_nodeattr("NumChannels")
        everywhere = np.broadcast_to(thresholds, (channels, thresholds.shape[1]))
        path.write_text(memory_text(everywhere.astype(np.int64), lanes, bits))

    @property
    def _memory(self) -> str:
        return f"{self.onnx_node.name}_thresholds.dat"

    def wrapper(self):
        """Return the wrapper: FINN's streams."""
        name, pe = self.onnx_node.name, self.get_nodeattr("PE")
        idt, wdt = self.get_input_datatype(0), self.get_input_datatype(1)
        odt = self.get_output_datatype()
        return f"""module {name} (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [{_bytes(pe * idt.bitwidth()) - 1}:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [{_bytes(pe * odt.bitwidth()) - 1}:0] out0_V_TDATA
);
  thresholds #(
      .CHANNELS({self.get_nodeattr("NumChannels")}),
      .PE({pe}),
      .STEPS({self.get_nodeattr("numSteps")}),
      .IN_WIDTH({idt.bitwidth()}),
      .IN_SIGNED(1'b{int(idt.signed())}),
      .THRESHOLD_WIDTH({wdt.bitwidth()}),
      .THRESHOLD_SIGNED(1'b{int(wdt.signed())}),
      .BIAS({self.get_nodeattr("ActVal")}),
      .OUT_WIDTH({odt.bitwidth()}),
      .FILE("./{self._memory}")
  ) u_thresholds (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA)
  );
endmodule
"""


def memory_text(thresholds: npt.NDArray[np.int64], lanes: int, bits: int) -> str:
    """Return the memory of a unit in hexadecimal, a line a beat.

    Args:
        thresholds: [channels, steps], whole numbers.
        lanes: channels of a beat; the first lies lowest, and of a channel the first threshold.
        bits: of a threshold, in two's complement.
    """
    rows = (thresholds & ((1 << bits) - 1)).reshape(len(thresholds) // lanes, -1)
    digits = -(-rows.shape[1] * bits // 4)
    words = (sum(int(t) << (i * bits) for i, t in enumerate(row)) for row in rows)
    return "".join(f"{word:0{digits}x}\n" for word in words)
