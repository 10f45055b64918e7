// SPDX-License-Identifier: MIT
//
// Reads images from memory and streams them into an accelerator.
//
// A beat lies in as many whole words as it needs, or, where it has at most 8 or 16 bits, in a
// quarter or a half of one; lowest bytes first. An image begins at a whole word. `start` takes
// address and number of images. A request is granted in the clock in which `mem_ready` is high,
// and its word comes a clock later. Throughput: a word a clock, and two clocks more a beat. A start
// during a run is ignored.
// Reset: idle.

module image_reader #(
    int unsigned BEAT_BITS = 8,  // whole bytes
    int unsigned BEATS = 1,  // of an image
    localparam int unsigned Words = (BEAT_BITS + 31) / 32,  // of a beat
    localparam int unsigned Parts = BEAT_BITS <= 8 ? 4 : BEAT_BITS <= 16 ? 2 : 1  // beats of a word
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic                 start,
    input  logic [         31:0] address,  // in bytes, of a word
    input  logic [         31:0] images,
    output logic [         31:0] images_in,  // since reset
    output logic                 mem_valid,
    input  logic                 mem_ready,
    output logic [         31:0] mem_address,
    input  logic [         31:0] mem_data,
    output logic                 m_axis_tvalid,
    input  logic                 m_axis_tready,
    output logic [BEAT_BITS-1:0] m_axis_tdata
);
  localparam int unsigned Slot = 32 / Parts;  // bits that a beat of a part of a word takes
  localparam int unsigned WordsAnImage = (BEATS * Words + Parts - 1) / Parts;

  logic [31:0] address_q, images_left_q, beat_q;
  logic [31:0] to_ask_q, word_q;  // images, and words of the first of them that were asked for
  logic [Words-1:0][31:0] filling_q, beat_words_q;
  logic [31:0] asked_q, filled_q;  // words of the beat that is filled
  logic [2:0] parts_q;  // beats that are left in beat_words_q
  logic coming_q, full, taken, last_beat, last_word;

  assign mem_valid     = to_ask_q != '0 && asked_q != Words;
  assign mem_address   = address_q;
  assign full          = filled_q == Words;
  assign m_axis_tvalid = parts_q != '0;
  assign m_axis_tdata  = BEAT_BITS'(beat_words_q);
  assign taken         = m_axis_tvalid && m_axis_tready;
  assign last_beat     = beat_q == BEATS - 1;
  assign last_word     = word_q == WordsAnImage - 1;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      to_ask_q      <= '0;
      word_q        <= '0;
      images_left_q <= '0;
      images_in     <= '0;
      asked_q       <= '0;
      filled_q      <= '0;
      beat_q        <= '0;
      parts_q       <= '0;
      coming_q      <= 1'b0;
    end else begin
      if (start && images_left_q == '0) begin
        address_q     <= address;
        to_ask_q      <= images;
        images_left_q <= images;
      end
      coming_q <= mem_valid && mem_ready;
      if (mem_valid && mem_ready) begin
        address_q <= address_q + 4;
        asked_q   <= asked_q + 1;
        word_q    <= last_word ? '0 : word_q + 1;
        if (last_word) to_ask_q <= to_ask_q - 1;
      end
      if (coming_q) begin
        filling_q <= (32 * Words)'({mem_data, filling_q} >> 32);
        filled_q  <= filled_q + 1;
      end
      if (taken) begin
        beat_words_q <= beat_words_q >> Slot;
        parts_q      <= last_beat ? '0 : parts_q - 1;
        beat_q       <= last_beat ? '0 : beat_q + 1;
        if (last_beat) begin
          images_left_q <= images_left_q - 1;
          images_in     <= images_in + 1;
        end
      end
      if (full && !m_axis_tvalid) begin
        beat_words_q <= filling_q;
        parts_q      <= 3'(Parts);
        asked_q      <= '0;
        filled_q     <= '0;
      end
    end
  end

  if (BEAT_BITS % 8 != 0) begin : gen_illegal
    $fatal(1, "image_reader: a beat has whole bytes");
  end
endmodule
