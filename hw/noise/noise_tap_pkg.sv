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
  } settings_t;

  // kinds of noise that a tap is built for, beside additive noise
  typedef struct packed {
    logic multiplies;
    logic patterns;
    logic drifts;
    logic loads;  // a table in place of the normal one
    logic repeats;
  } kinds_t;

  typedef struct packed {
    logic adds;
    logic multiplies;
    logic gains;
    logic drifts;
    logic repeats;
  } uses_t;

  function automatic uses_t uses_of(input settings_t s);
    uses_of.adds = s.enable && s.sigma_add != '0;
    uses_of.multiplies = s.enable && s.sigma_mul != '0;
    uses_of.gains = s.enable && s.gain_rate != '0;
    uses_of.drifts = s.enable && (s.gain_rate != '0 || s.sigma_rate != '0);
    uses_of.repeats = s.repeats != '0;
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
    TableHigh
  } address_e;
endpackage
