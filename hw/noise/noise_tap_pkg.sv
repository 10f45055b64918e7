// SPDX-License-Identifier: MIT
//
// Settings of a noise tap, and what they ask for.

package noise_tap_pkg;
  typedef struct packed {
    logic [1:0][31:0] seed;
    logic [31:0] image_base;
    logic [31:0] sigma_add;
    logic [23:0] sigma_mul;
    logic [5:0] repeats;  // beyond the first execution
    logic loaded;
    logic pattern;
    logic add_first;
    logic enable;
    logic signed [31:0] gain_rate;
    logic signed [31:0] sigma_rate;
    logic [31:0] adc_step;  // s
    logic adc_unsigned;
    logic [3:0] adc_bits;  // 0: no converter
  } settings_t;

  // kinds of noise that a tap is built for, beside additive noise
  typedef struct packed {
    logic multiplies;
    logic patterns;
    logic drifts;
    logic loads;  // a table in place of the normal one
    logic repeats;
    logic converts;  // an analog-to-digital converter
  } kinds_t;

  typedef struct packed {
    logic adds;
    logic multiplies;
    logic gains;
    logic drifts;
    logic repeats;
    logic converts;
  } uses_t;

  function automatic uses_t uses_of(input settings_t s);
    uses_of.adds = s.enable && s.sigma_add != '0;
    uses_of.multiplies = s.enable && s.sigma_mul != '0;
    uses_of.gains = s.enable && s.gain_rate != '0;
    uses_of.drifts = s.enable && (s.gain_rate != '0 || s.sigma_rate != '0);
    uses_of.repeats = s.repeats != '0;
    uses_of.converts = s.adc_bits != '0;
  endfunction

  // fractional bits of sigma_add: fewer for wide inputs, whose noise is larger
  function automatic int unsigned sigma_fraction(input int unsigned in_width);
    return in_width > 17 ? 8 : 16;
  endfunction

  // of pipelined_product.sv, in clocks
  function automatic int unsigned product_latency(input int unsigned a_width,
                                                  input int unsigned b_width);
    return ((a_width + 15) / 17) * ((b_width + 15) / 17) + 1;
  endfunction

  // of pipelined_lane.sv, in clocks
  function automatic int unsigned lane_latency(input int unsigned wide, input bit multiplies,
                                               input bit gains);
    int unsigned base;
    base = gains ? 1 + product_latency(wide, 21) : product_latency(33, 16);
    return multiplies ? base + 2 + product_latency(wide, 40) : base + 2;
  endfunction

  // bits of what is left in a converter: 2 w, or 2^12 steps
  function automatic int unsigned adc_rest_width(input int unsigned sum_width);
    return sum_width > 44 ? sum_width + 3 : 47;
  endfunction

  // what is added to 2 w so that codes begin with 0, and a tie is rounded up; a comparator has none
  function automatic logic [45:0] adc_bias(input settings_t s);
    if (s.adc_unsigned) return 46'(s.adc_step);
    if (s.adc_bits == 4'd1) return 46'(s.adc_step) << 1;
    return 46'(s.adc_step) + (46'(s.adc_step) << s.adc_bits);
  endfunction

  typedef enum logic [3:0] {
    SeedLow,
    SeedHigh,
    ImageBase,
    SigmaAdd,
    SigmaMul,
    Control,
    GainRate,
    Start,
    SigmaRate,
    TablePlace,
    TableLow,
    TableHigh,
    AdcStep
  } address_e;
endpackage
