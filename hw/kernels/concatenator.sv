// SPDX-License-Identifier: MIT
//
// Concatenation of two streams along their channels.
//
//   out(pixel) = A_GAIN a(pixel, 0) .. A_GAIN a(pixel, A_BEATS - 1),
//                B_GAIN b(pixel, 0) .. B_GAIN b(pixel, B_BEATS - 1)
//
// Of each pixel it takes A_BEATS beats of one input and then B_BEATS of the other; lanes are
// extended to OUT_WIDTH. One beat per clock; latency 1 clock. Reset: empty, before a pixel's first
// beat. It stores nothing but the output's beat, so the input whose turn it is not waits, and it
// does not cut the path from m_axis_tready to the inputs' tready.

module concatenator #(
    int unsigned PE = 2,  // lanes
    int unsigned A_BEATS = 1,  // beats of a pixel
    int unsigned A_WIDTH = 4,
    bit A_SIGNED = 1'b1,
    int unsigned A_GAIN = 1,
    int unsigned B_BEATS = 2,
    int unsigned B_WIDTH = 4,
    bit B_SIGNED = 1'b0,
    int unsigned B_GAIN = 1,
    int unsigned OUT_WIDTH = 5,  // must hold every value
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
  localparam int unsigned Beats = A_BEATS + B_BEATS;
  typedef logic [$clog2(Beats)-1:0] beat_t;

  logic [PE-1:0][OUT_WIDTH-1:0] out;
  beat_t beat_q;  // of a pixel
  logic free, from_b, valid;

  assign from_b = 32'(beat_q) >= A_BEATS;
  assign valid = from_b ? b_axis_tvalid : a_axis_tvalid;
  assign a_axis_tready = free && !from_b;
  assign b_axis_tready = free && from_b;

  always_comb begin
    for (int l = 0; l < PE; l++) begin
      logic [A_WIDTH-1:0] a;
      logic [B_WIDTH-1:0] b;
      a = a_axis_tdata[l*A_WIDTH+:A_WIDTH];
      b = b_axis_tdata[l*B_WIDTH+:B_WIDTH];
      if (from_b) out[l] = OUT_WIDTH'(B_GAIN) * (B_SIGNED ? OUT_WIDTH'($signed(b)) : OUT_WIDTH'(b));
      else out[l] = OUT_WIDTH'(A_GAIN) * (A_SIGNED ? OUT_WIDTH'($signed(a)) : OUT_WIDTH'(a));
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) beat_q <= '0;
    else if (valid && free) beat_q <= 32'(beat_q) == Beats - 1 ? '0 : beat_q + 1;
  end

  stream_register #(
      .WIDTH(PE * OUT_WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid(valid),
      .s_axis_tready(free),
      .s_axis_tdata(out),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  if (PE == 0) begin : gen_illegal
    $fatal(1, "concatenator: PE must be at least 1");
  end else if (A_BEATS == 0 || B_BEATS == 0) begin : gen_illegal
    $fatal(1, "concatenator: each input has at least one beat a pixel");
  end else if (A_GAIN == 0 || B_GAIN == 0) begin : gen_illegal
    $fatal(1, "concatenator: gains must be at least 1");
  end else if (OUT_WIDTH < A_WIDTH || OUT_WIDTH < B_WIDTH) begin : gen_illegal
    $fatal(1, "concatenator: OUT_WIDTH cannot hold every value");
  end
endmodule
