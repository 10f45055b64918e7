// SPDX-License-Identifier: MIT
//
// Element-wise adder of two streams, in whole multiples of a common step.
//
//   out[l] = A_GAINS[f][l] a[l] + B_GAINS[f][l] b[l]    for each of PE lanes
//
// A pixel has FOLDS beats f, each with gains of its own, which are signed. It takes the beats of
// both inputs together. One beat per clock; latency 1 clock. Reset: empty, at the first beat. It
// does not saturate, and does not cut the path from m_axis_tready to the inputs' tready, nor that
// from one input's tvalid to the other's tready.

module adder #(
    int unsigned PE = 2,  // lanes
    int unsigned A_WIDTH = 4,
    bit A_SIGNED = 1'b1,
    int unsigned B_WIDTH = 4,
    bit B_SIGNED = 1'b0,
    int unsigned FOLDS = 1,  // beats with gains of their own
    int unsigned GAIN_WIDTH = 2,
    logic [FOLDS-1:0][PE-1:0][GAIN_WIDTH-1:0] A_GAINS = '0,  // all 0 if each gain is 1
    logic [FOLDS-1:0][PE-1:0][GAIN_WIDTH-1:0] B_GAINS = '0,
    int unsigned OUT_WIDTH = 6,  // must hold every sum
    localparam int unsigned ABits = (PE * A_WIDTH + 7) / 8 * 8,
    localparam int unsigned BBits = (PE * B_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               a_axis_tvalid,
    output logic               a_axis_tready,
    input  logic [  ABits-1:0] a_axis_tdata,
    input  logic               b_axis_tvalid,
    output logic               b_axis_tready,
    input  logic [  BBits-1:0] b_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready,
    output logic [OutBits-1:0] m_axis_tdata
);
  // a sum that fits is right modulo 2^OUT_WIDTH, and so is all it is made of
  typedef logic signed [OUT_WIDTH-1:0] value_t;

  function automatic value_t left(input logic [A_WIDTH-1:0] a);
    left = A_SIGNED ? value_t'($signed(a)) : value_t'(a);
  endfunction

  function automatic value_t right(input logic [B_WIDTH-1:0] b);
    right = B_SIGNED ? value_t'($signed(b)) : value_t'(b);
  endfunction

  function automatic value_t scaled(input logic [GAIN_WIDTH-1:0] gain, input value_t value);
    scaled = A_GAINS == 0 && B_GAINS == 0 ? value : value_t'($signed(gain)) * value;
  endfunction

  logic [PE-1:0][OUT_WIDTH-1:0] sum;
  logic [31:0] fold_q;
  logic free;

  assign a_axis_tready = free && b_axis_tvalid;
  assign b_axis_tready = free && a_axis_tvalid;

  always_comb begin
    sum = 'x;
    if (a_axis_tvalid && a_axis_tready) begin
      for (int l = 0; l < PE; l++) begin
        sum[l] = scaled(A_GAINS[fold_q][l], left(a_axis_tdata[l*A_WIDTH+:A_WIDTH]))
            + scaled(B_GAINS[fold_q][l], right(b_axis_tdata[l*B_WIDTH+:B_WIDTH]));
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) fold_q <= '0;
    else if (a_axis_tvalid && a_axis_tready) fold_q <= fold_q == FOLDS - 1 ? '0 : fold_q + 1;
  end

  stream_register #(
      .WIDTH(PE * OUT_WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid(a_axis_tvalid && b_axis_tvalid),
      .s_axis_tready(free),
      .s_axis_tdata(sum),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  if (PE == 0) begin : gen_illegal
    $fatal(1, "adder: PE must be at least 1");
  end else if (FOLDS == 0 || GAIN_WIDTH < 2) begin : gen_illegal
    $fatal(1, "adder: a pixel has at least one beat, and gains have at least 2 bits");
  end
endmodule
