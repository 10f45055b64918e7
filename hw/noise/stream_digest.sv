// SPDX-License-Identifier: MIT
//
// Hash of the elements of each image: d <- d K + v, mod 2^32, element by element. K is odd, so
// streams that differ in one element have different digests. Streams that differ in several have
// equal ones with a chance of about 2^-32 if the differences reach the low bits. The chance is 2^-8
// if they lie in bits 31..24 alone, and two elements of 32 bits that differ in bit 31 alone always
// cancel, since 2^31 K^n = 2^31. K = 1 mod 16, so its powers repeat after 2^28 elements.
//
// LANES elements enter per clock, as a sum s weighted with powers of K: d <- d F + s, F = K^LANES.
// The upper half of d follows two clocks behind the lower, which does not depend on it:
//
//   low  <- low F_low + s_low, whose carry is what has more than 16 bits
//   high <- high F_low + (carry + low F_high + s_high)
//
// So a path holds a product of 16 bits and an addition, or the sum of the lanes. LANES = 0 takes
// whole beats, and computes all of it in one clock: what a simulator is fast with.
//
// A beat is taken in a clock with `taken`, which needs `ready`, and the next one PE / LANES clocks
// later at the earliest. `digest_valid` is high for one clock, PE / LANES + 4 clocks after the one
// that takes an image's last beat; `digest` holds until then. With LANES = 0 a beat comes in every
// clock, `digest_valid` in the next, and `digest` is valid in that clock alone. Reset: at an
// image's first beat.

module stream_digest #(
    int unsigned PE = 1,  // elements of a beat
    int unsigned LANES = PE,  // of them that enter per clock, a divisor of PE, or 0
    int unsigned BEATS = 1,  // of an image
    int unsigned WIDTH = 8,  // of an element, at most 32
    bit SIGNED = 1'b1,
    bit BIPOLAR = 1'b0  // in 1 bit: 0 is -1
) (
    input  logic                     clk,
    input  logic                     rst_n,
    output logic                     ready,
    input  logic                     taken,
    input  logic [PE-1:0][WIDTH-1:0] data,
    output logic                     digest_valid,
    output logic [     31:0]         digest
);
  localparam logic [31:0] Multiplier = 32'h9e37_79b1;
  localparam int unsigned BeatBits = BEATS > 1 ? $clog2(BEATS) : 1;

  function automatic logic [31:0] value(input logic [WIDTH-1:0] element);
    if (BIPOLAR) return element[0] ? 32'd1 : -32'd1;
    return SIGNED ? 32'($signed(element)) : 32'(element);
  endfunction

  // of the multiplier
  function automatic logic [31:0] power(input int unsigned n);
    logic [31:0] p;
    p = 32'd1;
    for (int unsigned i = 0; i < PE; i++) if (i < n) p = p * Multiplier;
    return p;
  endfunction

  if (LANES == 0) begin : gen_at_once
    logic [BeatBits-1:0] beat_q;
    assign ready = 1'b1;
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
          for (int l = 0; l < PE; l++) d = d * Multiplier + value(data[l]);
          digest       <= d;
          digest_valid <= beat_q == BeatBits'(BEATS - 1);
          beat_q       <= beat_q == BeatBits'(BEATS - 1) ? '0 : beat_q + 1;
        end
      end
    end
  end else begin : gen_in_steps
    localparam int unsigned Steps = PE / LANES;
    localparam logic [31:0] Factor = power(LANES);

    // the elements that enter, and how many times others of the beat will
    logic [PE-1:0][WIDTH-1:0] elements;
    logic enters, last_step;
    if (Steps == 1) begin : gen_together
      assign ready     = 1'b1;
      assign enters    = taken;
      assign last_step = taken;
      assign elements  = data;
    end else begin : gen_steps
      logic [$clog2(Steps)-1:0] left_q;
      logic [PE-1:0][WIDTH-1:0] elements_q;
      assign ready     = left_q == '0;
      assign enters    = taken || !ready;
      assign last_step = 32'(left_q) == 1;
      assign elements  = ready ? data : elements_q;
      always_ff @(posedge clk) begin
        if (!rst_n) left_q <= '0;
        else if (taken) left_q <= $bits(left_q)'(Steps - 1);
        else if (!ready) left_q <= left_q - 1;
        elements_q <= (PE * WIDTH)'(elements >> (LANES * WIDTH));
      end
    end

    // products, their sum, the lower half, what it passes on: steps that hold them, and if the
    // image's last does
    logic [BeatBits-1:0] beat_q;
    logic last_beat;
    logic [4:1] valid_q, last_q;
    assign last_beat = beat_q == BeatBits'(BEATS - 1);
    always_ff @(posedge clk) begin
      if (!rst_n) {beat_q, valid_q, last_q, digest_valid} <= '0;
      else begin
        if (last_step) beat_q <= last_beat ? '0 : beat_q + 1;
        valid_q      <= {valid_q[3:1], enters};
        last_q       <= {last_q[3:1], last_step && last_beat};
        digest_valid <= last_q[4];
      end
    end

    logic [31:0] product_q[LANES];
    logic [15:0] cross_q[LANES];
    logic [31:0] sum_q;
    logic [15:0] low_q, result_q, result2_q, carry_q, above_q, added_q, high_q;
    always_ff @(posedge clk) begin
      // from the last stage to the first, which is faster to simulate
      if (valid_q[4]) begin
        logic [15:0] upper;
        upper = high_q * Factor[15:0] + added_q;
        high_q <= upper;
        if (last_q[4]) digest <= {upper, result2_q};
      end
      if (valid_q[3]) begin
        added_q   <= carry_q + above_q;
        result2_q <= result_q;
      end
      if (valid_q[2]) begin
        logic [31:0] lower;
        lower = 32'(low_q) * 32'(Factor[15:0]) + 32'(sum_q[15:0]);
        {carry_q, result_q} <= lower;
        above_q             <= low_q * Factor[31:16] + sum_q[31:16];
        low_q               <= lower[15:0];
      end
      if (!rst_n || last_q[4]) high_q <= '0;
      if (!rst_n || last_q[2]) low_q <= '0;
      if (valid_q[1]) begin
        logic [31:0] sum;
        sum = '0;
        for (int l = 0; l < LANES; l++) sum = sum + product_q[l] + {cross_q[l], 16'd0};
        sum_q <= sum;
      end
      if (enters) begin
        for (int l = 0; l < LANES; l++) begin
          logic [31:0] v, weight;
          v = value(elements[l]);
          weight = power(LANES - 1 - l);
          product_q[l] <= 32'(v[15:0]) * 32'(weight[15:0]);
          cross_q[l]   <= v[31:16] * weight[15:0] + v[15:0] * weight[31:16];
        end
      end
    end
  end

  if (WIDTH > 32) begin : gen_illegal
    $fatal(1, "stream_digest: an element has at most 32 bits");
  end else if (PE == 0 || BEATS == 0) begin : gen_illegal
    $fatal(1, "stream_digest: PE and BEATS must be 1 or more");
  end else if (LANES != 0 && PE % LANES != 0) begin : gen_illegal
    $fatal(1, "stream_digest: LANES must divide PE");
  end else if (BIPOLAR && WIDTH != 1) begin : gen_illegal
    $fatal(1, "stream_digest: -1 and 1 come in 1 bit");
  end
endmodule
