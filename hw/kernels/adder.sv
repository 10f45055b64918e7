// SPDX-License-Identifier: MIT
//
// Element-wise adder of two streams, in whole multiples of a common step.
//
//   out[l] = A_GAIN a[l] + B_GAIN b[l]    for each of PE lanes
//
// It takes the beats of both inputs together. One beat per clock; latency 1 clock. Reset: empty. It
// does not saturate, and does not cut the path from m_axis_tready to the inputs' tready, nor that
// from one input's tvalid to the other's tready.

module adder #(
    int unsigned PE = 2,  // lanes
    int unsigned A_WIDTH = 4,
    bit A_SIGNED = 1'b1,
    int unsigned B_WIDTH = 4,
    bit B_SIGNED = 1'b0,
    int unsigned A_GAIN = 1,
    int unsigned B_GAIN = 1,
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
  // one bit more than the wider product and the sum's carry, so that any signs go together
  localparam int unsigned AProduct = A_WIDTH + $clog2(A_GAIN);
  localparam int unsigned BProduct = B_WIDTH + $clog2(B_GAIN);
  localparam int unsigned Width = (AProduct > BProduct ? AProduct : BProduct) + 2;
  typedef logic signed [Width-1:0] value_t;

  logic [PE-1:0][OUT_WIDTH-1:0] sum;
  logic free;

  assign a_axis_tready = free && b_axis_tvalid;
  assign b_axis_tready = free && a_axis_tvalid;

  always_comb begin
    for (int l = 0; l < PE; l++) begin
      logic [A_WIDTH-1:0] a;
      logic [B_WIDTH-1:0] b;
      a = a_axis_tdata[l*A_WIDTH+:A_WIDTH];
      b = b_axis_tdata[l*B_WIDTH+:B_WIDTH];
      sum[l] = OUT_WIDTH'(value_t'(A_GAIN) * (A_SIGNED ? value_t'($signed(a)) : value_t'({1'b0, a}))
          + value_t'(B_GAIN) * (B_SIGNED ? value_t'($signed(b)) : value_t'({1'b0, b})));
    end
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
  end else if (A_GAIN == 0 || B_GAIN == 0) begin : gen_illegal
    $fatal(1, "adder: gains must be at least 1");
  end
endmodule
