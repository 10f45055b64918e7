// SPDX-License-Identifier: MIT
//
// Noise on a stream: each element's noise depends only on (seed, site, image, element).
//
//   mul, then add:  v = c + rs((c + o) sm z1) + rs(sa z2)
//   add, then mul:  v = c + n + rs((c + o + n) sm z1)     n = rs(sa z2)
//   drift:          c = rs(g (a + o)) - o, where a = acc << F, and otherwise c = a
//
// F = FRAC, and so many fractional bits have a, c, n, v and the offset o; rs rounds to them. z1 and
// z2 are samples with 12, fresh for each element and image (draws 0 and 1), or with `pattern` the
// same for each channel in every image (draws 2^15 and 2^15 + 1). z2 comes from the normal table,
// or with `loaded` from one that was written before.
//
// sm and sa are registers with 16 fractional bits, but sa has 8 where inputs have more than 17 bits,
// so that it reaches 2^24. When they drift, image n has rs(s sm), rs(s sa). s and g are 1 + rate n,
// with a rate of 32 fractional bits, cut to 16 and held in 0..16.
//
// With a converter of B bits and step s (adc.sv), v becomes the nearest of its codes, times s.
//
// A tap that repeats uses each beat k times, execution i with draws 2i and 2i + 1, and outputs the
// mean of v, rounded, halves up. With ROUND it is rounded to an integer. Then it saturates to
// OUT_MIN..OUT_MAX. Element e of an image is lane e mod PE of beat e div PE.
//
// Settings (tap_settings.sv) are written to a shadow set over the cfg bus and armed by START. They
// take effect before the image of that number, counted from reset; only the tap waits until it is
// empty, and nothing around it drains. cfg_pending is high from the write of START until then; the
// shadow set must not be written meanwhile. A START that is up to 2^31 images in the past takes
// effect at once, and raises cfg_late for a clock; IMAGE_BASE stays the number of image START.
//
// With CORES = 0 a beat takes 16 clocks, k + 16 with k executions, five more with a converter, and
// beats come in each clock, or in k clocks (unrolled_path.sv); a change of the settings takes as
// long. More cores make the same numbers with less logic, for beats that come every few clocks
// (iterated_path.sv); a change then takes some 150 clocks. Reset: disabled, empty, image 0. Noise
// advances with the beats, not with the clock. `digest` hashes the output stream of each image
// (stream_digest.sv).
//
// It does not cut the combinational path from m_axis_tready to s_axis_tready.
// Reference: "Walking Noise" (Borras, Klein, Froening, ECML PKDD 2024) for the noise model.

module noise_tap
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,  // elements of a pixel
    int unsigned PE = 2,  // elements of a beat, a divisor of CHANNELS
    int unsigned PIXELS = 1,  // pixels of an image
    int unsigned IN_WIDTH = 8,
    bit IN_SIGNED = 1'b1,
    int unsigned FRAC = 8,  // F, 1..12
    bit ROUND = 1'b0,
    bit BIPOLAR = 1'b0,  // with ROUND: levels are -1 and 1 alone, parted at 0; in 1 bit, -1 is 0
    int unsigned OUT_WIDTH = 16,  // at most 32
    bit OUT_SIGNED = 1'b1,
    logic signed [63:0] OUT_MIN = -64'sd32768,
    logic signed [63:0] OUT_MAX = 64'sd32767,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,  // o << F of each channel, signed
    int unsigned SITE = 0,  // 0..254
    kinds_t KINDS = '1,  // settings of other kinds stay 0
    int unsigned CORES = 0,  // 0: unrolled_path.sv; more: iterated_path.sv, of so many in a source
    int unsigned SOURCES = 1,  // of samples, for CORES > 0
    int unsigned DIGEST_LANES = 0,  // a divisor of PE, or 0: LANES of stream_digest.sv
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               cfg_valid,
    input  logic [        7:0] cfg_site,      // 255: every tap
    input  logic [        3:0] cfg_addr,
    input  logic [       31:0] cfg_data,
    output logic               cfg_pending,
    output logic               cfg_late,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic [ InBits-1:0] s_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready,
    output logic [OutBits-1:0] m_axis_tdata,
    output logic               digest_valid,
    output logic [       31:0] digest
);
  localparam bit OneBit = BIPOLAR && IN_WIDTH == 1;
  localparam int unsigned Beats = PIXELS * CHANNELS / PE;

  function automatic int unsigned larger(input int unsigned a, input int unsigned b);
    return a > b ? a : b;
  endfunction
  // holds g ((acc << F) + o) plus the largest additive noise, 2^32 * 2^15 / 2^(S + 12 - F), with S
  // fractional bits in sa
  localparam int unsigned Wide = larger(
      larger(IN_WIDTH + FRAC, OFFSET_WIDTH) + 5, 35 + FRAC - sigma_fraction(IN_WIDTH)
  ) + 3;

  // settings, and the table that may take the normal one's place
  settings_t active;
  uses_t uses;
  logic swap, load_valid;
  logic [31:0] start, image_base;
  logic signed [31:0] gain_rate, sigma_rate;  // that wait
  logic [$clog2(2*gaussian_pkg::Entries)-1:0] load_place;
  logic [$bits(gaussian_pkg::Table[0])-1:0] load_entry;
  tap_settings #(
      .SITE(SITE), .KINDS(KINDS)
  ) u_settings (
      .clk, .rst_n, .cfg_valid, .cfg_site, .cfg_addr(address_e'(cfg_addr)), .cfg_data, .swap,
      .pending(cfg_pending), .start, .image_base, .gain_rate, .sigma_rate, .active, .uses,
      .load_valid, .load_place, .load_entry
  );

  // position
  logic issue, ready, empty, boundary, due, image_start, last_pass, last_beat;
  logic [5:0] pass;
  logic [31:0] first, image;
  assign issue = s_axis_tvalid && ready && !boundary;
  assign s_axis_tready = ready && !boundary && last_pass;
  assign swap = due && empty;
  tap_position #(
      .BEATS(Beats)
  ) u_position (
      .clk, .rst_n, .issue, .repeats(active.repeats), .pending(cfg_pending), .start,
      .image_base, .swap, .boundary, .due, .late(cfg_late), .image_start, .first, .image, .pass,
      .last_pass, .last_beat
  );

  // noise
  logic out_valid, out_ready;
  logic [PE-1:0][OUT_WIDTH-1:0] data;
  assign m_axis_tdata = OutBits'(data);
  if (CORES == 0) begin : gen_unrolled
    unrolled_path #(
        .CHANNELS(CHANNELS), .PE(PE), .PIXELS(PIXELS), .IN_WIDTH(IN_WIDTH), .IN_SIGNED(IN_SIGNED),
        .FRAC(FRAC), .ROUND(ROUND), .BIPOLAR(BIPOLAR), .OUT_WIDTH(OUT_WIDTH), .OUT_MIN(OUT_MIN),
        .OUT_MAX(OUT_MAX), .OFFSET_WIDTH(OFFSET_WIDTH), .OFFSETS(OFFSETS), .SITE(SITE), .WIDE(Wide)
    ) u_path (
        .clk, .rst_n, .gain_rate, .sigma_rate, .active, .uses, .load_valid, .load_place,
        .load_entry, .swap, .first, .image, .pass, .last_pass, .last_beat, .ready, .empty,
        .issue, .in_data(s_axis_tdata), .out_valid, .out_ready, .out_data(data)
    );
    logic unused;
    assign unused = image_start;
  end else begin : gen_iterated
    iterated_path #(
        .CHANNELS(CHANNELS), .PE(PE), .PIXELS(PIXELS), .IN_WIDTH(IN_WIDTH), .IN_SIGNED(IN_SIGNED),
        .FRAC(FRAC), .ROUND(ROUND), .BIPOLAR(BIPOLAR), .OUT_WIDTH(OUT_WIDTH), .OUT_MIN(OUT_MIN),
        .OUT_MAX(OUT_MAX), .OFFSET_WIDTH(OFFSET_WIDTH), .OFFSETS(OFFSETS), .SITE(SITE), .WIDE(Wide),
        .KINDS(KINDS), .CORES(CORES), .SOURCES(SOURCES)
    ) u_path (
        .clk, .rst_n, .active, .uses, .load_valid, .load_place, .load_entry, .swap, .first,
        .image_start, .last_pass, .ready, .empty, .issue, .in_data(s_axis_tdata), .out_valid,
        .out_ready, .out_data(data)
    );
    logic unused;
    assign unused = &{1'b0, gain_rate, sigma_rate, image, pass, last_beat};
  end

  // digest of the output
  logic taken, digest_ready;
  assign m_axis_tvalid = out_valid && digest_ready;
  assign out_ready = m_axis_tready && digest_ready;
  assign taken = m_axis_tvalid && m_axis_tready;
  stream_digest #(
      .PE(PE), .LANES(DIGEST_LANES), .BEATS(Beats), .WIDTH(OUT_WIDTH), .SIGNED(OUT_SIGNED),
      .BIPOLAR(OneBit)
  ) u_digest (
      .clk, .rst_n, .ready(digest_ready), .taken, .data, .digest_valid, .digest
  );

`ifndef SYNTHESIS
  assert property (@(posedge clk) disable iff (!rst_n)
      m_axis_tvalid && !m_axis_tready |=> m_axis_tvalid && $stable(m_axis_tdata))
  else $error("noise_tap: the output changed before it was taken");
`endif

  if (PE == 0 || CHANNELS % PE != 0) begin : gen_illegal
    $fatal(1, "noise_tap: PE must divide CHANNELS");
  end else if (PIXELS == 0) begin : gen_illegal
    $fatal(1, "noise_tap: an image has at least one pixel");
  end else if (FRAC < 1 || FRAC > 12) begin : gen_illegal
    $fatal(1, "noise_tap: FRAC must be 1 to 12");
  end else if (OUT_WIDTH > 32) begin : gen_illegal
    $fatal(1, "noise_tap: the output has at most 32 bits an element");
  end else if (OneBit && (!ROUND || OUT_WIDTH != 1)) begin : gen_illegal
    $fatal(1, "noise_tap: what comes in 1 bit leaves rounded and in 1 bit");
  end else if (SITE > 254) begin : gen_illegal
    $fatal(1, "noise_tap: SITE must be 0 to 254");
  end
endmodule
