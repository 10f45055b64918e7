// SPDX-License-Identifier: MIT
//
// Samples of a beat's elements, both draws at once, made ahead by sources that iterate Philox.
//
// One source makes both draws of all lanes in turn. Of several, each makes one draw, and as many
// share the lanes as there are for a draw: SOURCES / 2, or all where no kind multiplies.
//
// The row of a beat stands while `valid`, and is taken with `take`. Draw 0 multiplies, draw 1 adds;
// a draw that is not used is undefined. The settings and `image`, the first of them, must be stable
// while `rst_n` is high. Reset: no samples; they begin with the image's first element.

module iterated_samples
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned PIXELS = 1,
    int unsigned SITE = 0,
    bit MULTIPLIES = 1'b1,
    bit LOADABLE = 1'b1,
    int unsigned CORES = 1,  // of a source
    int unsigned SOURCES = 1,
    localparam int unsigned PlaceBits = $clog2(2 * gaussian_pkg::Entries),
    localparam int unsigned EntryBits = gaussian_pkg::BaseBits + gaussian_pkg::FallBits
) (
    input  logic                                   clk,
    input  logic                                   rst_n,
    input  settings_t                              active,
    input  uses_t                                  uses,
    input  logic      [         31:0]              image,
    input  logic                                   load_valid,
    input  logic      [PlaceBits-1:0]              load_place,
    input  logic      [EntryBits-1:0]              load_entry,
    output logic                                   valid,
    input  logic                                   take,
    output logic      [          1:0][PE-1:0][15:0] samples  // by draw
);
  localparam bit Split = SOURCES > 1 && MULTIPLIES;
  localparam int unsigned Draws = Split ? 2 : 1;  // that have sources of their own
  localparam int unsigned Groups = SOURCES / Draws;
  localparam int unsigned Lanes = PE / Groups;

  logic [1:0] draws;
  logic [Draws-1:0][Groups-1:0] made;
  assign draws = {uses.adds, uses.multiplies};
  assign valid = &made;
  for (genvar s = 0; s < Draws; s++) begin : gen_source
    for (genvar g = 0; g < Groups; g++) begin : gen_group
      logic [1:0][Lanes-1:0][15:0] rows;
      sample_source #(
          .CHANNELS(CHANNELS), .PE(PE), .PIXELS(PIXELS), .LANES(Lanes), .FIRST_LANE(g * Lanes),
          .SITE(SITE), .CORES(CORES), .LOADABLE(LOADABLE && s == Draws - 1)
      ) u_source (
          .clk, .rst_n, .active, .draws(Split ? draws & (2'd1 << s) : draws), .image,
          .load_valid, .load_place, .load_entry,
          .out_valid(made[s][g]), .out_ready(take), .samples(rows)
      );
      for (genvar d = 0; d < 2; d++) begin : gen_draw
        if (!Split || s == d) begin : gen_samples
          assign samples[d][g*Lanes+:Lanes] = rows[d];
        end
      end
    end
  end

  if (SOURCES == 0 || SOURCES % Draws != 0 || PE % Groups != 0) begin : gen_illegal
    $fatal(1, "iterated_samples: a draw's sources must divide its lanes");
  end
endmodule
