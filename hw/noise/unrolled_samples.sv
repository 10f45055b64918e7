// SPDX-License-Identifier: MIT
//
// Samples of a beat's elements, both draws at once, with ten Philox rounds in a row.
//
//   counter = {0, site and draw, image, element / 4}, and the word is element mod 4
//
// With `pattern`, the counter holds the channel in place of the element, no image and draws of its
// own. Draw 0 multiplies, draw 1 adds; execution i of a beat has draws 2i and 2i + 1.
//
// Latency 12 enabled clocks, one row of samples per clock. The samples of a draw that is not used
// are undefined. The settings must be stable while rows are in the pipeline. Reset: empty, at
// element 0.

module unrolled_samples
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned PIXELS = 1,
    int unsigned SITE = 0,
    localparam int unsigned PlaceBits = $clog2(2 * gaussian_pkg::Entries),
    localparam int unsigned EntryBits = gaussian_pkg::BaseBits + gaussian_pkg::FallBits
) (
    input  logic                              clk,
    input  logic                              rst_n,
    input  logic                              en,
    input  logic                              issue,
    input  logic                              last_pass,    // the beat's last execution
    input  logic      [          31:0]        image,
    input  logic      [           5:0]        pass,
    input  logic                              words_valid,  // issue, ten enabled clocks later
    input  settings_t                         active,
    input  uses_t                             uses,
    input  logic                              load_valid,
    input  logic      [ PlaceBits-1:0]        load_place,
    input  logic      [ EntryBits-1:0]        load_entry,
    output logic      [        PE-1:0][15:0]  samples[2]    // by draw
);
  // of the first element among the words of a row: a multiple of what PE and 4 have in common
  localparam bit Aligned = PE % 4 == 0;
  localparam int unsigned LastPlace = Aligned ? 0 : PE % 2 == 0 ? 2 : 3;
  localparam int unsigned Blocks = (LastPlace + PE + 3) / 4;
  localparam int unsigned Elements = CHANNELS * PIXELS;

  logic [31:0] element_q, channel_q;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      element_q <= '0;
      channel_q <= '0;
    end else if (issue && last_pass) begin
      element_q <= element_q == Elements - PE ? '0 : element_q + PE;
      channel_q <= channel_q == CHANNELS - PE ? '0 : channel_q + PE;
    end
  end

  logic [1:0] place;
  if (Aligned) begin : gen_aligned
    assign place = '0;
  end else begin : gen_places
    logic [1:0] waiting[16];
    logic [3:0] write_q, read_q;
    assign place = waiting[read_q];
    always_ff @(posedge clk) begin
      if (!rst_n) begin
        write_q <= '0;
        read_q  <= '0;
      end else if (en) begin
        if (issue) begin
          waiting[write_q] <= active.pattern ? channel_q[1:0] : element_q[1:0];
          write_q <= write_q + 1;
        end
        if (words_valid) read_q <= read_q + 1;
      end
    end
  end

  for (genvar d = 0; d < 2; d++) begin : gen_draw
    logic used;
    logic [Blocks-1:0][3:0][31:0] counter, words;
    assign used = d == 0 ? uses.multiplies : uses.adds;
    always_comb begin
      for (int b = 0; b < Blocks; b++) begin
        if (active.pattern) begin
          counter[b] = {32'd0, 16'(SITE), 16'h8000 | 16'(d), 32'd0, (channel_q >> 2) + 32'(b)};
        end else begin
          counter[b] = {32'd0, 16'(SITE), 9'd0, pass, 1'(d), image, (element_q >> 2) + 32'(b)};
        end
      end
    end
    philox4x32 #(
        .BLOCKS(Blocks)
    ) u_philox (
        .clk,
        .rst_n,
        .en,
        .key(active.seed),
        .in_valid(issue && used),
        .counter,
        .words
    );
    gaussian #(
        .LANES(PE),
        .WORDS(4 * Blocks),
        .ALIGNED(Aligned),
        .LOADABLE(d == 1)
    ) u_gaussian (
        .clk,
        .en,
        .in_valid(en && words_valid && used),
        .row(words),
        .place,
        .loaded(active.loaded),
        .load_valid,
        .load_place,
        .load_entry,
        .samples(samples[d])
    );
  end
endmodule
