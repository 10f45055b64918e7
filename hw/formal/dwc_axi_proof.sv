// SPDX-License-Identifier: MIT
//
// Proof of dwc_axi: every bit that comes in goes out once, in order.
//
//   level    at most CAPACITY bits wait
//   owed     an output has bits that came in
//   order    a tracked bit comes out at its place, with its value
//   latency  an output is shown as soon as its bits are there

module dwc_axi_proof #(
    int unsigned IBITS = 5,
    int unsigned OBITS = 3
) (
    input logic             clk,
    input logic             run,
    input logic             follow,
    input logic [      4:0] pick,
    input logic             s_valid,
    input logic             m_ready,
    input logic [IBITS-1:0] s_data
);
  localparam int unsigned Capacity =
      IBITS % OBITS == 0 ? IBITS : OBITS % IBITS == 0 ? OBITS : 2 * IBITS + OBITS - 1;

  logic rst_n, s_ready, m_valid;
  logic [7:0] m_data;
  logic [7:0] level_q, ahead_q;  // bits
  logic tracked_q, value_q, put, get;
  logic [Capacity-1:0] held;  // the bits inside, the oldest lowest

  proof_reset u_reset (.*);

  dwc_axi #(
      .IBITS(IBITS),
      .OBITS(OBITS)
  ) dut (
      .ap_clk(clk),
      .ap_rst_n(rst_n),
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tdata(8'(s_data)),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata(m_data)
  );

  assign put = s_valid && s_ready;
  assign get = m_valid && m_ready;

  if (IBITS % OBITS == 0) begin : gen_narrower
    assign held = dut.gen_narrower.held_q;
    always_ff @(posedge clk) begin
      if (rst_n) begin
        bits : assert (dut.gen_narrower.left_q * OBITS == 32'(level_q)
            && dut.gen_narrower.left_q <= IBITS);
      end
    end
  end else if (OBITS % IBITS == 0) begin : gen_wider
    assign held = dut.gen_wider.held_q >> (OBITS - level_q);
    always_ff @(posedge clk) begin
      if (rst_n) begin
        bits : assert (dut.gen_wider.count_q * IBITS == 32'(level_q)
            && dut.gen_wider.count_q <= OBITS);
      end
    end
  end else begin : gen_any
    assign held = dut.gen_any.held_q;
    always_ff @(posedge clk) begin
      if (rst_n) begin
        bits : assert (dut.gen_any.level_q == 32'(level_q));
        above : assert (dut.gen_any.held_q >> level_q == '0);
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      level_q   <= '0;
      tracked_q <= 1'b0;
    end else begin
      level_q <= level_q + (put ? 8'(IBITS) : 8'd0) - (get ? 8'(OBITS) : 8'd0);
      if (!tracked_q) begin
        tracked_q <= put && follow && pick < 5'(IBITS);
        ahead_q   <= level_q + 8'(pick) - (get ? 8'(OBITS) : 8'd0);
        value_q   <= s_data[pick];
      end else if (get) begin
        tracked_q <= ahead_q >= 8'(OBITS);
        ahead_q   <= ahead_q - 8'(OBITS);
      end
    end
    if (rst_n) begin
      level : assert (level_q <= 8'(Capacity));
      owed : assert (!m_valid || level_q >= 8'(OBITS));
      latency : assert (m_valid || level_q < 8'(OBITS));
      order : assert (!(m_valid && tracked_q) || ahead_q >= 8'(OBITS)
          || m_data[3'(ahead_q)] == value_q);
      if (tracked_q) begin
        tracks : assert (ahead_q < level_q && held[ahead_q] == value_q);
      end
    end
  end
endmodule
