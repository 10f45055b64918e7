// SPDX-License-Identifier: MIT
//
// Proof of tile_accumulator: every channel of every pixel leaves once, in order, as the saturated
// sum of its planes' tiles.

module tile_accumulator_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  localparam int unsigned Folds = 2;
  localparam int unsigned Tiles = 2;
  localparam int unsigned Planes = 2;
  localparam int unsigned Sums = Tiles * Planes;

  logic rst_n, s_ready, m_valid;
  logic [7:0] m_data;
  logic fold_q;
  logic [1:0] part_q;  // plane and tile
  logic [2:0] values_q[Folds][Sums];  // of the pixel so far
  int sum;

  proof_reset u_reset (.*);

  tile_accumulator #(
      .CHANNELS(Folds),
      .PE(1),
      .TILES(Tiles),
      .PLANES(Planes),
      .PLANE_BITS(1),
      .IN_WIDTH(3),
      .OUT_WIDTH(4),
      .OUT_MIN(-64'sd6),
      .OUT_MAX(64'sd7)
  ) dut (
      .clk,
      .rst_n,
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tdata (s_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata (m_data)
  );

  // of a channel's first parts
  function automatic int partial(input logic fold, input int parts);
    int found;
    found = 0;
    for (int t = 0; t < Sums; t++) begin
      if (t < parts) found += int'($signed(values_q[fold][t])) <<< (t / Tiles);
    end
    return found;
  endfunction

  always_comb begin
    sum = partial(fold_q, Sums - 1) + (int'($signed(s_data[2:0])) <<< 1);
    if (sum < -6) sum = -6;
    if (sum > 7) sum = 7;
  end

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(s_valid && s_ready && part_q == 2'(Sums - 1)),
      .expected({4'b0, 4'(sum)}),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {fold_q, part_q} <= '0;
    end else if (s_valid && s_ready) begin
      fold_q <= !fold_q;
      if (fold_q) part_q <= part_q + 1;
      values_q[fold_q][part_q] <= s_data[2:0];
    end
    if (rst_n) begin
      place : assert (dut.fold_q == fold_q && {dut.plane_q, dut.tile_q} == part_q);
    end
  end

  for (genvar f = 0; f < Folds; f++) begin : gen_kept
    logic [1:0] added;  // parts in the sum that is kept
    assign added = part_q + 2'(fold_q && f == 0);
    always_ff @(posedge clk) begin
      if (rst_n && added != '0) begin
        kept : assert (int'($signed(dut.kept[f][0])) == partial(1'(f), int'(added)));
      end
    end
  end
endmodule
