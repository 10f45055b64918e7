// SPDX-License-Identifier: MIT
//
// Random words to samples, one word per clock, as gaussian.sv, with its tables in block RAM:
//
//   |z| = (base - (fall * t >> PositionBits) + half) >> GuardBits
//
// With LOADABLE, words with `loaded` use the table that is written through the `load` port; it must
// be stable while such words are in the pipeline. `tag` goes with a word to its sample.
//
// Latency 9 enabled clocks. A path holds one product, one addition or a half of the leading zeros.
// Reset: empty.

module table_samples
  import gaussian_pkg::*;
#(
    bit LOADABLE = 1'b0,
    localparam int unsigned LoadBits = $clog2(2 * Entries),
    localparam int unsigned EntryBits = BaseBits + FallBits
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic                 en,
    input  logic                 in_valid,
    input  logic [         31:0] word,
    input  logic                 in_tag,
    input  logic                 loaded,
    input  logic                 load_valid,
    input  logic [ LoadBits-1:0] load_place,
    input  logic [EntryBits-1:0] load_entry,
    output logic                 out_valid,
    output logic                 out_tag,
    output logic [         15:0] sample       // signed
);
  localparam int unsigned Rest = SegmentBits + PositionBits;
  localparam int unsigned EntryPlaceBits = SegmentBits + 5;

  // bits of the largest fall in the normal table
  function automatic int unsigned fall_bits();
    int unsigned bits;
    bits = 1;
    for (int i = 0; i < Entries; i++) begin
      while (32'(Table[i][FallBits-1:0]) >> bits != 0) bits++;
    end
    return bits;
  endfunction
  localparam int unsigned Fall = LOADABLE ? FallBits : fall_bits();
  localparam int unsigned ToEntry = 4;
  localparam int unsigned ToDrop = ToEntry + (Fall > 17 ? 3 : 2);
  localparam int unsigned Latency = ToDrop + 2;

  logic [Latency-1:0] valid_q, tag_q, sign_q;
  assign out_valid = valid_q[Latency-1];
  assign out_tag   = tag_q[Latency-1];
  always_ff @(posedge clk) begin
    if (!rst_n) valid_q <= '0;
    else if (en) valid_q <= {valid_q[Latency-2:0], in_valid};
    if (en) tag_q <= {tag_q[Latency-2:0], in_tag};
    if (en) sign_q <= {sign_q[Latency-2:0], word[31]};
  end

  // leading zeros, and the bits below the leading one
  logic [31:0] coarse, coarse_q, fine;
  logic [4:3] coarse_octave, coarse_octave_q;
  logic [2:0] fine_octave;
  logic [EntryPlaceBits-1:0] entry_q;
  logic [PositionBits-1:0] position1_q, position2_q, position3_q;
  always_comb begin
    coarse = {word[30:0], 1'b0};
    coarse_octave[4] = coarse[31:16] == '0;
    if (coarse_octave[4]) coarse = coarse << 16;
    coarse_octave[3] = coarse[31:24] == '0;
    if (coarse_octave[3]) coarse = coarse << 8;
    fine = coarse_q;
    fine_octave[2] = fine[31:28] == '0;
    if (fine_octave[2]) fine = fine << 4;
    fine_octave[1] = fine[31:30] == '0;
    if (fine_octave[1]) fine = fine << 2;
    fine_octave[0] = !fine[31];
    if (fine_octave[0]) fine = fine << 1;
  end
  always_ff @(posedge clk) begin
    if (en) begin
      coarse_q                <= coarse;
      coarse_octave_q         <= coarse_octave;
      entry_q                 <= {coarse_octave_q, fine_octave, fine[30-:SegmentBits]};
      position1_q             <= fine[30-SegmentBits-:PositionBits];
      position2_q             <= position1_q;
      position3_q             <= position2_q;
    end
  end

  // the tables, read at a clock edge
  logic [EntryBits-1:0] normal_q, chosen_q;
  always_ff @(posedge clk) if (en) normal_q <= Table[entry_q];
  if (LOADABLE) begin : gen_loadable
    logic [EntryBits-1:0] memory_q[2*Entries];
    logic [EntryBits-1:0] read_q;
    logic [2:0] loaded_q;
    always_ff @(posedge clk) begin
      if (load_valid) memory_q[load_place] <= load_entry;
      if (en) begin
        read_q   <= memory_q[{sign_q[1], entry_q}];
        loaded_q <= {loaded_q[1:0], loaded};
        chosen_q <= loaded_q[2] ? read_q : normal_q;
      end
    end
  end else begin : gen_normal
    always_ff @(posedge clk) if (en) chosen_q <= normal_q;
    logic unused;
    assign unused = &{1'b0, chosen_q, loaded, load_valid, load_place, load_entry};
  end

  // straight line in the segment
  logic signed [Fall+PositionBits+1:0] drop;
  logic signed [BaseBits-1:0] base_q[ToDrop-ToEntry];
  logic signed [BaseBits-1:0] size_q;
  logic signed [15:0] size;
  pipelined_product #(
      .A_WIDTH(Fall + 1),
      .B_WIDTH(PositionBits + 1)
  ) u_drop (
      .clk,
      .en,
      .a({1'b0, chosen_q[Fall-1:0]}),
      .b({1'b0, position3_q}),
      .product(drop)
  );
  assign size = 16'(size_q >>> GuardBits);
  always_ff @(posedge clk) begin
    if (en) begin
      base_q[0] <= chosen_q[FallBits+:BaseBits] + BaseBits'(1 << (GuardBits - 1));
      for (int i = 1; i < ToDrop - ToEntry; i++) base_q[i] <= base_q[i-1];
      size_q <= base_q[ToDrop-ToEntry-1] - BaseBits'(drop >>> PositionBits);
      sample <= sign_q[Latency-2] ? -size : size;
    end
  end

  if (Rest > 31) begin : gen_illegal
    $fatal(1, "table_samples: segment and position need more bits than a word has");
  end
endmodule
