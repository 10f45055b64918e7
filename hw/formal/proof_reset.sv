// SPDX-License-Identifier: MIT
//
// Reset of a proof: active in the first clock, and later whenever `run`, a free input, is low.

module proof_reset (
    input  logic clk,
    input  logic run,
    output logic rst_n
);
  logic started_q = 1'b0;
  always_ff @(posedge clk) started_q <= 1'b1;
  assign rst_n = started_q && run;
endmodule
