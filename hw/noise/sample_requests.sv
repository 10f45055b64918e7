// SPDX-License-Identifier: MIT
//
// The blocks of random words that lanes of a tap need, in the order of their beats: the counter of
// each, and which of its four words are used.
//
//   counter = {0, site and draw, image, block}, of elements 4 block to 4 block + 3
//
// Lanes FIRST_LANE to FIRST_LANE + LANES - 1 of a beat of PE have the elements that begin at
// FIRST_LANE, PE further for each beat. Each execution of a beat has its own blocks; where the
// lanes are the whole beat and it is executed once, beats share blocks across an image. With
// `pattern` a pixel takes the image's place. The draws of a block come one after the other.
//
// It begins with image `image` at each reset, and goes on with each block that is taken; the
// settings must be stable from then on.

module sample_requests
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned PIXELS = 1,
    int unsigned LANES = PE,
    int unsigned FIRST_LANE = 0,
    int unsigned SITE = 0
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  settings_t              active,
    input  logic      [ 1:0]       draws,      // which draws are used
    input  logic      [31:0]       image,
    output logic                   out_valid,
    input  logic                   out_ready,
    output logic      [ 3:0][31:0] counter,
    output logic                   draw,
    output logic      [ 1:0]       first_word,
    output logic      [ 1:0]       last_word
);
  localparam int unsigned Elements = CHANNELS * PIXELS;
  localparam int unsigned Bits = Elements > 4 ? $clog2(Elements) : 3;
  typedef logic [Bits-1:0] element_t;
  localparam element_t FirstOfAll = element_t'(FIRST_LANE);
  localparam bit Whole = LANES == PE;

  // elements of a run: its first, and its last
  element_t start_q, end_q, next_start, next_end, last_start;
  logic [Bits-3:0] block_q;
  logic [31:0] image_q;
  logic [5:0] pass_q;
  logic draw_q, fresh_q;
  logic single, last_run, last_block, last_draw;

  assign single = Whole && active.repeats == '0;  // a run is all elements of an image, or a pixel
  assign last_start = element_t'((active.pattern ? CHANNELS : Elements) - PE + FIRST_LANE);
  assign last_run = single || start_q == last_start;
  assign next_start = last_run ? FirstOfAll : start_q + element_t'(PE);
  assign next_end = next_start + element_t'(LANES - 1);
  assign last_block = block_q == end_q[Bits-1:2];
  assign last_draw = draw_q || !draws[1];

  assign out_valid = !fresh_q && draws != '0;
  assign draw = draw_q;
  assign first_word = block_q == start_q[Bits-1:2] ? start_q[1:0] : 2'd0;
  assign last_word = last_block ? end_q[1:0] : 2'd3;
  always_comb begin
    counter[0] = 32'(block_q);
    counter[1] = active.pattern ? '0 : image_q;
    counter[2] = {16'(SITE), active.pattern, 8'd0, active.pattern ? 6'd0 : pass_q, draw_q};
    counter[3] = '0;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      fresh_q <= 1'b1;
      image_q <= image;
      pass_q  <= '0;
    end else if (fresh_q) begin
      // the settings came with the reset
      fresh_q <= 1'b0;
      start_q <= FirstOfAll;
      end_q   <= single ? element_t'((active.pattern ? CHANNELS : Elements) - 1)
          : element_t'(FIRST_LANE + LANES - 1);
      block_q <= FirstOfAll[Bits-1:2];
      draw_q  <= !draws[0];
    end else if (out_valid && out_ready) begin
      draw_q <= last_draw ? !draws[0] : 1'b1;
      if (last_draw && !last_block) block_q <= block_q + 1;
      if (last_draw && last_block) begin
        pass_q <= pass_q == active.repeats ? '0 : pass_q + 1;
        if (pass_q == active.repeats) begin
          block_q <= next_start[Bits-1:2];
          if (!single) begin
            start_q <= next_start;
            end_q   <= next_end;
          end
          if (last_run) image_q <= image_q + 1;
        end else begin
          block_q <= start_q[Bits-1:2];
        end
      end
    end
  end
endmodule
