// SPDX-License-Identifier: MIT
//
// Pipelined sum of N arguments: a drop-in for FINN's module of the same name and ports, whose
// constant function below a generate block Verilator 5 does not elaborate.
//
//   sum(t) = arg[0](t - DEPTH) + ... + arg[N-1](t - DEPTH)
//
// Latency DEPTH clocks, one sum per clock. Reset clears the pipeline if RESET_ZERO is set. All
// additions are upstream of the first register; no tree is balanced over the stages.

module add_multi
  import mvu_pkg::*;
#(
    int unsigned N = 4,  // addends
    int unsigned DEPTH = 2,  // pipeline stages
    int unsigned ARG_WIDTH = 8,
    int ARG_LO = 0,  // smallest argument; negative: arguments are signed
    int ARG_HI = 0,  // largest argument; LO = HI = 0: any ARG_WIDTH bits
    bit RESET_ZERO = 1,
    localparam int unsigned SumWidth = sumwidth(N, ARG_WIDTH, longint'(ARG_LO), longint'(ARG_HI))
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 en,
    input  logic [ARG_WIDTH-1:0] arg[N],
    output logic [ SumWidth-1:0] sum
);
  logic [SumWidth-1:0] total;
  always_comb begin
    total = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (ARG_LO < 0) total = total + SumWidth'($signed(arg[i]));
      else total = total + SumWidth'(arg[i]);
    end
  end

  if (DEPTH == 0) begin : gen_direct
    assign sum = total;
  end else begin : gen_pipeline
    logic [SumWidth-1:0] stage_q[DEPTH];
    always_ff @(posedge clk) begin
      if (rst && RESET_ZERO) begin
        stage_q <= '{default: '0};
      end else if (en) begin
        stage_q[0] <= total;
        for (int unsigned i = 1; i < DEPTH; i++) stage_q[i] <= stage_q[i-1];
      end
    end
    assign sum = stage_q[DEPTH-1];
  end
endmodule
