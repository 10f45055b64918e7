// SPDX-License-Identifier: MIT
//
// Place of the beat at a tap's input: image, beat of the image, execution of the beat, and where
// settings may change.
//
// `boundary` is high while settings wait and the next beat is the first of an image they are for,
// or may be for; no beat may then be accepted. With `due` they are, and the parent raises `swap`
// when its pipeline is empty. The settings' image base is the number of image `start`, and `first`
// the number of the image that comes next; both are compared mod 2^32, a clock ahead. `late`
// is high for a clock after a swap if image `start` had passed.
//
// One execution is issued per clock with `issue`, and with the last of a beat the beat is accepted.
// Reset: image 0, beat 0.

module tap_position #(
    int unsigned BEATS = 1  // of an image
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        issue,
    input  logic [ 5:0] repeats,     // executions of a beat beyond the first
    input  logic        pending,
    input  logic [31:0] start,
    input  logic [31:0] image_base,
    input  logic        swap,
    output logic        boundary,
    output logic        late,
    output logic        due,
    output logic        image_start, // the next execution is the first of an image
    output logic [31:0] first,
    output logic [31:0] image,
    output logic [ 5:0] pass,
    output logic        last_pass,
    output logic        last_beat
);
  localparam int unsigned BeatBits = BEATS > 1 ? $clog2(BEATS) : 1;
  logic [BeatBits-1:0] beat_q;
  logic [31:0] count_q, passed;
  logic image_ends, known_q, reached_q;

  assign last_pass = pass == repeats;
  assign last_beat = beat_q == BeatBits'(BEATS - 1);
  // images that came since the one that the settings were meant for: the count may have wrapped
  assign passed = count_q - start;
  assign first = image_base + passed;
  assign image_start = beat_q == '0 && pass == '0;
  assign image_ends = issue && last_pass && last_beat;
  assign boundary = pending && image_start && (reached_q || !known_q);
  assign due = pending && image_start && reached_q && known_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      count_q <= '0;
      image   <= '0;
      beat_q  <= '0;
      pass    <= '0;
      late    <= 1'b0;
      known_q <= 1'b0;
    end else begin
      if (swap || late) late <= swap && passed != '0;
      if (pending) known_q <= !swap;
      if (issue) begin
        pass <= last_pass ? '0 : pass + 1;
        if (last_pass) beat_q <= last_beat ? '0 : beat_q + 1;
      end
      if (image_ends) begin
        count_q <= count_q + 1;
        image   <= image + 1;
      end
      if (swap) image <= first;
    end
    if (pending) reached_q <= image_ends ? $signed(passed) >= -1 : $signed(passed) >= 0;
  end
endmodule
