// SPDX-License-Identifier: MIT
//
// An analog-to-digital converter for each lane of a tap at one beat per clock, by successive
// approximation: mid-tread, halves up, saturating.
//
//   code = clamp(floor((2 w + s) / (2 s)), least, most), out = code s - o, where w = v + o
//
// s is the step, in units of 2^-FRAC LSB. With B bits codes are -2^(B-1)..2^(B-1) - 1, or 0..2^B - 1
// with `adc_unsigned`. One bit that is not unsigned is a comparator: out + o is s / 2 for w >= 0 and
// -s / 2 below, and s must be even. o is the channel's offset (noise_tap.sv), so w is the value that
// the real layer has.
//
// Bits are decided from the highest down, each by one subtraction: what is left of 2 w + s - 2 s
// least after them is 2 s (w / s + 1/2 - code), from which `out` follows without a product. So the
// division is exact, and a value beyond the codes ends at the nearest of them.
//
// Beats come in order, each active.repeats times more. Latency 1 + 12 / STEPS enabled clocks, one
// beat per clock; `busy` while a beat is inside or in `out`. Settings must be stable meanwhile.
// Reset: empty, at the first beat of a pixel.

module adc
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,
    int unsigned SUM_WIDTH = 44,  // bits of v
    int unsigned STEPS = 3  // bits decided in a clock, a divisor of 12
) (
    input  logic                        clk,
    input  logic                        rst_n,
    input  logic                        en,
    input  settings_t                   active,
    input  logic                        in_valid,
    input  logic signed [SUM_WIDTH-1:0] v[PE],
    output logic                        busy,
    output logic                        out_valid,
    output logic signed [SUM_WIDTH-1:0] out[PE]
);
  localparam int unsigned MostBits = 12;
  localparam int unsigned Stages = MostBits / STEPS;
  localparam int unsigned Folds = CHANNELS / PE;
  localparam int unsigned FoldBits = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned RestWidth = adc_rest_width(SUM_WIDTH);
  typedef logic signed [RestWidth-1:0] rest_t;

  // what is left after the bits from `highest` down that a clock decides
  function automatic rest_t decided(input rest_t rest, input int highest);
    decided = rest;
    for (int b = highest; b > highest - int'(STEPS); b--) begin
      if (b < int'(active.adc_bits)) begin
        rest_t less;
        less = decided - (rest_t'({1'b0, active.adc_step}) <<< (b + 1));
        if (less >= 0) decided = less;
      end
    end
  endfunction

  logic [Stages:0] valid_q;
  logic [FoldBits-1:0] fold_q;
  logic [5:0] pass_q;
  rest_t bias_q;
  logic moving;  // never in a tap without a converter, which then costs a simulator little
  assign busy = valid_q != '0;
  assign moving = en && (in_valid || busy);
  assign out_valid = valid_q[Stages];
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      valid_q <= '0;
      fold_q  <= '0;
      pass_q  <= '0;
    end else if (moving) begin
      valid_q <= {valid_q[Stages-1:0], in_valid};
      if (in_valid) begin
        pass_q <= pass_q == active.repeats ? '0 : pass_q + 1;
        if (pass_q == active.repeats) begin
          fold_q <= fold_q == FoldBits'(Folds - 1) ? '0 : fold_q + 1;
        end
      end
    end
  end
  always_ff @(posedge clk) if (active.adc_bits != '0) bias_q <= rest_t'(adc_bias(active));

  // registers of this block alone, which fills them from the last stage on
  logic signed [SUM_WIDTH-1:0] value_q[Stages][PE];
  rest_t rest_q[Stages][PE];
  // verilog_lint: waive-start always-ff-non-blocking
  always_ff @(posedge clk) begin
    if (moving) begin
      if (valid_q[Stages-1]) begin
        for (int l = 0; l < PE; l++) begin
          rest_t last;
          last = decided(rest_q[Stages-1][l], int'(STEPS) - 1);
          last = rest_t'({1'b0, active.adc_step}) - last;
          out[l] <= SUM_WIDTH'(rest_t'(value_q[Stages-1][l]) + (last >>> 1));
        end
      end
      for (int n = Stages - 1; n > 0; n--) begin
        if (valid_q[n-1]) begin
          for (int l = 0; l < PE; l++) begin
            value_q[n][l] = value_q[n-1][l];
            rest_q[n][l] = decided(rest_q[n-1][l], int'(MostBits) - 1 - (n - 1) * int'(STEPS));
          end
        end
      end
      if (in_valid) begin
        for (int l = 0; l < PE; l++) begin
          rest_t offset;
          offset = rest_t'($signed(OFFSETS[(32'(fold_q)*PE+l)*OFFSET_WIDTH+:OFFSET_WIDTH]));
          value_q[0][l] = v[l];
          rest_q[0][l] = ((rest_t'(v[l]) + offset) <<< 1) + bias_q;
        end
      end
    end
  end
  // verilog_lint: waive-stop always-ff-non-blocking

  if (STEPS == 0 || MostBits % STEPS != 0 || Stages < 2) begin : gen_illegal
    $fatal(1, "adc: STEPS must divide 12, and not be 12");
  end else if (PE == 0 || CHANNELS % PE != 0) begin : gen_illegal
    $fatal(1, "adc: PE must divide CHANNELS");
  end else if (SUM_WIDTH < 34) begin : gen_illegal
    $fatal(1, "adc: SUM_WIDTH must hold a step, 34 bits or more");
  end
endmodule
