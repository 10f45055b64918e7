// SPDX-License-Identifier: MIT
//
// Nearest upsampling of images: each pixel leaves ACROSS times, and each row DOWN times.
//
//   out(row, column) = in(row div DOWN, column div ACROSS)
//
// A pixel is taken when it leaves for the first time, and a memory of one row gives it again. One
// output beat per clock; latency 1 clock. Reset: empty, at an image's first pixel. While pixels
// leave again, the input waits; it does not cut the path from m_axis_tready to s_axis_tready.

module upsampler #(
    int unsigned WIDTH = 8,  // bits of a beat
    int unsigned FOLDS = 2,  // beats of a pixel
    int unsigned COLUMNS = 3,  // pixels of a row
    int unsigned ACROSS = 2,
    int unsigned DOWN = 2,
    localparam int unsigned Bits = (WIDTH + 7) / 8 * 8
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic            s_axis_tvalid,
    output logic            s_axis_tready,
    input  logic [Bits-1:0] s_axis_tdata,
    output logic            m_axis_tvalid,
    input  logic            m_axis_tready,
    output logic [Bits-1:0] m_axis_tdata
);
  logic [WIDTH-1:0] memory[FOLDS * COLUMNS];
  logic [WIDTH-1:0] out;
  logic [31:0] place_q;  // beat of the row
  logic [31:0] fold_q, across_q, down_q;
  logic first, valid, free, pixel_ends, last_across, row_ends;

  assign first = across_q == '0 && down_q == '0;
  assign valid = !first || s_axis_tvalid;
  assign s_axis_tready = free && first;
  assign out = first ? s_axis_tdata[WIDTH-1:0] : memory[place_q];

  assign pixel_ends = fold_q == FOLDS - 1;
  assign last_across = across_q == ACROSS - 1;
  assign row_ends = pixel_ends && last_across && place_q == FOLDS * COLUMNS - 1;

  always_ff @(posedge clk) begin
    if (s_axis_tvalid && s_axis_tready) memory[place_q] <= s_axis_tdata[WIDTH-1:0];
    if (!rst_n) begin
      place_q  <= '0;
      fold_q   <= '0;
      across_q <= '0;
      down_q   <= '0;
    end else if (valid && free) begin
      fold_q <= pixel_ends ? '0 : fold_q + 1;
      if (pixel_ends) across_q <= last_across ? '0 : across_q + 1;
      if (row_ends) place_q <= '0;
      else if (pixel_ends && !last_across) place_q <= place_q - (FOLDS - 1);
      else place_q <= place_q + 1;
      if (row_ends) down_q <= down_q == DOWN - 1 ? '0 : down_q + 1;
    end
  end

  stream_register #(
      .WIDTH(WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid(valid),
      .s_axis_tready(free),
      .s_axis_tdata(out),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  if (WIDTH == 0 || FOLDS == 0 || COLUMNS == 0) begin : gen_illegal
    $fatal(1, "upsampler: a row has at least one pixel, of at least one beat");
  end else if (ACROSS == 0 || DOWN == 0) begin : gen_illegal
    $fatal(1, "upsampler: each pixel leaves at least once");
  end
endmodule
