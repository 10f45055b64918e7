// SPDX-License-Identifier: MIT
//
// Proof of concatenator: of every pixel, the beats of one input leave and then those of the other,
// each once, in order, with the values of its lanes.
//
//   turn   an input's beat is taken when it is its turn, and never a beat of each at once
//   bounds the beat of a pixel that is next is one of them

module concatenator_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       a_valid,
    input logic       b_valid,
    input logic       m_ready,
    input logic [7:0] a,
    input logic [7:0] b
);
  localparam int unsigned ABeats = 2, BBeats = 3;

  logic rst_n, a_ready, b_ready, m_valid;
  logic [15:0] m_data;
  logic [1:0][5:0] of_a, of_b;
  logic [2:0] beat_q;  // beats of the pixel that were taken
  logic take_a, take_b;

  proof_reset u_reset (.*);

  concatenator #(
      .PE(2),
      .A_BEATS(ABeats),
      .A_WIDTH(3),
      .A_SIGNED(1'b1),
      .A_GAIN(5),
      .B_BEATS(BBeats),
      .B_WIDTH(4),
      .B_SIGNED(1'b0),
      .B_GAIN(2),
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

  assign take_a = a_valid && a_ready;
  assign take_b = b_valid && b_ready;

  always_comb begin
    for (int l = 0; l < 2; l++) begin
      of_a[l] = 6'(5 * (int'(a[3*l+:2]) - 4 * int'(a[3*l+2])));
      of_b[l] = {1'b0, b[4*l+:4], 1'b0};
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) beat_q <= '0;
    else if (take_a || take_b) beat_q <= beat_q == 3'(ABeats + BBeats - 1) ? '0 : beat_q + 1;
  end

  order_checker #(
      .WIDTH(16)
  ) u_order (
      .clk,
      .rst_n,
      .follow,
      .put(take_a || take_b),
      .expected(16'(take_b ? of_b : of_a)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (rst_n) begin
      turn : assert (!(take_a && beat_q >= 3'(ABeats)) && !(take_b && beat_q < 3'(ABeats)));
      bounds : assert (beat_q < 3'(ABeats + BBeats));
      same : assert (beat_q == dut.beat_q);
    end
  end
endmodule
