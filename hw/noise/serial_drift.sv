// SPDX-License-Identifier: MIT
//
// Levels of an image's noise, as drift_levels.sv, from one adder that multiplies in 32 steps:
//
//   share(rate) = 1 + rate n, sigma_add = rs(sa share), sigma_mul = rs(sm share), gain = share
//
// An image takes about 140 clocks, while the one before is at work. `ready` says that the levels
// are those of the image that comes next, and `next` is high with its first beat: `sigma_add`,
// `sigma_mul` and `gain` are its levels from the clock after. Without drift they are the settings'
// and always ready.
//
// It begins with image `image` at each reset, with the settings of the clock after it.

module serial_drift
  import noise_tap_pkg::*;
(
    input  logic             clk,
    input  logic             rst_n,
    input  settings_t        active,
    input  uses_t            uses,
    input  logic      [31:0] image,
    output logic             ready,
    input  logic             next,
    output logic      [31:0] sigma_add,
    output logic      [23:0] sigma_mul,
    output logic      [19:0] gain
);
  // one product after the other
  typedef enum logic [2:0] {
    Gain,
    Share,
    Add,
    Mul,
    Done
  } step_e;
  step_e step_q;
  logic [31:0] image_q;
  logic [5:0] bit_q;  // 0: begin, then 32 bits, then the result
  logic signed [33:0] high_q, raised;
  logic [31:0] low_q;
  logic signed [32:0] factor_q;
  logic [19:0] share_q;

  // levels of the next image, and of the one at work
  logic [31:0] next_add_q, add_q;
  logic [23:0] next_mul_q, mul_q;
  logic [19:0] next_gain_q, gain_q;

  assign raised = high_q + (low_q[0] ? 34'(factor_q) : '0);

  // of a product with 32 fractional bits, plus 1: 16 of them, in 0..16
  logic [19:0] share;
  assign share = high_q < 0 ? '0 : high_q[33:4] != '0 ? '1 : {high_q[3:0], low_q[31:16]};

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      step_q  <= Gain;
      bit_q   <= '0;
      image_q <= image;
    end else if (step_q == Done) begin
      if (next) begin
        step_q  <= Gain;
        image_q <= image_q + 1;
      end
    end else if (bit_q == '0) begin
      bit_q <= 6'd1;
    end else if (bit_q <= 6'd32) begin
      bit_q <= bit_q + 1;
    end else begin
      bit_q  <= '0;
      step_q <= step_e'(step_q + 3'd1);
    end
  end

  always_ff @(posedge clk) begin
    if (bit_q == '0) begin
      // what is rounded: 1, or half of the last bit that is kept
      high_q <= step_q inside {Gain, Share} ? 34'sh1_0000_0000 : 34'sd32768;
      unique case (step_q)
        Gain: factor_q <= 33'(active.gain_rate);
        Share: factor_q <= 33'(active.sigma_rate);
        Add: factor_q <= {1'b0, active.sigma_add};
        default: factor_q <= {9'd0, active.sigma_mul};
      endcase
      low_q <= step_q inside {Gain, Share} ? image_q : 32'(share_q);
    end else if (bit_q <= 6'd32) begin
      {high_q, low_q} <= {raised[33], raised, low_q[31:1]};
    end else begin
      unique case (step_q)
        Gain: next_gain_q <= share;
        Share: share_q <= share;
        Add: next_add_q <= high_q[33:16] == '0 ? {high_q[15:0], low_q[31:16]} : '1;
        default: next_mul_q <= high_q[33:8] == '0 ? {high_q[7:0], low_q[31:16]} : '1;
      endcase
    end
    if (next) {add_q, mul_q, gain_q} <= {next_add_q, next_mul_q, next_gain_q};
  end

  assign ready = !uses.drifts || step_q == Done;
  assign sigma_add = uses.drifts ? add_q : active.sigma_add;
  assign sigma_mul = uses.drifts ? mul_q : active.sigma_mul;
  assign gain = gain_q;
endmodule
