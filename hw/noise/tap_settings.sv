// SPDX-License-Identifier: MIT
//
// The registers of a noise tap: a shadow set that is written one by one, and the active set, which
// takes its place with `swap`.
//
//   0 SEED_LOW  1 SEED_HIGH  2 IMAGE_BASE  3 SIGMA_ADD  4 SIGMA_MUL
//   5 CONTROL (bit 0 enable, 1 add first, 2 pattern, 3 loaded, 13:8 k - 1, 19:16 bits of the ADC,
//     20 ADC unsigned)
//   6 GAIN_RATE  7 START  8 SIGMA_RATE  9 TABLE_PLACE  10 TABLE_LOW  11 TABLE_HIGH  12 ADC_STEP
//
// A write of START makes the shadow set wait (`pending`) for the image `start`; it must not be
// written until `swap`, which the parent module asserts. TABLE_HIGH stores
// {TABLE_HIGH, TABLE_LOW} at TABLE_PLACE, which is incremented. The table has no shadow: the entry
// is passed on at once, and must be written while no image that uses it is in the pipeline.
//
// Settings of kinds that are not in KINDS stay 0. Reset: all 0, nothing pending.

module tap_settings
  import noise_tap_pkg::*;
#(
    int unsigned SITE = 0,
    kinds_t KINDS = '1,
    localparam int unsigned PlaceBits = $clog2(2 * gaussian_pkg::Entries),
    localparam int unsigned EntryBits = gaussian_pkg::BaseBits + gaussian_pkg::FallBits
) (
    input  logic                        clk,
    input  logic                        rst_n,
    input  logic                        cfg_valid,
    input  logic      [            7:0] cfg_site,     // 255: every tap
    input  address_e                    cfg_addr,
    input  logic      [           31:0] cfg_data,
    input  logic                        swap,
    output logic                        pending,
    output logic      [           31:0] start,
    output logic      [           31:0] image_base,   // these three of the shadow set
    output logic signed [         31:0] gain_rate,
    output logic signed [         31:0] sigma_rate,
    output settings_t                   active,
    output uses_t                       uses,         // what the active set asks for
    output logic                        load_valid,
    output logic      [PlaceBits - 1:0] load_place,
    output logic      [EntryBits - 1:0] load_entry
);
  // a simulator copies what it writes in a clock where others read it: all of it, unless in parts
  settings_t shadow  /*verilator split_var*/;
  logic written;
  logic [31:0] table_low_q;
  assign image_base = shadow.image_base;
  assign gain_rate = shadow.gain_rate;
  assign sigma_rate = shadow.sigma_rate;
  assign written = cfg_valid && (cfg_site == 8'(SITE) || cfg_site == 8'hff);
  assign load_valid = written && cfg_addr == TableHigh;
  assign load_entry = EntryBits'({cfg_data, table_low_q});

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      shadow  <= '0;
      start   <= '0;
      pending <= 1'b0;
      active  <= '0;
      uses    <= '0;
    end else if (swap) begin
      pending <= 1'b0;
      active  <= shadow;
      uses    <= uses_of(shadow);
    end else if (written) begin
      settings_t next;
      next = shadow;
      unique case (cfg_addr)
        SeedLow: next.seed[0] = cfg_data;
        SeedHigh: next.seed[1] = cfg_data;
        ImageBase: next.image_base = cfg_data;
        SigmaAdd: next.sigma_add = cfg_data;
        SigmaMul: next.sigma_mul = cfg_data[23:0];
        Control: begin
          {next.loaded, next.pattern, next.add_first, next.enable} = cfg_data[3:0];
          next.repeats = cfg_data[13:8];
          {next.adc_unsigned, next.adc_bits} = cfg_data[20:16];
        end
        GainRate: next.gain_rate = cfg_data;
        SigmaRate: next.sigma_rate = cfg_data;
        AdcStep: next.adc_step = cfg_data;
        Start: begin
          start   <= cfg_data;
          pending <= 1'b1;
        end
        default: ;
      endcase
      if (!KINDS.multiplies) next.sigma_mul = '0;
      if (!KINDS.multiplies) next.add_first = 1'b0;
      if (!KINDS.patterns) next.pattern = 1'b0;
      if (!KINDS.drifts) {next.gain_rate, next.sigma_rate} = '0;
      if (!KINDS.loads) next.loaded = 1'b0;
      if (!KINDS.repeats) next.repeats = '0;
      if (!KINDS.converts) {next.adc_step, next.adc_unsigned, next.adc_bits} = '0;
      shadow <= next;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      load_place  <= '0;
      table_low_q <= '0;
    end else if (written) begin
      if (cfg_addr == TablePlace) load_place <= PlaceBits'(cfg_data);
      if (cfg_addr == TableLow) table_low_q <= cfg_data;
      if (load_valid) load_place <= load_place + 1;
    end
  end
endmodule
