// SPDX-License-Identifier: MIT
//
// The hash of stream_digest.sv from one multiplier, an element per clock:
//
//   d <- d K^PE + sum of v_l K^(PE - 1 - l), mod 2^32
//
// A beat is taken in a clock with `taken`, which needs `ready`; the next PE + 6 clocks later at the
// earliest. `digest` is valid for one clock, PE + 6 clocks after the image's last beat.
// Reset: at an image's first beat.

module serial_digest #(
    int unsigned PE = 1,  // elements of a beat
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

  function automatic logic [31:0] power(input int unsigned n);
    logic [31:0] p;
    p = 32'd1;
    for (int unsigned i = 0; i < PE; i++) if (i < n) p = p * Multiplier;
    return p;
  endfunction

  // step 0: idle; 1: the digest so far is weighted; from 2: the elements; then four until the last
  // is added
  localparam int unsigned LastStep = PE + 5;
  localparam int unsigned StepBits = $clog2(LastStep + 1);
  logic [StepBits-1:0] step_q;
  logic [BeatBits-1:0] beat_q;
  logic [PE-1:0][WIDTH-1:0] elements_q;
  logic [31:0] element, factor_q, weight, weight_q, ll_q, ll2_q, part_q;
  logic [15:0] lh_q, hl_q, cross_q;
  assign ready = step_q == '0;

  always_comb begin
    if (BIPOLAR) element = elements_q[0][0] ? 32'd1 : -32'd1;
    else element = SIGNED ? 32'($signed(elements_q[0])) : 32'(elements_q[0]);
    weight = power(PE);
    for (int l = 0; l < PE; l++) if (step_q == StepBits'(l + 2)) weight = power(PE - 1 - l);
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      step_q       <= '0;
      beat_q       <= '0;
      digest_valid <= 1'b0;
    end else begin
      digest_valid <= step_q == StepBits'(LastStep) && beat_q == BeatBits'(BEATS - 1);
      if (ready) step_q <= StepBits'(taken);
      else step_q <= step_q == StepBits'(LastStep) ? '0 : step_q + 1;
      if (step_q == StepBits'(LastStep)) begin
        beat_q <= beat_q == BeatBits'(BEATS - 1) ? '0 : beat_q + 1;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (ready) elements_q <= data;
    else if (step_q != StepBits'(1)) elements_q <= (PE * WIDTH)'(elements_q >> WIDTH);
    if (step_q == StepBits'(1)) factor_q <= beat_q == '0 ? '0 : digest;
    else factor_q <= element;
    weight_q <= weight;
    ll_q     <= 32'(factor_q[15:0]) * 32'(weight_q[15:0]);
    lh_q     <= factor_q[15:0] * weight_q[31:16];
    hl_q     <= factor_q[31:16] * weight_q[15:0];
    ll2_q    <= ll_q;
    cross_q  <= lh_q + hl_q;
    part_q   <= {ll2_q[31:16] + cross_q, ll2_q[15:0]};
    if (step_q > StepBits'(4)) digest <= digest + part_q;
    else if (step_q > StepBits'(1)) digest <= '0;
  end

  if (WIDTH > 32) begin : gen_illegal
    $fatal(1, "serial_digest: an element has at most 32 bits");
  end else if (PE == 0 || BEATS == 0) begin : gen_illegal
    $fatal(1, "serial_digest: PE and BEATS must be 1 or more");
  end else if (BIPOLAR && WIDTH != 1) begin : gen_illegal
    $fatal(1, "serial_digest: -1 and 1 come in 1 bit");
  end
endmodule
