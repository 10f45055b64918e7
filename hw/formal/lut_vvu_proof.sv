// SPDX-License-Identifier: MIT
//
// Proof of lut_vvu: every window leaves once, in order, as the sums of its products.

module lut_vvu_proof #(
    bit BIPOLAR = 1'b0  // both operands, of 1 bit; otherwise signed weights and activations
) (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       w_valid,
    input logic       a_valid,
    input logic       m_ready,
    input logic [7:0] weights,
    input logic [7:0] beat
);
  localparam int unsigned Width = BIPOLAR ? 1 : 2;

  logic rst_n, w_ready, a_ready, m_valid, second_q;
  logic [15:0] m_data;
  int sum_q[2], sum[2];

  proof_reset u_reset (.*);

  lut_vvu #(
      .MW(4),
      .PE(2),
      .SIMD(2),
      .WEIGHT_WIDTH(Width),
      .SIGNED_WEIGHTS(!BIPOLAR),
      .BIPOLAR_WEIGHTS(BIPOLAR),
      .ACTIVATION_WIDTH(Width),
      .SIGNED_ACTIVATIONS(!BIPOLAR),
      .BIPOLAR_ACTIVATIONS(BIPOLAR)
  ) dut (
      .clk,
      .rst_n,
      .weights_tvalid(w_valid),
      .weights_tready(w_ready),
      .weights_tdata(weights),
      .s_axis_tvalid(a_valid),
      .s_axis_tready(a_ready),
      .s_axis_tdata(beat),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata(m_data)
  );

  function automatic int value(input logic [Width-1:0] raw);
    return BIPOLAR ? 2 * int'(raw) - 1 : int'($signed(raw));
  endfunction

  always_comb begin
    for (int p = 0; p < 2; p++) begin
      sum[p] = second_q ? sum_q[p] : 0;
      for (int s = 0; s < 2; s++) begin
        sum[p] += value(weights[(2*p+s)*Width+:Width]) * value(beat[(2*s+p)*Width+:Width]);
      end
    end
  end

  order_checker #(
      .WIDTH(16)
  ) u_order (
      .clk,
      .rst_n,
      .follow,
      .put(w_valid && w_ready && second_q),
      .expected({8'(sum[1]), 8'(sum[0])}),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      second_q <= 1'b0;
    end else if (w_valid && w_ready) begin
      second_q <= !second_q;
      sum_q    <= sum;
    end
    if (rst_n) begin
      together : assert ((a_valid && a_ready) == (w_valid && w_ready));
      place : assert (dut.place_q == second_q);
    end
  end

  for (genvar p = 0; p < 2; p++) begin : gen_lane
    always_ff @(posedge clk) begin
      if (rst_n && second_q) begin
        partial : assert (int'(dut.sum_q[p]) == sum_q[p]);
      end
    end
  end
endmodule
