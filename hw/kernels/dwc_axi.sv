// SPDX-License-Identifier: MIT
//
// Data width converter: a drop-in for FINN's module of the same name and ports. FINN's moves
// single bits, which dominates the simulation time; this one moves words.
//
// The bits of the input beats, lowest first, are output OBITS at a time, for any two widths. One
// beat in and one beat out per clock if the ratio allows; latency 1 clock after the beat that
// completes an output. Reset: empty. If one width divides the other, it holds one word and does not
// cut the path from m_axis_tready to s_axis_tready; otherwise it does, and holds so many bits that
// neither side waits for the other without need.

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
  if (IBITS % OBITS == 0) begin : gen_narrower
    localparam int unsigned Parts = IBITS / OBITS;
    logic [Parts-1:0][OBITS-1:0] held_q;
    logic [31:0] left_q;  // parts

    assign s_axis_tready = left_q == 0 || (left_q == 1 && m_axis_tready);
    assign m_axis_tvalid = left_q != 0;

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) left_q <= '0;
      else if (s_axis_tvalid && s_axis_tready) left_q <= Parts;
      else if (m_axis_tvalid && m_axis_tready) left_q <= left_q - 1;
    end

    always_ff @(posedge ap_clk) begin
      if (s_axis_tvalid && s_axis_tready) held_q <= s_axis_tdata[IBITS-1:0];
      else if (m_axis_tvalid && m_axis_tready) held_q <= held_q >> OBITS;
    end

    assign m_axis_tdata = OutBits'(held_q[0]);
  end else if (OBITS % IBITS == 0) begin : gen_wider
    localparam int unsigned Parts = OBITS / IBITS;
    logic [Parts-1:0][IBITS-1:0] held_q;
    logic [31:0] count_q;  // parts

    assign s_axis_tready = count_q != Parts || m_axis_tready;
    assign m_axis_tvalid = count_q == Parts;

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) count_q <= '0;
      else if (s_axis_tvalid && s_axis_tready) count_q <= m_axis_tvalid ? 1 : count_q + 1;
      else if (m_axis_tvalid && m_axis_tready) count_q <= '0;
    end

    always_ff @(posedge ap_clk) begin
      // in at the top, so that after the last part the first lies lowest
      if (s_axis_tvalid && s_axis_tready) held_q <= {s_axis_tdata[IBITS-1:0], held_q[Parts-1:1]};
    end

    assign m_axis_tdata = OutBits'(held_q);
  end else begin : gen_any
    // a level from which an output can leave in this clock and another in the next, and up to which
    // an input is taken whether one leaves or not
    localparam int unsigned Full = IBITS + OBITS - 1;
    localparam int unsigned Capacity = Full + IBITS;
    logic [Capacity-1:0] held_q;  // zero from level_q up
    logic [31:0] level_q;  // bits

    assign s_axis_tready = level_q <= Full;
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
  end

  stream_checker #(
      .WIDTH(OutBits)
  ) u_checker (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .tvalid(m_axis_tvalid),
      .tready(m_axis_tready),
      .tdata (m_axis_tdata)
  );

  if (IBITS == 0 || OBITS == 0) begin : gen_illegal
    $fatal(1, "dwc_axi: a beat has at least one bit");
  end
endmodule
