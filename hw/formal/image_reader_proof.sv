// SPDX-License-Identifier: MIT
//
// Proof of image_reader: the beats of every image come once, in order, from the right addresses.
//
// The memory answers each request with a word that names its address, so that a beat tells where
// it comes from.
//
//   order     a beat is the next one of its image
//   count     beats come only for images that were asked for
//   bounds    a beat's words are asked for once
//   requests  a request stays until it is granted

module image_reader_proof #(
    int unsigned BEAT_BITS = 8,
    int unsigned BEATS = 5
) (
    input logic        clk,
    input logic        run,
    input logic        start,
    input logic [31:0] address,
    input logic [31:0] images,
    input logic        mem_ready,
    input logic        m_ready
);
  localparam int unsigned Words = (BEAT_BITS + 31) / 32;
  localparam int unsigned Parts = BEAT_BITS <= 8 ? 4 : BEAT_BITS <= 16 ? 2 : 1;
  localparam int unsigned Slot = 32 / Parts;

  logic rst_n, mem_valid, m_valid, coming_q, held_q;
  logic [31:0] images_in, mem_address, asked_q;
  logic [BEAT_BITS-1:0] m_data;

  // content of the word at an address
  function automatic logic [31:0] content(input logic [31:0] at);
    return {8'(at >> 2) ^ 8'h5a, 8'(at >> 2) + 8'd77, ~8'(at >> 2), 8'(at >> 2)};
  endfunction

  proof_reset u_reset (.*);

  image_reader #(
      .BEAT_BITS(BEAT_BITS),
      .BEATS(BEATS)
  ) dut (
      .clk,
      .rst_n,
      .start,
      .address,
      .images,
      .images_in,
      .mem_valid,
      .mem_ready,
      .mem_address,
      .mem_data(coming_q ? content(asked_q) : '1),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata(m_data)
  );

  logic [31:0] left_q, from_q, beat_q;  // images, address of the beat's first word
  logic [ 2:0] part_q;
  logic [Words-1:0][31:0] words;
  logic get, last_beat, last_part;

  always_comb begin
    for (int w = 0; w < Words; w++) words[w] = content(from_q + 4 * w);
  end

  assign get = m_valid && m_ready;
  assign last_beat = beat_q == BEATS - 1;
  assign last_part = part_q == 3'(Parts - 1) || last_beat;

  always_ff @(posedge clk) begin
    coming_q <= rst_n && mem_valid && mem_ready;
    held_q   <= rst_n && mem_valid && !mem_ready;
    asked_q  <= mem_address;
    if (!rst_n) begin
      {left_q, beat_q, part_q} <= '0;
    end else begin
      if (start && left_q == '0) begin
        left_q <= images;
        from_q <= address;
      end else if (get) begin
        part_q <= last_part ? '0 : part_q + 1;
        if (last_part) from_q <= from_q + 4 * Words;
        beat_q <= last_beat ? '0 : beat_q + 1;
        if (last_beat) left_q <= left_q - 1;
      end
    end
    few : assume (images <= 32'd1000);
  end

  localparam int unsigned WordsAnImage = (BEATS * Words + Parts - 1) / Parts;
  logic [31:0] words_left;  // to be asked for
  assign words_left = left_q * WordsAnImage
      - beat_q / Parts * Words - (m_valid ? Words : 0) - dut.asked_q;

  always_ff @(posedge clk) begin
    if (rst_n) begin
      order : assert (!m_valid || m_data == BEAT_BITS'(words >> (Slot * part_q)));
      count : assert (!m_valid || left_q != '0);
      bounds : assert (dut.asked_q <= Words && dut.filled_q + 32'(coming_q) == dut.asked_q);
      requests : assert (!held_q || (mem_valid && mem_address == asked_q));
      parts : assert (dut.parts_q <= 3'(Parts) && (part_q == '0 || m_valid)
          && (!m_valid || part_q == 3'(Parts) - dut.parts_q));
      beats : assert (dut.beat_q == beat_q && beat_q < BEATS && part_q == 3'(beat_q % Parts));
      images_left : assert (dut.images_left_q == left_q && left_q <= 32'd1000);
      answers : assert (dut.coming_q == coming_q);
      addresses : assert (left_q == '0 || dut.address_q
          == from_q + 4 * ((m_valid ? Words : 0) + dut.asked_q));
      rest : assert (dut.to_ask_q * WordsAnImage - dut.word_q == words_left
          && words_left <= 32'd4000 && dut.to_ask_q <= 32'd1000 && dut.word_q < WordsAnImage
          && (dut.to_ask_q != '0 || dut.word_q == '0)
          && (left_q != '0 || dut.asked_q == '0));
    end
  end

  for (genvar w = 0; w < Words; w++) begin : gen_word
    always_ff @(posedge clk) begin
      if (rst_n) begin
        held : assert (!m_valid
            || dut.beat_words_q[w] == 32'((words >> (Slot * part_q)) >> (32 * w)));
        // the words that came lie at the top
        filling : assert (w < Words - dut.filled_q || dut.filling_q[w]
            == content(from_q + 4 * ((m_valid ? Words : 0) + w + dut.filled_q - Words)));
        coming : assert (!coming_q || asked_q == dut.address_q - 4);
      end
    end
  end
endmodule
