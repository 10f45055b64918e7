// SPDX-License-Identifier: MIT
//
// The way of the beats through a tap at one beat per clock: ten Philox rounds, two clocks for the
// Gaussian, then scale, multiply, sum.
//
// `issue` takes an execution of the beat, with `ready` alone; with `last_pass` it is its last.
// `empty` says that no beat is before the output register. Latency 16 clocks, one more where
// there are several executions, and five more with a converter (adc.sv), through which each
// execution passes. Reset: empty. It does not cut the path from out_ready to ready.

module unrolled_path
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned PIXELS = 1,
    int unsigned IN_WIDTH = 8,
    bit IN_SIGNED = 1'b1,
    int unsigned FRAC = 8,
    bit ROUND = 1'b0,
    bit BIPOLAR = 1'b0,
    int unsigned OUT_WIDTH = 16,
    logic signed [63:0] OUT_MIN = -64'sd32768,
    logic signed [63:0] OUT_MAX = 64'sd32767,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,
    int unsigned SITE = 0,
    int unsigned WIDE = 30,  // bits of c + n
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned PlaceBits = $clog2(2 * gaussian_pkg::Entries),
    localparam int unsigned EntryBits = gaussian_pkg::BaseBits + gaussian_pkg::FallBits
) (
    input  logic                                   clk,
    input  logic                                   rst_n,
    input  logic signed [31:0]                     gain_rate,    // of the settings that come
    input  logic signed [31:0]                     sigma_rate,
    input  settings_t                              active,
    input  uses_t                                  uses,
    input  logic                                   load_valid,
    input  logic      [PlaceBits-1:0]              load_place,
    input  logic      [EntryBits-1:0]              load_entry,
    input  logic                                   swap,
    input  logic      [         31:0]              first,
    input  logic      [         31:0]              image,
    input  logic      [          5:0]              pass,
    input  logic                                   last_pass,
    input  logic                                   last_beat,
    output logic                                   ready,
    output logic                                   empty,
    input  logic                                   issue,
    input  logic      [   InBits-1:0]              in_data,
    output logic                                   out_valid,
    input  logic                                   out_ready,
    output logic      [       PE-1:0][OUT_WIDTH-1:0] out_data
);
  localparam bit OneBit = BIPOLAR && IN_WIDTH == 1;
  localparam int unsigned SumWidth = WIDE + 14;
  localparam int unsigned ToSamples = 10;
  localparam int unsigned ToLevel = 11;
  localparam int unsigned ToScale = 12;
  localparam int unsigned ToMultiply = 13;
  localparam int unsigned ToSum = 14;
  localparam int unsigned ToValue = 15;

  logic [ToValue-1:0] valid_q;
  logic en, busy, scale, multiply, sum, value, converting, converted_valid;
  assign en       = !out_valid || out_ready;
  assign ready    = en;
  assign empty    = valid_q == '0 && !converting && !busy;
  assign scale    = valid_q[ToScale-1];
  assign multiply = valid_q[ToMultiply-1];
  assign sum      = valid_q[ToSum-1];
  assign value    = valid_q[ToValue-1];

  always_ff @(posedge clk) begin
    if (!rst_n) valid_q <= '0;
    else if (en) valid_q <= {valid_q[ToValue-2:0], issue};
  end

  logic [PE-1:0][15:0] samples[2];
  unrolled_samples #(
      .CHANNELS(CHANNELS),
      .PE(PE),
      .PIXELS(PIXELS),
      .SITE(SITE)
  ) u_samples (
      .clk,
      .rst_n,
      .en,
      .issue,
      .last_pass,
      .image,
      .pass,
      .words_valid(valid_q[ToSamples-1]),
      .active,
      .uses,
      .load_valid,
      .load_place,
      .load_entry,
      .samples
  );

  logic [31:0] sigma_add;
  logic [23:0] sigma_mul;
  logic [19:0] gain;
  drift_levels u_levels (
      .clk,
      .rst_n,
      .en,
      .swap,
      .gain_rate,
      .sigma_rate,
      .first,
      .active,
      .uses,
      .issue,
      .next(issue && last_pass && last_beat),
      .image,
      .level(valid_q[ToLevel-1]),
      .sigma_add,
      .sigma_mul,
      .gain
  );

  logic signed [SumWidth-1:0] v[PE];
  noise_lanes #(
      .CHANNELS(CHANNELS),
      .PE(PE),
      .IN_WIDTH(IN_WIDTH),
      .IN_SIGNED(IN_SIGNED),
      .BIPOLAR(OneBit),
      .FRAC(FRAC),
      .OFFSET_WIDTH(OFFSET_WIDTH),
      .OFFSETS(OFFSETS),
      .WIDE(WIDE),
      .SUM_WIDTH(SumWidth)
  ) u_lanes (
      .clk,
      .rst_n,
      .en,
      .active,
      .uses,
      .issue,
      .in_data,
      .scale,
      .samples,
      .sigma_add,
      .sigma_mul,
      .gain,
      .multiply,
      .sum,
      .v
  );

  logic signed [SumWidth-1:0] converted[PE];
  adc #(
      .CHANNELS(CHANNELS),
      .PE(PE),
      .OFFSET_WIDTH(OFFSET_WIDTH),
      .OFFSETS(OFFSETS),
      .SUM_WIDTH(SumWidth)
  ) u_adc (
      .clk,
      .rst_n,
      .en,
      .active,
      .in_valid(value && uses.converts),
      .v,
      .busy(converting),
      .out_valid(converted_valid),
      .out(converted)
  );

  noise_output #(
      .PE(PE),
      .SUM_WIDTH(SumWidth),
      .FRAC(FRAC),
      .ROUND(ROUND),
      .BIPOLAR(BIPOLAR),
      .ONE_BIT(OneBit),
      .OUT_WIDTH(OUT_WIDTH),
      .OUT_MIN(OUT_MIN),
      .OUT_MAX(OUT_MAX)
  ) u_output (
      .clk,
      .rst_n,
      .en,
      .averages(uses.repeats),
      .repeats(active.repeats),
      .converts(uses.converts),
      .in_valid(uses.converts ? converted_valid : value),
      .v,
      .converted,
      .busy,
      .out_valid,
      .data(out_data)
  );
endmodule
