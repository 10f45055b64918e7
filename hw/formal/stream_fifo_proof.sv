// SPDX-License-Identifier: MIT
//
// Proof of stream_fifo: every beat that is taken leaves once, in order.

module stream_fifo_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  localparam int unsigned Depth = 3;  // no power of two, so that addresses wrap

  logic rst_n, s_ready, m_valid;
  logic [7:0] m_data;

  proof_reset u_reset (.*);

  stream_fifo #(
      .DEPTH(Depth)
  ) dut (
      .clk,
      .rst_n,
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tdata (s_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata (m_data)
  );

  order_checker #(
      .CAPACITY(Depth + 1),
      .LATENCY (1)
  ) u_order (
      .clk,
      .rst_n,
      .follow,
      .put(s_valid && s_ready),
      .expected(s_data),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  // where the tracked beat lies
  logic [31:0] behind, place;
  assign behind = 32'(u_order.ahead_q) - 32'(m_valid);
  assign place  = (32'(dut.head_q) + behind) % Depth;

  always_ff @(posedge clk) begin
    if (rst_n) begin
      bounds : assert (32'(dut.head_q) < Depth && 32'(dut.level_q) <= Depth);
      tail : assert (32'(dut.tail_q) == (32'(dut.head_q) + 32'(dut.level_q)) % Depth);
      beats : assert (32'(u_order.level_q) == 32'(dut.level_q) + 32'(m_valid));
      if (u_order.tracked_q && !(m_valid && u_order.ahead_q == '0)) begin
        content : assert (dut.memory_q[2'(place)] == u_order.expected_q);
      end
    end
  end
endmodule
