// SPDX-License-Identifier: MIT
//
// Data width converter: a drop-in for FINN's module of the same name and ports. FINN's moves
// single bits, which takes most of a simulation's time; this one shifts words.
//
// The bits of the input beats, lowest first, come out OBITS at a time; any two widths go together.
// A beat in and a beat out in each clock where the ratio allows; latency 1 clock behind the beat
// that completes an output. It stalls when it holds more than OBITS bits. Reset: empty. It cuts the
// path from m_axis_tready to s_axis_tready.

module dwc_axi #(
    int unsigned IBITS = 8,  // of an input beat
    int unsigned OBITS = 4,  // of an output beat
    localparam int unsigned InBits = (IBITS + 7) / 8 * 8,
    localparam int unsigned OutBits = (OBITS + 7) / 8 * 8
) (
    input  logic               ap_clk,
    input  logic               ap_rst_n,
    output logic               s_axis_tready,
    input  logic               s_axis_tvalid,
    input  logic [ InBits-1:0] s_axis_tdata,
    input  logic               m_axis_tready,
    output logic               m_axis_tvalid,
    output logic [OutBits-1:0] m_axis_tdata
);
  localparam int unsigned Capacity = IBITS + OBITS;

  logic [Capacity-1:0] held_q;  // zero from level_q up
  logic [31:0] level_q;

  assign s_axis_tready = level_q <= OBITS;
  assign m_axis_tvalid = level_q >= OBITS;
  assign m_axis_tdata = OutBits'(held_q[OBITS-1:0]);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      held_q  <= '0;
      level_q <= '0;
    end else if ((m_axis_tvalid && m_axis_tready) || (s_axis_tvalid && s_axis_tready)) begin
      logic [Capacity-1:0] held;
      logic [31:0] level;
      held  = held_q;
      level = level_q;
      if (m_axis_tvalid && m_axis_tready) begin
        held  = held >> OBITS;
        level = level - OBITS;
      end
      if (s_axis_tvalid && s_axis_tready) begin
        held  = held | (Capacity'(s_axis_tdata[IBITS-1:0]) << level);
        level = level + IBITS;
      end
      held_q  <= held;
      level_q <= level;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge ap_clk) disable iff (!ap_rst_n)
      m_axis_tvalid && !m_axis_tready |=> m_axis_tvalid && $stable(m_axis_tdata))
  else $error("dwc_axi: the output changed before it was taken");
`endif

  initial if (IBITS == 0 || OBITS == 0) $fatal(1, "dwc_axi: a beat has at least one bit");
endmodule
