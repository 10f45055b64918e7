// SPDX-License-Identifier: MIT
//
// A value, CLOCKS enabled clocks later. No reset.

module delay #(
    int unsigned WIDTH = 8,
    int unsigned CLOCKS = 1
) (
    input  logic             clk,
    input  logic             en,
    input  logic [WIDTH-1:0] in,
    output logic [WIDTH-1:0] out
);
  if (CLOCKS == 0) begin : gen_none
    assign out = in;
    logic unused;
    assign unused = &{1'b0, clk, en};
  end else begin : gen_some
    logic [CLOCKS-1:0][WIDTH-1:0] stage_q;
    always_ff @(posedge clk) if (en) stage_q <= (CLOCKS * WIDTH)'({stage_q, in});
    assign out = stage_q[CLOCKS-1];
  end
endmodule
