// SPDX-License-Identifier: MIT
//
// Sum of a layer's partial sums, of PLANES of its inputs and TILES of each, saturated to
// OUT_MIN..OUT_MAX:
//
//   out[c] = sum over j, t of 2^(j PLANE_BITS) in[j][t][c]    for each channel c of a pixel
//
// The input has all channels of the first tile, PE a beat, then those of the next, and all tiles of
// the first plane, then those of the next, as lut_mvu gives them behind input_planes. One beat per
// clock; the last tile's beats of the last plane leave as the output, with a latency of 1 clock. It
// stalls there while the previous output has not been accepted. The sums of a pixel are kept, and
// exact. Reset: at the first beat of a pixel, empty. It does not cut the path from m_axis_tready to
// s_axis_tready.

module tile_accumulator #(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,  // lanes, a divisor of CHANNELS
    int unsigned TILES = 3,
    int unsigned PLANES = 1,
    int unsigned PLANE_BITS = 0,  // of which the next plane counts 2^PLANE_BITS times as much
    int unsigned IN_WIDTH = 8,  // signed
    int unsigned OUT_WIDTH = 10,  // signed, at most 32
    logic signed [63:0] OUT_MIN = -64'sd512,
    logic signed [63:0] OUT_MAX = 64'sd511,
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic [ InBits-1:0] s_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready,
    output logic [OutBits-1:0] m_axis_tdata
);
  localparam int unsigned Folds = CHANNELS / PE;
  localparam int unsigned Place = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned Count = TILES > 1 ? $clog2(TILES) : 1;
  localparam int unsigned PlaneCount = PLANES > 1 ? $clog2(PLANES) : 1;
  localparam int unsigned Width = IN_WIDTH + $clog2(TILES * PLANES) + (PLANES - 1) * PLANE_BITS;

  typedef logic signed [Width-1:0] sum_t;

  logic [PE-1:0][Width-1:0] kept[1<<Place];
  logic [PE*OUT_WIDTH-1:0] out_q;
  logic [Place-1:0] fold_q;
  logic [Count-1:0] tile_q;
  logic [PlaneCount-1:0] plane_q;
  logic last_tile, last_sum;

  assign last_tile = tile_q == Count'(TILES - 1);
  assign last_sum = last_tile && plane_q == PlaneCount'(PLANES - 1);
  assign s_axis_tready = !last_sum || !m_axis_tvalid || m_axis_tready;
  assign m_axis_tdata = OutBits'(out_q);

  function automatic logic [OUT_WIDTH-1:0] saturated(input sum_t sum);
    if (64'(sum) < OUT_MIN) return OUT_WIDTH'(OUT_MIN);
    if (64'(sum) > OUT_MAX) return OUT_WIDTH'(OUT_MAX);
    return OUT_WIDTH'(sum);
  endfunction

  // In one clocked block, which a simulator evaluates once a clock, as lut_mvu's.
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      fold_q        <= '0;
      tile_q        <= '0;
      plane_q       <= '0;
      m_axis_tvalid <= 1'b0;
    end else begin
      if (m_axis_tready) m_axis_tvalid <= 1'b0;
      if (s_axis_tvalid && s_axis_tready) begin
        logic [PE-1:0][Width-1:0] sums;
        sums = tile_q == '0 && plane_q == '0 ? '0 : kept[fold_q];
        for (int p = 0; p < PE; p++) begin
          sums[p] += Width'($signed(s_axis_tdata[p*IN_WIDTH+:IN_WIDTH])) << plane_q * PLANE_BITS;
        end
        kept[fold_q] <= sums;
        fold_q <= fold_q == Place'(Folds - 1) ? '0 : fold_q + 1;
        if (fold_q == Place'(Folds - 1)) begin
          tile_q <= last_tile ? '0 : tile_q + 1;
          if (last_tile) plane_q <= last_sum ? '0 : plane_q + 1;
        end
        if (last_sum) begin
          m_axis_tvalid <= 1'b1;
          for (int p = 0; p < PE; p++) begin
            out_q[p*OUT_WIDTH+:OUT_WIDTH] <= saturated(sum_t'(sums[p]));
          end
        end
      end
    end
  end

  stream_checker #(
      .WIDTH(OutBits)
  ) u_checker (
      .clk,
      .rst_n,
      .tvalid(m_axis_tvalid),
      .tready(m_axis_tready),
      .tdata (m_axis_tdata)
  );

  if (PE == 0 || CHANNELS % PE != 0) begin : gen_illegal
    $fatal(1, "tile_accumulator: PE must divide CHANNELS");
  end else if (TILES == 0 || PLANES == 0) begin : gen_illegal
    $fatal(1, "tile_accumulator: there is at least one tile, and one plane");
  end else if (OUT_WIDTH > 32) begin : gen_illegal
    $fatal(1, "tile_accumulator: an output has at most 32 bits");
  end
endmodule
