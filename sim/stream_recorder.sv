// SPDX-License-Identifier: MIT
//
// Observer of a stream: writes the beats of one image to beats_<NUMBER>.txt: a line holds the time
// of the clock edge that takes the beat, in ns, and the data, in hexadecimal. Not synthesizable.
//
//   +record_image=<n>  the image, counted from reset; nothing is written when not given
module stream_recorder #(
    int unsigned NUMBER = 0,
    int unsigned BITS = 8,
    int unsigned BEATS = 1  // beats an image
) (
    input logic clk,
    input logic rst_n,
    input logic valid,
    input logic ready,
    input logic [BITS-1:0] data
);
  longint unsigned image = '1;
  longint unsigned beat_q;
  int beats;

  initial begin
    if ($value$plusargs("record_image=%d", image)) begin
      beats = $fopen($sformatf("beats_%0d.txt", NUMBER), "w");
    end else begin
      image = '1;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      beat_q <= '0;
    end else if (valid && ready) begin
      beat_q <= beat_q + 1;
      if (beat_q / 64'(BEATS) == image) $fwrite(beats, "%0d %0h\n", $time, data);
    end
  end

  final if (image != '1) $fclose(beats);
endmodule
