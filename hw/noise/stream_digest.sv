// SPDX-License-Identifier: MIT
//
// Hash of the elements of each image: d <- d K + v, mod 2^32, element by element. K is odd, so
// streams that differ in one element have different digests. Streams that differ in several have
// equal ones with a chance of about 2^-32 if the differences reach the low bits. The chance is 2^-8
// if they lie in bits 31..24 alone, and two elements of 32 bits that differ in bit 31 alone always
// cancel, since 2^31 K^n = 2^31. K = 1 mod 16, so its powers repeat after 2^28 elements.
//
// It takes a beat in each clock with `taken`. `digest` is valid for one clock after the image's
// last.

module stream_digest #(
    int unsigned PE = 1,  // elements of a beat
    int unsigned BEATS = 1,  // of an image
    int unsigned WIDTH = 8,  // of an element, at most 32
    bit SIGNED = 1'b1,
    bit BIPOLAR = 1'b0  // in 1 bit: 0 is -1
) (
    input  logic                     clk,
    input  logic                     rst_n,
    input  logic                     taken,
    input  logic [PE-1:0][WIDTH-1:0] data,
    output logic                     digest_valid,
    output logic [     31:0]         digest
);
  localparam logic [31:0] Multiplier = 32'h9e37_79b1;
  logic [31:0] beat_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      digest_valid <= 1'b0;
      beat_q       <= '0;
      digest       <= '0;
    end else begin
      digest_valid <= 1'b0;
      if (taken) begin
        logic [31:0] d;
        d = beat_q == '0 ? '0 : digest;
        for (int l = 0; l < PE; l++) begin
          if (BIPOLAR) d = d * Multiplier + (data[l][0] ? 32'd1 : -32'd1);
          else d = d * Multiplier + (SIGNED ? 32'($signed(data[l])) : 32'(data[l]));
        end
        digest       <= d;
        digest_valid <= beat_q == BEATS - 1;
        beat_q       <= beat_q == BEATS - 1 ? '0 : beat_q + 1;
      end
    end
  end

  if (WIDTH > 32) begin : gen_illegal
    $fatal(1, "stream_digest: an element has at most 32 bits");
  end else if (PE == 0 || BEATS == 0) begin : gen_illegal
    $fatal(1, "stream_digest: PE and BEATS must be 1 or more");
  end else if (BIPOLAR && WIDTH != 1) begin : gen_illegal
    $fatal(1, "stream_digest: -1 and 1 come in 1 bit");
  end
endmodule
