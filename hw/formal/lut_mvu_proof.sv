// SPDX-License-Identifier: MIT
//
// Proof of lut_mvu: every row of every vector leaves once, in order, as the sum of its products.

module lut_mvu_proof #(
    int unsigned SIMD = 2,
    int unsigned WEIGHT_WIDTH = 2,
    int unsigned ACTIVATION_WIDTH = 2,
    bit BIPOLAR = 1'b0  // both operands
) (
    input logic                             clk,
    input logic                             run,
    input logic                             follow,
    input logic                             w_valid,
    input logic                             a_valid,
    input logic                             m_ready,
    input logic [    SIMD*WEIGHT_WIDTH-1:0] weights,
    input logic [SIMD*ACTIVATION_WIDTH-1:0] beat
);
  localparam int unsigned WeightBits = (SIMD * WEIGHT_WIDTH + 7) / 8 * 8;
  localparam int unsigned InBits = (SIMD * ACTIVATION_WIDTH + 7) / 8 * 8;
  localparam bit Striped = SIMD % ACTIVATION_WIDTH == 0;
  localparam int Stripe = int'(SIMD / ACTIVATION_WIDTH);

  logic rst_n, w_ready, a_ready, m_valid, second_q, later_q;
  logic [7:0] m_data;
  logic [1:0][SIMD*ACTIVATION_WIDTH-1:0] vector_q;  // two beats
  logic [SIMD*ACTIVATION_WIDTH-1:0] elements;
  int sum_q, sum;

  proof_reset u_reset (.*);

  lut_mvu #(
      .MW(2 * SIMD),
      .MH(2),
      .PE(1),
      .SIMD(SIMD),
      .WEIGHT_WIDTH(WEIGHT_WIDTH),
      .SIGNED_WEIGHTS(!BIPOLAR),
      .BIPOLAR_WEIGHTS(BIPOLAR),
      .ACTIVATION_WIDTH(ACTIVATION_WIDTH),
      .BIPOLAR_ACTIVATIONS(BIPOLAR)
  ) dut (
      .clk,
      .rst_n,
      .weights_tvalid(w_valid),
      .weights_tready(w_ready),
      .weights_tdata(WeightBits'(weights)),
      .s_axis_tvalid(a_valid),
      .s_axis_tready(a_ready),
      .s_axis_tdata(InBits'(beat)),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata(m_data)
  );

  // bit q of a plane belongs to this element
  function automatic int element(input int q);
    return Striped ? q % int'(ACTIVATION_WIDTH) * Stripe + q / int'(ACTIVATION_WIDTH) : q;
  endfunction

  // later_q: the second row, of the vector that was kept
  assign elements = later_q ? vector_q[second_q] : beat;

  always_comb begin
    sum = second_q ? sum_q : 0;
    for (int q = 0; q < SIMD; q++) begin
      int w, a;
      w = 0;
      for (int i = 0; i < WEIGHT_WIDTH; i++) begin
        if (weights[i*SIMD+q]) w += !BIPOLAR && i == WEIGHT_WIDTH - 1 ? -(1 << i) : 1 << i;
      end
      a = int'(elements[element(q)*ACTIVATION_WIDTH+:ACTIVATION_WIDTH]);
      sum += BIPOLAR ? (2 * w - 1) * (2 * a - 1) : w * a;
    end
  end

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(w_valid && w_ready && second_q),
      .expected(8'(sum)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {second_q, later_q} <= '0;
    end else if (w_valid && w_ready) begin
      second_q <= !second_q;
      later_q  <= later_q ^ second_q;
      sum_q    <= sum;
      if (!later_q) vector_q[second_q] <= beat;
    end
    if (rst_n) begin
      // activations are taken with the first row's weights alone
      together : assert ((a_valid && a_ready) == (w_valid && w_ready && !later_q));
      place : assert (dut.synapse_q == second_q && dut.neuron_q == 32'(later_q)
          && dut.first_row_q == (later_q == '0));
      if (second_q) begin
        partial : assert (int'(dut.sum_q[0]) == sum_q);
      end
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_kept
    always_ff @(posedge clk) begin
      if (rst_n && (later_q || (second_q && i == 0))) begin
        kept : assert (dut.kept[i] == (dut.ByTable ? vector_q[i] : dut.to_planes(vector_q[i])));
      end
    end
  end
endmodule
