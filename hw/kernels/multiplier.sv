// SPDX-License-Identifier: MIT
//
// Element-wise product of two streams, or of each pixel of one with a vector of the other.
//
//   out[l] = a[l] b[l]    for each of PE lanes
//
// A vector of b has FOLDS beats and serves PIXELS vectors of a: the first of these takes it along
// with its own beats, and a memory gives it to the others. One beat per clock; latency 1 clock.
// Reset: empty, at the first vector. It does not saturate, and does not cut the path from
// m_axis_tready to the inputs' tready, nor that from one input's tvalid to the other's tready.

module multiplier #(
    int unsigned PE = 2,  // lanes
    int unsigned FOLDS = 2,  // beats of a vector
    int unsigned PIXELS = 3,  // vectors of a for each one of b
    int unsigned A_WIDTH = 4,
    bit A_SIGNED = 1'b1,
    int unsigned B_WIDTH = 4,
    bit B_SIGNED = 1'b0,
    int unsigned OUT_WIDTH = 8,  // must hold every product
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
  // a bit more for each operand, so that any signs go together
  typedef logic signed [A_WIDTH+B_WIDTH+1:0] value_t;

  logic [BBits-1:0] memory[FOLDS];
  logic [BBits-1:0] factors;
  logic [PE-1:0][OUT_WIDTH-1:0] product;
  logic [31:0] fold_q, pixel_q;
  logic first, valid, free;

  assign first = pixel_q == '0;
  assign valid = a_axis_tvalid && (!first || b_axis_tvalid);
  assign a_axis_tready = free && (!first || b_axis_tvalid);
  assign b_axis_tready = free && first && a_axis_tvalid;
  assign factors = first ? b_axis_tdata : memory[fold_q];

  always_comb begin
    for (int l = 0; l < PE; l++) begin
      logic [A_WIDTH-1:0] a;
      logic [B_WIDTH-1:0] b;
      a = a_axis_tdata[l*A_WIDTH+:A_WIDTH];
      b = factors[l*B_WIDTH+:B_WIDTH];
      product[l] = OUT_WIDTH'((A_SIGNED ? value_t'($signed(a)) : value_t'({1'b0, a}))
          * (B_SIGNED ? value_t'($signed(b)) : value_t'({1'b0, b})));
    end
  end

  always_ff @(posedge clk) begin
    if (first) memory[fold_q] <= b_axis_tdata;
    if (!rst_n) begin
      fold_q  <= '0;
      pixel_q <= '0;
    end else if (a_axis_tvalid && a_axis_tready) begin
      fold_q <= fold_q == FOLDS - 1 ? '0 : fold_q + 1;
      if (fold_q == FOLDS - 1) pixel_q <= pixel_q == PIXELS - 1 ? '0 : pixel_q + 1;
    end
  end

  stream_register #(
      .WIDTH(PE * OUT_WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid(valid),
      .s_axis_tready(free),
      .s_axis_tdata(product),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  if (PE == 0) begin : gen_illegal
    $fatal(1, "multiplier: PE must be at least 1");
  end else if (FOLDS == 0 || PIXELS == 0) begin : gen_illegal
    $fatal(1, "multiplier: a vector has at least one beat, and serves at least one pixel");
  end
endmodule
