// SPDX-License-Identifier: MIT
//
// Proof of thresholds: every beat leaves once, in order, as the counts of its channels' thresholds;
// the second step falls, and the middle channels do.

module thresholds_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  // thresholds of thresholds_proof.hex: [channel][step]
  localparam int Steps[4][2] = '{'{1, -7}, '{-2, 7}, '{-8, -1}, '{0, 2}};

  logic rst_n, s_ready, m_valid, second_q;
  logic [7:0] m_data;
  logic [1:0][2:0] counts;

  proof_reset u_reset (.*);

  thresholds #(
      .CHANNELS(4),
      .PE(2),
      .STEPS(2),
      .IN_WIDTH(4),
      .THRESHOLD_WIDTH(4),
      .BIAS(-1),
      .OUT_WIDTH(3),
      .FALLS(2'b10),
      .FALLING(4'b0110),
      .FILE("thresholds_proof.hex")
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

  always_comb begin
    for (int l = 0; l < 2; l++) begin
      int value, channel, count;
      value   = int'($signed(s_data[4*l+:4]));
      channel = 2 * int'(second_q) + l;
      count   = -1;
      for (int i = 0; i < 2; i++) begin
        count += int'((Steps[channel][i] <= value) ^ (i == 1) ^ (channel inside {1, 2}));
      end
      counts[l] = 3'(count);
    end
  end

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(s_valid && s_ready),
      .expected(8'(counts)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) second_q <= 1'b0;
    else second_q <= second_q ^ (s_valid && s_ready);
    if (rst_n) begin
      fold : assert (dut.fold_q == 32'(second_q));
    end
  end
endmodule
