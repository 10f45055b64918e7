// SPDX-License-Identifier: MIT
//
// Settings of a noise tap.

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
