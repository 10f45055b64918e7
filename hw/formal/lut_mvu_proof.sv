// SPDX-License-Identifier: MIT
//
// Proof of lut_mvu: every row of every vector leaves once, in order, as the sum of its products.

module lut_mvu_proof #(
    int unsigned SIMD = 2,
    int unsigned WEIGHT_WIDTH = 2,
    int unsigned ACTIVATION_WIDTH = 2,
    bit BIPOLAR = 1'b0,  // both operands
    bit SHORT_PATHS = 1'b0
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
  int sum_q, sum, product;

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
      .BIPOLAR_ACTIVATIONS(BIPOLAR),
      .SHORT_PATHS(SHORT_PATHS)
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

  function automatic int product_of(input logic [SIMD*WEIGHT_WIDTH-1:0] word,
                                    input logic [SIMD*ACTIVATION_WIDTH-1:0] values);
    int product, w, a;
    product = 0;
    for (int q = 0; q < SIMD; q++) begin
      w = 0;
      for (int i = 0; i < WEIGHT_WIDTH; i++) begin
        if (word[i*SIMD+q]) w += !BIPOLAR && i == WEIGHT_WIDTH - 1 ? -(1 << i) : 1 << i;
      end
      a = int'(values[element(q)*ACTIVATION_WIDTH+:ACTIVATION_WIDTH]);
      product += BIPOLAR ? (2 * w - 1) * (2 * a - 1) : w * a;
    end
    return product;
  endfunction

  assign product = product_of(weights, elements);
  assign sum = (second_q ? sum_q : 0) + product;

  order_checker #(
      .CAPACITY(SHORT_PATHS ? 3 : 1),
      .LATENCY (SHORT_PATHS ? 3 : 0)
  ) u_order (
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
      if (second_q && !SHORT_PATHS) begin
        partial : assert (int'(dut.u_sums.sum_q[0]) == sum_q);
      end
    end
  end

  if (SHORT_PATHS) begin : gen_stages
    // beats of operands, counts and products: whether it is a row's second, and its product
    logic [2:0] valid_q, second_qs, last;
    logic [SIMD*WEIGHT_WIDTH-1:0] weights_q;
    logic [SIMD*ACTIVATION_WIDTH-1:0] elements_q;
    int product_q[3];
    int counted, newest;
    int begun[3];

    assign last = valid_q & second_qs;
    // the row's sum in front of each beat
    assign begun[2] = int'(dut.u_sums.sum_q[0]);
    assign begun[1] = valid_q[2] ? product_q[2] : begun[2];
    assign begun[0] = valid_q[1] ? product_q[1] : begun[1];
    assign newest = valid_q[0] ? product_q[0] : begun[0];

    always_comb begin
      counted = 0;
      for (int i = 0; i < WEIGHT_WIDTH; i++) begin
        for (int j = 0; j < ACTIVATION_WIDTH; j++) begin
          counted += dut.u_sums.weighed(int'($signed(
              dut.u_sums.gen_stages.counts_q[0][i][j])), i, j);
        end
      end
    end

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        valid_q <= '0;
      end else if (dut.room) begin
        valid_q   <= {valid_q[1:0], w_valid && w_ready};
        second_qs <= {second_qs[1:0], second_q};
        weights_q <= weights;
        elements_q <= elements;
        product_q <= '{product, product_q[0], product_q[1]};
      end
      if (rst_n) begin
        beats : assert (dut.u_sums.gen_stages.valid_q == valid_q);
        owes : assert (u_order.level_q == 2'(m_valid) + 2'(last[0]) + 2'(last[1]) + 2'(last[2]));
        if (valid_q[0]) begin
          operands : assert (dut.u_sums.gen_stages.weights_q == weights_q
              && dut.u_sums.gen_stages.activations_q == dut.to_planes(elements_q)
              && product_q[0] == product_of(weights_q, elements_q));
        end
        if (valid_q[1]) begin
          counts : assert (counted == product_q[1]);
        end
        if (valid_q[2]) begin
          products : assert (int'(dut.u_sums.products_q[0]) == product_q[2]);
        end
        if (second_q) begin
          sums : assert (newest == sum_q);
        end
      end
    end

    for (genvar n = 0; n < 3; n++) begin : gen_stage
      logic turn;  // whether the beat behind it is a row's second
      logic [1:0] ahead;  // beats of the output that come first
      if (n == 0) assign turn = second_q;
      if (n == 1) assign turn = valid_q[0] ? second_qs[0] : second_q;
      if (n == 2) assign turn = valid_q[1] ? second_qs[1] : gen_stage[1].turn;
      if (n == 2) assign ahead = 2'(m_valid);
      else assign ahead = gen_stage[n+1].ahead + 2'(last[n+1]);
      always_ff @(posedge clk) begin
        if (rst_n && valid_q[n]) begin
          turns : assert (turn != second_qs[n]);
          ends : assert (dut.u_sums.gen_stages.first_q[n] == !second_qs[n]
              && dut.u_sums.gen_stages.last_q[n] == second_qs[n]);
          soon : assert (m_valid || !second_qs[n] || ahead != '0 || u_order.waited_q <= 8'(n));
          if (second_qs[n] && u_order.tracked_q && u_order.ahead_q == ahead) begin
            due : assert (u_order.expected_q == 8'(begun[n] + product_q[n]));
          end
        end
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
