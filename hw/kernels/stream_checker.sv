// SPDX-License-Identifier: MIT
//
// Assertion that a stream is stable: a valid beat keeps its data until it is taken.
//
// It has no outputs and leaves nothing in synthesis. Simulators check it with assertions on, and
// `noisewalk formal` proves it of every module that has one. A plain assertion in a clocked block
// rather than a property, which open front ends do not read.

module stream_checker #(
    int unsigned WIDTH = 8  // bits of a beat
) (
    input logic             clk,
    input logic             rst_n,
    input logic             tvalid,
    input logic             tready,
    input logic [WIDTH-1:0] tdata
);
`ifndef SYNTHESIS
  logic waiting_q;
  logic [WIDTH-1:0] data_q;

  always_ff @(posedge clk) begin
    waiting_q <= rst_n && tvalid && !tready;
    data_q <= tdata;
    if (rst_n && waiting_q) begin
      stable : assert (tvalid && tdata == data_q)
      else $error("%m: the stream changed before it was taken");
    end
  end
`else
  logic unused_stream;
  assign unused_stream = ^{clk, rst_n, tvalid, tready, tdata};
`endif
endmodule
