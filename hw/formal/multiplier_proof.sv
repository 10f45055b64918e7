// SPDX-License-Identifier: MIT
//
// Proof of multiplier: every beat leaves once, in order, as its products with the vector of the
// other stream that belongs to it, of which a beat is taken for the first pixel alone.

module multiplier_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       a_valid,
    input logic       b_valid,
    input logic       m_ready,
    input logic [7:0] a,
    input logic [7:0] b
);
  logic rst_n, a_ready, b_ready, m_valid, fold_q;
  logic [1:0] pixel_q;
  logic [15:0] m_data;
  logic [1:0][5:0] products;
  logic [7:0] vector_q[2], factors;

  proof_reset u_reset (.*);

  multiplier #(
      .PE(2),
      .FOLDS(2),
      .PIXELS(3),
      .A_WIDTH(3),
      .A_SIGNED(1'b1),
      .B_WIDTH(2),
      .B_SIGNED(1'b0),
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

  always_comb begin
    factors = pixel_q == '0 ? b : vector_q[fold_q];
    for (int l = 0; l < 2; l++) begin
      products[l] = 6'((int'(a[3*l+:2]) - 4 * int'(a[3*l+2])) * int'(factors[2*l+:2]));
    end
  end

  order_checker #(
      .WIDTH(16)
  ) u_order (
      .clk,
      .rst_n,
      .follow,
      .put(a_valid && a_ready),
      .expected(16'(products)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      fold_q  <= 1'b0;
      pixel_q <= '0;
    end else if (a_valid && a_ready) begin
      fold_q <= !fold_q;
      if (fold_q) pixel_q <= pixel_q == 2 ? '0 : pixel_q + 1;
      if (pixel_q == '0) vector_q[fold_q] <= b;
    end
    if (rst_n) begin
      together : assert ((a_valid && a_ready && pixel_q == '0) == (b_valid && b_ready));
      place : assert (dut.fold_q == 32'(fold_q) && dut.pixel_q == 32'(pixel_q) && pixel_q < 3);
      kept : assert ((pixel_q == '0 && !fold_q || dut.memory[0] == vector_q[0])
          && (pixel_q == '0 || dut.memory[1] == vector_q[1]));
    end
  end
endmodule
