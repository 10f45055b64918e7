// SPDX-License-Identifier: MIT
//
// Samples of lanes of a tap, made ahead of their beats by a few Philox cores in turn.
//
//   requests -> CORES cores of one block in 20 clocks -> words, one per clock -> table -> rows
//
// A row holds the samples of a beat's lanes; each of the draws that are used has its own FIFO of
// rows. `out_valid` says that each has a row, which is taken with `out_ready`. At most 1 sample per
// clock, CORES / 5 where all words of a block are used.
//
// It begins with image `image` at each reset, with the settings of the clock after it, which must
// be stable from then on. Reset: empty.

module sample_source
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned PIXELS = 1,
    int unsigned LANES = PE,
    int unsigned FIRST_LANE = 0,
    int unsigned SITE = 0,
    int unsigned CORES = 1,
    bit LOADABLE = 1'b1,
    localparam int unsigned PlaceBits = $clog2(2 * gaussian_pkg::Entries),
    localparam int unsigned EntryBits = gaussian_pkg::BaseBits + gaussian_pkg::FallBits
) (
    input  logic                                      clk,
    input  logic                                      rst_n,
    input  settings_t                                 active,
    input  logic      [          1:0]                 draws,       // which draws are used
    input  logic      [         31:0]                 image,
    input  logic                                      load_valid,
    input  logic      [PlaceBits-1:0]                 load_place,
    input  logic      [EntryBits-1:0]                 load_entry,
    output logic                                      out_valid,
    input  logic                                      out_ready,
    output logic      [          1:0][LANES-1:0][15:0] samples     // by draw
);
  localparam int unsigned Depth = 8;
  localparam int unsigned CoreBits = CORES > 1 ? $clog2(CORES) : 1;
  localparam logic [CoreBits-1:0] LastCore = CoreBits'(CORES - 1);

  // blocks to the cores in turn, and back in the same turn
  logic request_valid, request_ready, draw, block_valid, block_ready;
  logic [3:0][31:0] counter, block;
  logic [1:0] first_word, last_word;
  logic [4:0] block_tag;
  logic [CORES-1:0] core_ready, core_valid;
  logic [CORES-1:0][3:0][31:0] core_words;
  logic [CORES-1:0][4:0] core_tag;
  logic [CoreBits-1:0] give_q, take_q;

  sample_requests #(
      .CHANNELS(CHANNELS),
      .PE(PE),
      .PIXELS(PIXELS),
      .LANES(LANES),
      .FIRST_LANE(FIRST_LANE),
      .SITE(SITE)
  ) u_requests (
      .clk,
      .rst_n,
      .active,
      .draws,
      .image,
      .out_valid(request_valid),
      .out_ready(request_ready),
      .counter,
      .draw,
      .first_word,
      .last_word
  );

  for (genvar i = 0; i < CORES; i++) begin : gen_core
    philox_core #(
        .TAG_WIDTH(5)
    ) u_core (
        .clk,
        .rst_n,
        .key(active.seed),
        .in_valid(request_valid && give_q == CoreBits'(i)),
        .in_ready(core_ready[i]),
        .counter,
        .in_tag({draw, first_word, last_word}),
        .out_valid(core_valid[i]),
        .out_ready(block_ready && take_q == CoreBits'(i)),
        .words(core_words[i]),
        .out_tag(core_tag[i])
    );
  end
  assign request_ready = core_ready[give_q];
  assign block_valid = core_valid[take_q];
  assign block = core_words[take_q];
  assign block_tag = core_tag[take_q];

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      give_q <= '0;
      take_q <= '0;
    end else begin
      if (request_valid && request_ready) give_q <= give_q == LastCore ? '0 : give_q + 1;
      if (block_valid && block_ready) take_q <= take_q == LastCore ? '0 : take_q + 1;
    end
  end

  // the used words of a block, one after the other, while the next block waits: so the cores do not
  // depend on what becomes of the samples in the same clock
  logic [3:0][31:0] words_q, waiting_q;
  logic [4:0] waiting_tag_q;
  logic [1:0] word_q, last_q;
  logic words_valid_q, waiting_valid_q, words_ready, draw_q, en;
  assign block_ready = !waiting_valid_q;
  assign words_ready = !words_valid_q || (en && word_q == last_q);
  always_ff @(posedge clk) begin
    if (!rst_n) {words_valid_q, waiting_valid_q} <= '0;
    else begin
      if (block_ready) waiting_valid_q <= block_valid;
      else if (words_ready) waiting_valid_q <= 1'b0;
      if (words_ready) words_valid_q <= waiting_valid_q;
    end
    if (block_ready) {waiting_q, waiting_tag_q} <= {block, block_tag};
    if (words_ready) begin
      words_q <= waiting_q;
      {draw_q, word_q, last_q} <= waiting_tag_q;
    end else if (en) begin
      word_q <= word_q + 1;
    end
  end

  logic sample_valid, sample_draw;
  logic [15:0] sample;
  table_samples #(
      .LOADABLE(LOADABLE)
  ) u_table (
      .clk,
      .rst_n,
      .en,
      .in_valid(words_valid_q),
      .word(words_q[word_q]),
      .in_tag(draw_q),
      .loaded(active.loaded && draw_q),
      .load_valid,
      .load_place,
      .load_entry,
      .out_valid(sample_valid),
      .out_tag(sample_draw),
      .sample
  );

  // rows of each draw
  logic [1:0] row_ready, row_valid;
  assign en = !sample_valid || row_ready[sample_draw];
  assign out_valid = (draws & ~row_valid) == '0;
  for (genvar d = 0; d < 2; d++) begin : gen_draw
    sample_rows #(
        .LANES(LANES),
        .DEPTH(Depth)
    ) u_rows (
        .clk,
        .rst_n,
        .in_valid(sample_valid && sample_draw == 1'(d)),
        .in_ready(row_ready[d]),
        .sample,
        .out_valid(row_valid[d]),
        .out_ready(out_ready && draws[d]),
        .row(samples[d])
    );
  end

  if (CORES == 0) begin : gen_illegal
    $fatal(1, "sample_source: CORES must be at least 1");
  end else if (FIRST_LANE + LANES > PE) begin : gen_illegal
    $fatal(1, "sample_source: lanes must be of a beat");
  end
endmodule
