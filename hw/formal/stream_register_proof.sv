// SPDX-License-Identifier: MIT
//
// Proof of stream_register: every beat that is taken leaves once, in order.

module stream_register_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [4:0] s_data
);
  logic rst_n, s_ready, m_valid;
  logic [7:0] m_data;

  proof_reset u_reset (.*);

  stream_register #(
      .WIDTH(5)
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

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(s_valid && s_ready),
      .expected(8'(s_data)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );
endmodule
