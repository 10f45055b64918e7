// SPDX-License-Identifier: MIT
//
// Levels of a beat's noise, which drift with the image number n:
//
//   share(rate) = 1 + rate n, with 16 fractional bits, in 0..16
//   sigma_add = rs(sa share(sigma_rate)), sigma_mul = rs(sm share(sigma_rate))
//   gain = share(gain_rate)
//
// The shares of a beat are stored with `issue` and used with `level`, which comes for each issue in
// turn, at most 16 later; the levels follow a clock after. Without drift they are the settings'.
//
// `image` is the number of the beat's image, `swap` and `first` as in tap_position.sv, and `next`
// is high with the last issue of an image. Reset: empty; shares are defined from the first swap on.

module drift_levels
  import noise_tap_pkg::*;
(
    input  logic             clk,
    input  logic             rst_n,
    input  logic             en,
    input  logic             swap,
    input  logic signed [31:0] gain_rate,   // of the settings that come with `swap`
    input  logic signed [31:0] sigma_rate,
    input  logic      [31:0] first,
    input  settings_t        active,
    input  uses_t            uses,
    input  logic             issue,
    input  logic             next,
    input  logic      [31:0] image,
    input  logic             level,
    output logic      [31:0] sigma_add,
    output logic      [23:0] sigma_mul,
    output logic      [19:0] gain
);
  // rate times image, and what it makes of 1
  logic signed [63:0] gain_change_q, sigma_change_q;
  always_ff @(posedge clk) begin
    if (swap) begin
      gain_change_q  <= 64'(gain_rate) * $signed({32'd0, first});
      sigma_change_q <= 64'(sigma_rate) * $signed({32'd0, first});
    end else if (uses.drifts && next) begin
      gain_change_q  <= image == '1 ? '0 : gain_change_q + 64'(active.gain_rate);
      sigma_change_q <= image == '1 ? '0 : sigma_change_q + 64'(active.sigma_rate);
    end
  end

  function automatic logic [19:0] share_of(input logic signed [63:0] change);
    logic signed [63:0] share;
    share = (change + (64'sd1 <<< 32)) >>> 16;
    if (share < 0) return '0;
    return share > 64'sh0f_ffff ? 20'hf_ffff : 20'(share);
  endfunction

  logic [1:0][19:0] waiting[16];
  logic [3:0] write_q, read_q;
  logic [31:0] drifted_add_q;
  logic [23:0] drifted_mul_q;
  assign sigma_add = uses.drifts ? drifted_add_q : active.sigma_add;
  assign sigma_mul = uses.drifts ? drifted_mul_q : active.sigma_mul;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      write_q <= '0;
      read_q  <= '0;
    end else if (en && uses.drifts) begin
      if (issue) begin
        waiting[write_q] <= {share_of(gain_change_q), share_of(sigma_change_q)};
        write_q <= write_q + 1;
      end
      if (level) begin
        logic [19:0] share;
        logic [51:0] add;
        logic [43:0] mul;
        share = waiting[read_q][0];
        gain <= waiting[read_q][1];
        add = (52'(active.sigma_add) * 52'(share) + 52'd32768) >> 16;
        mul = (44'(active.sigma_mul) * 44'(share) + 44'd32768) >> 16;
        drifted_add_q <= add[51:32] == '0 ? add[31:0] : '1;
        drifted_mul_q <= mul[43:24] == '0 ? mul[23:0] : '1;
        read_q <= read_q + 1;
      end
    end
  end
endmodule
