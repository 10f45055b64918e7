// SPDX-License-Identifier: MIT
//
// Proof of lut_mvu with tiles, of which the last is shorter: every row's sum over every tile leaves
// once, in the order of tile, row.

module lut_mvu_tiles_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       w_valid,
    input logic       a_valid,
    input logic       m_ready,
    input logic [1:0] weight,
    input logic [1:0] beat
);
  logic rst_n, w_ready, a_ready, m_valid;
  logic second_q, later_q, short_q;  // beat of a row, row, tile
  logic last;
  logic [7:0] m_data;
  logic [1:0][1:0] vector_q;  // two beats
  int sum_q, sum;

  proof_reset u_reset (.*);

  lut_mvu #(
      .MW(3),
      .MH(2),
      .PE(1),
      .SIMD(1),
      .ROWS(2)
  ) dut (
      .clk,
      .rst_n,
      .weights_tvalid(w_valid),
      .weights_tready(w_ready),
      .weights_tdata(8'(weight)),
      .s_axis_tvalid(a_valid),
      .s_axis_tready(a_ready),
      .s_axis_tdata(8'(beat)),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata(m_data)
  );

  assign last = second_q || short_q;

  always_comb begin
    sum = second_q ? sum_q : 0;
    sum += int'($signed(weight)) * int'(later_q ? vector_q[second_q] : beat);
  end

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(w_valid && w_ready && last),
      .expected(8'(sum)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {second_q, later_q, short_q} <= '0;
    end else if (w_valid && w_ready) begin
      second_q <= !last;
      later_q  <= later_q ^ last;
      short_q  <= short_q ^ (last && later_q);
      sum_q    <= sum;
      if (!later_q) vector_q[second_q] <= beat;
    end
    if (rst_n) begin
      // activations are taken with the first row's weights alone
      together : assert ((a_valid && a_ready) == (w_valid && w_ready && !later_q));
      place : assert (dut.synapse_q == second_q && dut.neuron_q == 32'(later_q)
          && dut.first_row_q == (later_q == '0)
          && dut.tile_q == 32'(short_q) && !(second_q && short_q));
      if (second_q) begin
        partial : assert (int'(dut.u_sums.sum_q[0]) == sum_q);
      end
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_kept
    always_ff @(posedge clk) begin
      if (rst_n && ((later_q && !(short_q && i == 1)) || (second_q && i == 0))) begin
        kept : assert (dut.kept[i] == (dut.ByTable ? vector_q[i] : dut.to_planes(vector_q[i])));
      end
    end
  end
endmodule
