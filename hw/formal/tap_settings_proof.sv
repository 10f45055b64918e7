// SPDX-License-Identifier: MIT
//
// Proof of tap_settings: armed settings wait for `swap`, and change together.
//
//   armed     pending from a write of START until `swap`
//   together  the active set changes with `swap` alone, to the shadow set
//   follows   what the tap is told to do is what the active set asks for
//   others    what is written to another tap changes nothing

module tap_settings_proof
  import noise_tap_pkg::*;
(
    input logic            clk,
    input logic            run,
    input logic            cfg_valid,
    input logic     [ 7:0] cfg_site,
    input address_e        cfg_addr,
    input logic     [31:0] cfg_data,
    input logic            swap
);
  localparam int unsigned Site = 5;

  logic rst_n, pending, load_valid, ours, armed_q, reset_q, swapped_q, written_q;
  logic [31:0] start, image_base;
  logic signed [31:0] gain_rate, sigma_rate;
  uses_t uses;
  settings_t active, shadow_q, active_q;
  logic [$clog2(2*gaussian_pkg::Entries)-1:0] load_place;
  logic [gaussian_pkg::BaseBits+gaussian_pkg::FallBits-1:0] load_entry;

  proof_reset u_reset (.*);

  tap_settings #(
      .SITE(Site)
  ) dut (
      .clk,
      .rst_n,
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data,
      .swap,
      .pending,
      .start,
      .image_base,
      .gain_rate,
      .sigma_rate,
      .active,
      .uses,
      .load_valid,
      .load_place,
      .load_entry
  );

  assign ours = cfg_valid && (cfg_site == 8'(Site) || cfg_site == 8'hff);

  always_ff @(posedge clk) begin
    // the tap swaps what waits, and nobody writes to it meanwhile
    waits : assume (!swap || pending);
    rests : assume (!(pending && ours));
    reset_q   <= !rst_n;
    swapped_q <= rst_n && swap;
    written_q <= rst_n && ours;
    {shadow_q, active_q} <= {dut.shadow, active};
    if (!rst_n) armed_q <= 1'b0;
    else if (ours && cfg_addr == Start) armed_q <= 1'b1;
    else if (swap) armed_q <= 1'b0;
    if (rst_n) begin
      follows : assert (uses == uses_of(active));
      armed : assert (pending == armed_q);
      if (!reset_q) begin
        together : assert (active == (swapped_q ? shadow_q : active_q));
        others : assert (written_q || dut.shadow == shadow_q);
      end
    end
  end
endmodule
