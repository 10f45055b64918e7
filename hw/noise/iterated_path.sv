// SPDX-License-Identifier: MIT
//
// The way of the beats through a tap whose beats come every few clocks: samples are made ahead, and
// a path holds at most one 18-bit product or one addition.
//
// `issue` takes an execution of the beat, with `ready` alone; with `last_pass` it is its last.
// `empty` says that no beat is before the output register. Settings of kinds that are not in KINDS
// must stay 0. After `swap` the samples that wait are dropped, and made anew with the settings that
// came. The lanes never stand still: what enters them has a place in the FIFO behind them, so there
// is no path from out_ready to ready. Reset: empty.

module iterated_path
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
    kinds_t KINDS = '1,
    int unsigned CORES = 1,  // Philox cores of a source (iterated_samples.sv)
    int unsigned SOURCES = 1,
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned PlaceBits = $clog2(2 * gaussian_pkg::Entries),
    localparam int unsigned EntryBits = gaussian_pkg::BaseBits + gaussian_pkg::FallBits
) (
    input  logic                                     clk,
    input  logic                                     rst_n,
    input  settings_t                                active,
    input  uses_t                                    uses,
    input  logic                                     load_valid,
    input  logic      [PlaceBits-1:0]                load_place,
    input  logic      [EntryBits-1:0]                load_entry,
    input  logic                                     swap,
    input  logic      [         31:0]                first,
    input  logic                                     image_start,
    input  logic                                     last_pass,
    output logic                                     ready,
    output logic                                     empty,
    input  logic                                     issue,
    input  logic      [   InBits-1:0]                in_data,
    output logic                                     out_valid,
    input  logic                                     out_ready,
    output logic      [       PE-1:0][OUT_WIDTH-1:0] out_data
);
  localparam bit OneBit = BIPOLAR && IN_WIDTH == 1;
  localparam int unsigned SumWidth = WIDE + 14;
  localparam int unsigned Folds = CHANNELS / PE;
  localparam int unsigned FoldBits = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned Latency = lane_latency(WIDE, KINDS.multiplies, KINDS.drifts);
  localparam int unsigned Depth = 16;  // beats in the lanes and the FIFO behind them, a power of 2

  // a beat enters when its samples and levels are there, and a place in the FIFO
  logic full, leaves, room, samples_valid, levels_ready, v_valid, v_ready, converting, busy;
  logic restart_q;
  logic [31:0] first_q;
  logic [$clog2(Depth):0] inside_q;
  logic [Latency:0] valid_q;
  logic [InBits-1:0] data_q;
  logic [1:0][PE-1:0][15:0] samples, samples_q;
  logic [FoldBits-1:0] fold_q, beat_fold_q;
  assign leaves = v_valid && v_ready;
  assign full = inside_q[$clog2(Depth)];
  assign ready = !full && samples_valid && (levels_ready || !image_start) && !restart_q;
  assign empty = inside_q == '0 && !converting && !busy;
  always_ff @(posedge clk) begin
    if (!rst_n) {valid_q, fold_q, inside_q, restart_q} <= '0;
    else begin
      valid_q   <= {valid_q[Latency-1:0], issue};
      restart_q <= swap;
      if (issue && !leaves) inside_q <= inside_q + 1;
      if (leaves && !issue) inside_q <= inside_q - 1;
      if (issue && last_pass) fold_q <= fold_q == FoldBits'(Folds - 1) ? '0 : fold_q + 1;
    end
    first_q     <= first;
    data_q      <= in_data;
    samples_q   <= samples;
    beat_fold_q <= fold_q;
  end

  // samples and levels begin anew with each change of the settings
  logic fresh_n;
  assign fresh_n = rst_n && !restart_q;
  iterated_samples #(
      .CHANNELS(CHANNELS), .PE(PE), .PIXELS(PIXELS), .SITE(SITE), .MULTIPLIES(KINDS.multiplies),
      .LOADABLE(KINDS.loads), .CORES(CORES), .SOURCES(SOURCES)
  ) u_samples (
      .clk, .rst_n(fresh_n), .active, .uses, .image(first_q), .load_valid, .load_place, .load_entry,
      .valid(samples_valid), .take(issue), .samples
  );

  logic [31:0] sigma_add;
  logic [23:0] sigma_mul;
  logic [19:0] gain;
  serial_drift u_drift (
      .clk, .rst_n(fresh_n), .active, .uses, .image(first_q), .ready(levels_ready),
      .next(issue && image_start), .sigma_add, .sigma_mul, .gain
  );

  logic [PE-1:0][SumWidth-1:0] sums, v;
  logic [(PE*SumWidth+7)/8*8-1:0] kept;
  for (genvar l = 0; l < PE; l++) begin : gen_lane
    logic [IN_WIDTH-1:0] acc;
    logic signed [WIDE-1:0] a, offset;
    assign acc = data_q[l*IN_WIDTH+:IN_WIDTH];
    assign offset = WIDE'($signed(OFFSETS[(32'(beat_fold_q)*PE+l)*OFFSET_WIDTH+:OFFSET_WIDTH]));
    if (OneBit) begin : gen_bipolar
      assign a = acc[0] ? WIDE'(1) <<< FRAC : -(WIDE'(1) <<< FRAC);
    end else begin : gen_number
      assign a = IN_SIGNED ? WIDE'($signed(acc)) <<< FRAC : WIDE'(acc) << FRAC;
    end
    pipelined_lane #(
        .ADD_SHIFT(sigma_fraction(IN_WIDTH) + 12 - FRAC), .WIDE(WIDE), .SUM_WIDTH(SumWidth),
        .MULTIPLIES(KINDS.multiplies), .GAINS(KINDS.drifts)
    ) u_lane (
        .clk, .en(1'b1), .active, .uses, .a, .offset,
        .samples({samples_q[1][l], samples_q[0][l]}), .sigma_add, .sigma_mul, .gain, .v(sums[l])
    );
  end

  stream_fifo #(
      .DEPTH(Depth), .WIDTH(PE * SumWidth)
  ) u_sums (
      .clk, .rst_n, .s_axis_tvalid(valid_q[Latency]), .s_axis_tready(room),
      .s_axis_tdata($bits(kept)'(sums)), .m_axis_tvalid(v_valid), .m_axis_tready(v_ready),
      .m_axis_tdata(kept)
  );
  assign v = kept[PE*SumWidth-1:0];
`ifndef SYNTHESIS
  assert property (@(posedge clk) disable iff (!rst_n) valid_q[Latency] |-> room)
  else $error("iterated_path: a beat has no place behind the lanes");
`endif

  // each execution passes the converters
  logic value_valid, value_ready;
  logic [PE-1:0][SumWidth-1:0] value;
  if (KINDS.converts) begin : gen_adc
    logic adc_ready, adc_valid;
    logic [PE-1:0][SumWidth-1:0] converted;
    serial_adc #(
        .CHANNELS(CHANNELS), .PE(PE), .OFFSET_WIDTH(OFFSET_WIDTH), .OFFSETS(OFFSETS),
        .SUM_WIDTH(SumWidth)
    ) u_adc (
        .clk, .rst_n, .active, .in_valid(uses.converts && v_valid), .in_ready(adc_ready),
        .v, .busy(converting), .out_valid(adc_valid), .out_ready(value_ready), .out(converted)
    );
    assign v_ready = uses.converts ? adc_ready : value_ready;
    assign value_valid = uses.converts ? adc_valid : v_valid;
    assign value = uses.converts ? converted : v;
  end else begin : gen_no_adc
    assign converting = 1'b0;
    assign v_ready = value_ready;
    assign value_valid = v_valid;
    assign value = v;
  end

  serial_output #(
      .PE(PE), .SUM_WIDTH(SumWidth), .FRAC(FRAC), .ROUND(ROUND), .BIPOLAR(BIPOLAR),
      .ONE_BIT(OneBit), .OUT_WIDTH(OUT_WIDTH), .OUT_MIN(OUT_MIN), .OUT_MAX(OUT_MAX),
      .MEANS(KINDS.repeats)
  ) u_output (
      .clk, .rst_n, .averages(uses.repeats), .repeats(active.repeats), .in_valid(value_valid),
      .in_ready(value_ready), .v(value), .busy, .out_valid, .out_ready, .data(out_data)
  );
endmodule
