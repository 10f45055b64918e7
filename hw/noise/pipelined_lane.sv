// SPDX-License-Identifier: MIT
//
// The arithmetic of a lane, as noise_lanes.sv, in steps of one 18-bit product or one addition:
//
//   b = rs(g (a + o)) with drift, otherwise a + o
//   n = rs(sa z2), p = rs((b + n) sm z1) if noise is added first, otherwise rs(b sm z1)
//   v = b - o + n + p
//
// MULTIPLIES and GAINS say whether there is hardware for p, and for the gain of drift.
//
// Latency `Latency` enabled clocks, one element per clock. Settings and levels must be stable while
// elements are in the pipeline, except that levels belong to the element that enters. No reset: the
// parent knows which elements are valid.

module pipelined_lane
  import noise_tap_pkg::*;
#(
    int unsigned ADD_SHIFT = 20,  // of sa z2, at most 36
    int unsigned WIDE = 30,  // bits of b + n
    int unsigned SUM_WIDTH = 44,  // bits of v
    bit MULTIPLIES = 1'b1,
    bit GAINS = 1'b1
) (
    input  logic                             clk,
    input  logic                             en,
    input  settings_t                        active,
    input  uses_t                            uses,
    input  logic signed [     WIDE-1:0]      a,
    input  logic signed [     WIDE-1:0]      offset,
    input  logic        [          1:0][15:0] samples,    // signed, by draw
    input  logic        [         31:0]      sigma_add,
    input  logic        [         23:0]      sigma_mul,
    input  logic        [         19:0]      gain,
    output logic signed [SUM_WIDTH-1:0]      v
);
  localparam int unsigned ToNoise = product_latency(33, 16);
  localparam int unsigned ToBase = GAINS ? 1 + product_latency(WIDE, 21) : ToNoise;
  localparam int unsigned ToProduct = ToBase + 1 + product_latency(WIDE, 40);
  localparam int unsigned ToSum = MULTIPLIES ? ToProduct : ToBase + 2;

  // a + o, and what drift makes of it
  logic signed [WIDE-1:0] shifted_q, kept, base;
  always_ff @(posedge clk) if (en) shifted_q <= a + offset;
  delay #(.WIDTH(WIDE), .CLOCKS(ToBase - 1)) u_kept (.clk, .en, .in(shifted_q), .out(kept));
  if (GAINS) begin : gen_gain
    logic [19:0] gain_q;
    logic signed [WIDE+20:0] scaled;
    always_ff @(posedge clk) if (en) gain_q <= gain;
    pipelined_product #(.A_WIDTH(WIDE), .B_WIDTH(21), .ADDEND(32768)) u_scaled (
        .clk, .en, .a(shifted_q), .b({1'b0, gain_q}), .product(scaled)
    );
    assign base = uses.gains ? WIDE'(scaled >>> 16) : kept;
  end else begin : gen_no_gain
    assign base = kept;
  end

  // n
  logic signed [48:0] scaled_noise;
  logic signed [WIDE-1:0] noise, noise_at_base, noise_q;
  pipelined_product #(.A_WIDTH(33), .B_WIDTH(16), .ADDEND(64'd1 << (ADD_SHIFT - 1))) u_noise (
      .clk, .en, .a({1'b0, sigma_add}), .b(samples[1]), .product(scaled_noise)
  );
  assign noise = uses.adds ? WIDE'(scaled_noise >>> ADD_SHIFT) : '0;
  delay #(.WIDTH(WIDE), .CLOCKS(ToBase - ToNoise)) u_noise_at_base (
      .clk, .en, .in(noise), .out(noise_at_base)
  );

  // b - o, then + n
  logic signed [WIDE-1:0] offset_at_base, centre_q;
  logic signed [WIDE-1:0] sum_q, sum;
  delay #(.WIDTH(WIDE), .CLOCKS(ToBase)) u_offset (.clk, .en, .in(offset), .out(offset_at_base));
  always_ff @(posedge clk) begin
    if (en) begin
      centre_q <= base - offset_at_base;
      noise_q  <= noise_at_base;
      sum_q    <= centre_q + noise_q;
    end
  end
  delay #(.WIDTH(WIDE), .CLOCKS(ToSum - ToBase - 2)) u_sum (.clk, .en, .in(sum_q), .out(sum));

  // p
  if (MULTIPLIES) begin : gen_product
    logic signed [40:0] whole_factor;
    logic signed [39:0] factor, factor_q;
    logic signed [WIDE-1:0] base_q;
    logic signed [WIDE+39:0] product;
    logic signed [39:0] factor_at_base;
    logic unused;
    assign unused = whole_factor[40];
    pipelined_product #(.A_WIDTH(25), .B_WIDTH(16)) u_factor (
        .clk, .en, .a({1'b0, sigma_mul}), .b(samples[0]), .product(whole_factor)
    );
    assign factor = 40'(whole_factor);
    delay #(.WIDTH(40), .CLOCKS(ToBase - ToNoise)) u_factor_at_base (
        .clk, .en, .in(factor), .out(factor_at_base)
    );
    always_ff @(posedge clk) begin
      if (en) begin
        base_q   <= base + (active.add_first ? noise_at_base : '0);
        factor_q <= factor_at_base;
      end
    end
    pipelined_product #(.A_WIDTH(WIDE), .B_WIDTH(40), .ADDEND(64'd1 << 27)) u_product (
        .clk, .en, .a(base_q), .b(factor_q), .product
    );
    always_ff @(posedge clk) begin
      if (en) begin
        v <= SUM_WIDTH'(sum) + (uses.multiplies ? SUM_WIDTH'(product >>> 28) : '0);
      end
    end
  end else begin : gen_no_product
    assign v = SUM_WIDTH'(sum);
  end
endmodule
