// SPDX-License-Identifier: MIT
//
// The arithmetic of a beat's lanes, before rounding and saturation:
//
//   mul, then add:  v = c + rs((c + o) sm z1) + rs(sa z2)
//   add, then mul:  v = c + n + rs((c + o + n) sm z1)     n = rs(sa z2)
//   drift:          c = rs(g (a + o)) - o, where a = acc << F, and otherwise c = a
//
// A beat comes with `issue` and waits, among at most 16, for its noise. It passes three stages,
// `scale`, `multiply` and `sum`, each for an enabled clock and a clock after the one before; in
// `scale` come its samples and levels. `v` is a register, written with `sum`. The beats of an image
// come in order, each `repeats` times more. Reset: at the first beat of a pixel.

module noise_lanes
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned IN_WIDTH = 8,
    bit IN_SIGNED = 1'b1,
    bit BIPOLAR = 1'b0,  // in 1 bit: 0 is -1
    int unsigned FRAC = 8,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,
    int unsigned WIDE = 30,  // bits of c + n
    int unsigned SUM_WIDTH = 44,  // bits of v
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8
) (
    input  logic                                    clk,
    input  logic                                    rst_n,
    input  logic                                    en,
    input  settings_t                               active,
    input  uses_t                                   uses,
    input  logic                                    issue,
    input  logic      [ InBits-1:0]                 in_data,
    input  logic                                    scale,
    input  logic      [     PE-1:0][15:0]           samples[2],  // by draw
    input  logic      [       31:0]                 sigma_add,
    input  logic      [       23:0]                 sigma_mul,
    input  logic      [       19:0]                 gain,
    input  logic                                    multiply,
    input  logic                                    sum,
    output logic signed [SUM_WIDTH-1:0]             v[PE]
);
  localparam int unsigned Folds = CHANNELS / PE;
  localparam int unsigned FoldBits = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned AddShift = sigma_fraction(IN_WIDTH) + 12 - FRAC;
  localparam int unsigned FactorWidth = 24 + 16;
  localparam int unsigned HalfWidth = WIDE + FactorWidth - 16 + 1;

  logic [InBits-1:0] waiting[16];
  logic [3:0] write_q, scale_read_q, multiply_read_q, sum_read_q;
  logic [5:0] pass_q;
  logic [FoldBits-1:0] scale_fold_q, multiply_fold_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {write_q, scale_read_q} <= '0;
      scale_fold_q <= '0;
      pass_q <= '0;
    end else if (en) begin
      if (issue) begin
        waiting[write_q] <= in_data;
        write_q <= write_q + 1;
      end
      if (scale) begin
        scale_read_q <= scale_read_q + 1;
        pass_q <= pass_q == active.repeats ? '0 : pass_q + 1;
        if (pass_q == active.repeats) begin
          scale_fold_q <= scale_fold_q == FoldBits'(Folds - 1) ? '0 : scale_fold_q + 1;
        end
      end
      // a beat's place goes with it
      multiply_read_q <= scale_read_q;
      multiply_fold_q <= scale_fold_q;
      sum_read_q <= multiply_read_q;
    end
  end

  function automatic logic signed [WIDE-1:0] offset(input logic [FoldBits-1:0] fold, input int l);
    return WIDE'($signed(OFFSETS[(32'(fold)*PE+l)*OFFSET_WIDTH+:OFFSET_WIDTH]));
  endfunction

  function automatic logic signed [WIDE-1:0] widened(input logic [InBits-1:0] data, input int l);
    logic [IN_WIDTH-1:0] acc;
    acc = data[l*IN_WIDTH+:IN_WIDTH];
    if (BIPOLAR) return acc[0] ? WIDE'(1) <<< FRAC : -(WIDE'(1) <<< FRAC);
    return IN_SIGNED ? WIDE'($signed(acc)) <<< FRAC : WIDE'(acc) << FRAC;
  endfunction

  for (genvar l = 0; l < PE; l++) begin : gen_lane
    logic signed [WIDE-1:0] added_q, added_at_sum_q, centre_q, centre_at_sum_q;
    logic signed [FactorWidth-1:0] factor_q;
    logic signed [SUM_WIDTH-1:0] product_q, v_q;

    always_ff @(posedge clk) begin
      if (en && scale && uses.gains) begin
        logic signed [WIDE+20:0] product;
        product = (WIDE + 21)'(widened(waiting[scale_read_q], l) + offset(scale_fold_q, l));
        product = product * $signed((WIDE + 21)'({1'b0, gain}));
        centre_q <= WIDE'((product + (WIDE + 21)'(32768)) >>> 16) - offset(scale_fold_q, l);
      end
    end

    always_ff @(posedge clk) begin
      if (en && scale && uses.adds) begin
        logic signed [47:0] scaled;
        scaled = 48'($signed({1'b0, sigma_add})) * 48'($signed(samples[1][l]));
        added_q <= WIDE'((scaled + (48'sd1 <<< (AddShift - 1))) >>> AddShift);
      end
    end

    always_ff @(posedge clk) begin
      if (en && scale && uses.multiplies) begin
        logic signed [FactorWidth-1:0] sigma;
        sigma = FactorWidth'($signed({1'b0, sigma_mul}));
        factor_q <= sigma * FactorWidth'($signed(samples[0][l]));
      end
    end

    always_ff @(posedge clk) begin
      if (en && multiply && uses.adds) added_at_sum_q <= added_q;
      if (en && multiply && uses.gains) centre_at_sum_q <= centre_q;
    end

    always_ff @(posedge clk) begin
      if (en && multiply && uses.multiplies) begin
        logic signed [WIDE-1:0] base;
        logic signed [HalfWidth-1:0] low, high;
        base = uses.gains ? centre_q : widened(waiting[multiply_read_q], l);
        base = base + offset(multiply_fold_q, l);
        if (active.add_first && uses.adds) base = base + added_q;
        // (base factor + 2^27) >> 28 from halves of the factor: a simulator has 64 bits in a word
        low = HalfWidth'(base) * $signed(HalfWidth'({1'b0, factor_q[15:0]}));
        high = HalfWidth'(base) * HalfWidth'(factor_q >>> 16);
        high = high + ((low + (HalfWidth'(1) <<< 27)) >>> 16);
        product_q <= SUM_WIDTH'(high >>> 12);
      end
    end

    always_ff @(posedge clk) begin
      if (en && sum) begin
        logic signed [SUM_WIDTH-1:0] total;
        total = SUM_WIDTH'(uses.gains ? centre_at_sum_q : widened(waiting[sum_read_q], l));
        if (uses.adds) total = total + SUM_WIDTH'(added_at_sum_q);
        if (uses.multiplies) total = total + product_q;
        v_q <= total;
      end
    end
    assign v[l] = v_q;
  end
endmodule
