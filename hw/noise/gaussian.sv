// SPDX-License-Identifier: MIT
//
// Random words to samples of the distribution in gaussian_pkg, signed, with 12 fractional bits.
//
//   |z| = (base - (fall * t >> PositionBits) + half) >> GuardBits
//
// A row holds words side by side, of which LANES in a row are taken, beginning at `place`.
// Bit 31 of a word is the sign. The leading zeros of the rest pick an octave of the tail
// probability, the next bits a segment of it, and t is the position in the segment.
//
// With LOADABLE, a memory may replace that table: twice as long, for z above the median and then
// for -z below it, so the distribution need not be symmetric. It is written through the `load`
// port, and used by rows with `loaded`; both must be stable while such rows are in the pipeline.
//
// Latency 2 enabled clocks, one row per clock. `in_valid` marks a row; rows advance only with `en`
// high. No reset: the consumer of the samples knows which are valid.
//
// Reference: Lee et al., hierarchical segmentation for hardware inversion.

module gaussian
  import gaussian_pkg::*;
#(
    int unsigned LANES = 1,
    int unsigned WORDS = 4,  // of a row
    bit ALIGNED = 1'b0,  // the place is always 0
    bit LOADABLE = 1'b0,
    localparam int unsigned LoadBits = $clog2(2 * Entries),
    localparam int unsigned EntryBits = BaseBits + FallBits
) (
    input  logic                   clk,
    input  logic                   en,
    input  logic                   in_valid,
    input  logic [WORDS-1:0][31:0] row,
    input  logic [      1:0]       place,
    input  logic                   loaded,
    input  logic                   load_valid,
    input  logic [LoadBits-1:0]    load_place,
    input  logic [EntryBits-1:0]   load_entry,
    output logic [LANES-1:0][15:0] samples    // signed
);
  localparam int unsigned Rest = 30 - SegmentBits - PositionBits;

  logic valid_q;

  function automatic logic [4:0] leading_zeros(input logic [30:0] m);
    logic [31:0] v;
    logic [4:0] count;
    v = {m, 1'b1};
    count = '0;
    if (v[31:16] == '0) begin
      count[4] = 1'b1;
      v = v << 16;
    end
    if (v[31:24] == '0) begin
      count[3] = 1'b1;
      v = v << 8;
    end
    if (v[31:28] == '0) begin
      count[2] = 1'b1;
      v = v << 4;
    end
    if (v[31:30] == '0) begin
      count[1] = 1'b1;
      v = v << 2;
    end
    if (!v[31]) count[0] = 1'b1;
    return count;
  endfunction

  always_ff @(posedge clk) if (en) valid_q <= in_valid;

  logic [EntryBits-1:0] memory_q[2*Entries];
  always_ff @(posedge clk) if (LOADABLE && load_valid) memory_q[load_place] <= load_entry;

  for (genvar l = 0; l < LANES; l++) begin : gen_lane
    logic sign_q;
    logic signed [BaseBits-1:0] base_q;
    logic [FallBits-1:0] fall_q;
    logic [PositionBits-1:0] position_q;
    logic [15:0] sample_q;

    always_ff @(posedge clk) begin
      if (en && in_valid) begin
        logic [31:0] word;
        logic [4:0] octave;
        logic [SegmentBits+4:0] entry;
        logic [SegmentBits+PositionBits-1:0] aligned;  // below the leading one
        word = row[l+(ALIGNED?0 : int'(place))];
        octave = leading_zeros(word[30:0]);
        aligned = (SegmentBits + PositionBits)'((word[30:0] << octave) >> Rest);
        sign_q <= word[31];
        entry = {octave, aligned[PositionBits+:SegmentBits]};
        if (LOADABLE && loaded) {base_q, fall_q} <= memory_q[{word[31], entry}];
        else {base_q, fall_q} <= Table[entry];
        position_q <= aligned[PositionBits-1:0];
      end
    end

    always_ff @(posedge clk) begin
      if (en && valid_q) begin
        logic [FallBits+PositionBits-1:0] drop;
        logic signed [BaseBits-1:0] size;
        drop = (FallBits + PositionBits)'(fall_q) * (FallBits + PositionBits)'(position_q);
        size = base_q - BaseBits'(drop >> PositionBits) + BaseBits'(1 << (GuardBits - 1));
        size = size >>> GuardBits;
        sample_q <= sign_q ? -16'(size) : 16'(size);
      end
    end

    assign samples[l] = sample_q;
  end

  if (LANES > WORDS) begin : gen_illegal
    $fatal(1, "gaussian: a row has a word for each lane");
  end else if (Rest > 30) begin : gen_illegal
    $fatal(1, "gaussian: segment and position need more bits than a word has");
  end
endmodule
