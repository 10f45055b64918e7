// SPDX-License-Identifier: MIT
//
// Samples, one per clock, to rows of LANES, the first in the lowest place, of which DEPTH wait.
// Reset: empty.

module sample_rows #(
    int unsigned LANES = 1,
    int unsigned DEPTH = 8
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   in_valid,
    output logic                   in_ready,
    input  logic [     15:0]       sample,
    output logic                   out_valid,
    input  logic                   out_ready,
    output logic [LANES-1:0][15:0] row
);
  logic last;
  logic [LANES-1:0][15:0] whole;

  if (LANES == 1) begin : gen_one
    assign last  = 1'b1;
    assign whole = sample;
  end else begin : gen_more
    localparam int unsigned Bits = $clog2(LANES);
    logic [Bits-1:0] lane_q;
    logic [LANES-1:1][15:0] earlier_q;
    assign last  = lane_q == Bits'(LANES - 1);
    assign whole = {sample, earlier_q};
    always_ff @(posedge clk) begin
      if (!rst_n) lane_q <= '0;
      else if (in_valid && in_ready) lane_q <= last ? '0 : lane_q + 1;
      if (in_valid && in_ready) earlier_q <= whole[LANES-1:1];
    end
  end

  logic fifo_ready;
  assign in_ready = !last || fifo_ready;
  stream_fifo #(
      .DEPTH(DEPTH),
      .WIDTH(16 * LANES)
  ) u_fifo (
      .clk,
      .rst_n,
      .s_axis_tvalid(in_valid && last),
      .s_axis_tready(fifo_ready),
      .s_axis_tdata(whole),
      .m_axis_tvalid(out_valid),
      .m_axis_tready(out_ready),
      .m_axis_tdata(row)
  );
endmodule
