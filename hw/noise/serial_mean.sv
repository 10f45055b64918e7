// SPDX-License-Identifier: MIT
//
// Mean of a lane's executions, rounded, halves up, by a division in one bit per clock:
//
//   mean = floor((sum of v + k / 2) / k)
//
// An execution is taken in each clock with in_valid and in_ready. With the last, `last`, the
// division begins; the next beat's last waits until it is over. out_valid comes SUM_WIDTH + 7
// clocks after the last execution at the earliest, and stays until out_ready. Reset: empty.

module serial_mean #(
    int unsigned SUM_WIDTH = 44
) (
    input  logic                        clk,
    input  logic                        rst_n,
    input  logic        [          5:0] repeats,    // k - 1
    input  logic                        in_valid,
    output logic                        in_ready,
    input  logic                        last,
    input  logic signed [SUM_WIDTH-1:0] v,
    output logic                        out_valid,
    input  logic                        out_ready,
    output logic signed [SUM_WIDTH-1:0] mean
);
  localparam int unsigned TotalWidth = SUM_WIDTH + 6;
  localparam int unsigned CountBits = $clog2(TotalWidth);

  // the sum begins with k / 2
  logic signed [TotalWidth-1:0] total_q, total;
  logic first_q, full_q;
  logic [6:0] k;
  assign k = 7'(repeats) + 7'd1;
  assign total = (first_q ? TotalWidth'(k >> 1) : total_q) + TotalWidth'(v);

  // the remainder of the bits so far, and the rest of the sum with the quotient behind it: a
  // negative sum begins as the remainder k - 1 of a quotient of -1
  logic [6:0] remainder_q;
  logic [TotalWidth-1:0] bits_q;
  logic [CountBits-1:0] left_q;
  logic busy_q;
  logic [7:0] trial, reduced;
  assign trial = {remainder_q, bits_q[TotalWidth-1]};
  assign reduced = trial - 8'(k);
  assign mean = SUM_WIDTH'(bits_q);
  assign in_ready = !full_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      first_q   <= 1'b1;
      full_q    <= 1'b0;
      busy_q    <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      if (in_valid && in_ready) begin
        first_q <= last;
        full_q  <= last;
      end
      if (full_q && !busy_q && !out_valid) begin
        full_q <= 1'b0;
        busy_q <= 1'b1;
      end
      if (busy_q && left_q == '0) begin
        busy_q    <= 1'b0;
        out_valid <= 1'b1;
      end
      if (out_valid && out_ready) out_valid <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (in_valid && in_ready) total_q <= total;
    if (!busy_q && !out_valid) begin
      remainder_q <= total_q[TotalWidth-1] ? 7'(repeats) : '0;
      bits_q      <= {total_q[TotalWidth-2:0], total_q[TotalWidth-1]};
      left_q      <= CountBits'(TotalWidth - 2);
    end else if (busy_q) begin
      remainder_q <= reduced[7] ? trial[6:0] : reduced[6:0];
      bits_q      <= {bits_q[TotalWidth-2:0], !reduced[7]};
      left_q      <= left_q - 1;
    end
  end
endmodule
