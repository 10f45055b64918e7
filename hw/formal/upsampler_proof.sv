// SPDX-License-Identifier: MIT
//
// Proof of upsampler: of rows of two pixels of two beats, each pixel leaves twice and each row three
// times, in order.
//
//   turn  an input's beat is taken when its pixel leaves for the first time, and at no other time

module upsampler_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s
);
  logic rst_n, s_ready, m_valid, first, put, fold_q, column_q, again_q;
  logic [1:0] row_q;
  logic [1:0] place;
  logic [7:0] m_data, expected;
  logic [7:0] row[4];
  logic [3:0] right;

  proof_reset u_reset (.*);

  upsampler #(
      .WIDTH(8),
      .FOLDS(2),
      .COLUMNS(2),
      .ACROSS(2),
      .DOWN(3)
  ) dut (
      .clk,
      .rst_n,
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tdata (s),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata (m_data)
  );

  assign place = {column_q, fold_q};
  assign first = !again_q && row_q == '0;
  // a beat leaves for the output's register
  assign put = dut.free && (first ? s_valid : 1'b1);
  assign expected = first ? s : row[place];

  // a beat of the row that was not taken yet may be anything
  always_comb begin
    for (int n = 0; n < 4; n++) begin
      right[n] = row_q == '0 && (again_q ? n[1] > column_q : 2'(n) >= place)
          || dut.memory[n] == row[n];
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      fold_q   <= 1'b0;
      column_q <= 1'b0;
      again_q  <= 1'b0;
      row_q    <= '0;
    end else if (put) begin
      fold_q <= !fold_q;
      if (fold_q) again_q <= !again_q;
      if (fold_q && again_q) column_q <= !column_q;
      if (fold_q && again_q && column_q) row_q <= row_q == 2 ? '0 : row_q + 1;
      if (first) row[place] <= s;
    end
  end

  order_checker #(
      .WIDTH(8)
  ) u_order (
      .clk,
      .rst_n,
      .follow,
      .put,
      .expected,
      .valid(m_valid),
      .ready(m_ready),
      .data (m_data)
  );

  always_ff @(posedge clk) begin
    if (rst_n) begin
      turn : assert ((s_valid && s_ready) == (first && put));
      spot : assert (dut.place_q == 32'(place) && dut.fold_q == 32'(fold_q)
          && dut.across_q == 32'(again_q) && dut.down_q == 32'(row_q) && row_q < 3);
      kept : assert (&right);
    end
  end
endmodule
