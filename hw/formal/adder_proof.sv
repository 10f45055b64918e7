// SPDX-License-Identifier: MIT
//
// Proof of adder: every pair of beats leaves once, in order, as their sums.

module adder_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       a_valid,
    input logic       b_valid,
    input logic       m_ready,
    input logic [7:0] a,
    input logic [7:0] b
);
  logic rst_n, a_ready, b_ready, m_valid;
  logic [15:0] m_data;
  logic [ 1:0][5:0] sums;
  logic fold_q;
  int a_gains[2], b_gains[2];

  proof_reset u_reset (.*);

  adder #(
      .PE(2),
      .A_WIDTH(3),
      .A_SIGNED(1'b1),
      .B_WIDTH(2),
      .B_SIGNED(1'b0),
      .FOLDS(2),
      .GAIN_WIDTH(4),
      .A_GAINS(16'h131f),  // −1, 1; 3, 1
      .B_GAINS(16'h1555),  // 5, 5; 5, 1
      .OUT_WIDTH(6)
  ) dut (
      .clk,
      .rst_n,
      .a_axis_tvalid(a_valid),
      .a_axis_tready(a_ready),
      .a_axis_tdata (a),
      .b_axis_tvalid(b_valid),
      .b_axis_tready(b_ready),
      .b_axis_tdata (b),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata (m_data)
  );

  assign a_gains = fold_q ? '{3, 1} : '{-1, 1};
  assign b_gains = fold_q ? '{5, 1} : '{5, 5};

  always_comb begin
    for (int l = 0; l < 2; l++) begin
      sums[l] = 6'(a_gains[l] * (int'(a[3*l+:2]) - 4 * int'(a[3*l+2]))
          + b_gains[l] * int'(b[2*l+:2]));
    end
  end

  order_checker #(
      .WIDTH(16)
  ) u_order (
      .clk,
      .rst_n,
      .follow,
      .put(a_valid && a_ready),
      .expected(16'(sums)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) fold_q <= 1'b0;
    else if (a_valid && a_ready) fold_q <= !fold_q;
    if (rst_n) begin
      together : assert ((a_valid && a_ready) == (b_valid && b_ready));
      place : assert (dut.fold_q == 32'(fold_q));
    end
  end
endmodule
