// SPDX-License-Identifier: MIT
//
// Proof of duplicator: every output takes every beat of the input once, in order.
//
//   once   an output is ahead of the input by a beat, or by none
//   data   what an output shows is the beat at the input
//   all    the input advances when every output has its beat

module duplicator_proof (
    input logic       clk,
    input logic       run,
    input logic       s_valid,
    input logic [2:0] m_ready,
    input logic [7:0] s_data
);
  localparam int unsigned Outputs = 3;

  logic rst_n, s_ready, held_q;
  logic [7:0] data_q;
  logic [Outputs-1:0] m_valid;
  logic [Outputs-1:0][7:0] m_data;
  logic [Outputs-1:0][1:0] ahead_q;  // beats taken by the output and not yet by the input

  proof_reset u_reset (.*);

  duplicator #(
      .OUTPUTS(Outputs)
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

  // the source is a stream
  always_ff @(posedge clk) begin
    held_q <= rst_n && s_valid && !s_ready;
    data_q <= s_data;
    if (rst_n && held_q) begin
      source : assume (s_valid && s_data == data_q);
    end
  end

  for (genvar i = 0; i < Outputs; i++) begin : gen_output
    always_ff @(posedge clk) begin
      if (!rst_n) ahead_q[i] <= '0;
      else ahead_q[i] <= ahead_q[i] + 2'(m_valid[i] && m_ready[i]) - 2'(s_valid && s_ready);
      if (rst_n) begin
        once : assert (ahead_q[i] <= 2'd1 && !(m_valid[i] && ahead_q[i] != '0));
        data : assert (!m_valid[i] || (s_valid && m_data[i] == s_data));
        all : assert (!(s_valid && s_ready) || ahead_q[i] != '0 || (m_valid[i] && m_ready[i]));
        taken : assert (dut.taken_q[i] == ahead_q[i][0]);
        waits : assert (ahead_q[i] == '0 || held_q);
      end
    end
  end
endmodule
