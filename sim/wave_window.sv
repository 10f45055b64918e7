// SPDX-License-Identifier: MIT
//
// Recorder of a waveform, window.fst, from a time after reset to the end of the simulation, with
// the signals that the design was compiled to trace. Not synthesizable.
//
//   +wave_from=<ns>  the time; no waveform when not given
module wave_window (
    input logic clk,
    input logic rst_n
);
  longint unsigned from_ns;
  logic open_q;

  initial if (!$value$plusargs("wave_from=%d", from_ns)) from_ns = '1;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      open_q <= 1'b0;
    end else if (!open_q && $time >= from_ns) begin
      open_q <= 1'b1;
      $dumpfile("window.fst");
      $dumpvars;
    end
  end
endmodule
