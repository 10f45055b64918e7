// SPDX-License-Identifier: MIT
//
// Philox4x32-10 on a row of counters: four random words for each counter.
//
//   ten rounds of (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1,
//                                  lo(M0 c0))
//
// Latency 10 enabled clocks, one row per clock. A stage changes only when `en` is high and it holds
// a row. Reset empties the pipeline. The key must be stable while rows are in the pipeline.
//
// Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.

module philox4x32 #(
    int unsigned BLOCKS = 1  // counters side by side
) (
    input  logic                         clk,
    input  logic                         rst_n,
    input  logic                         en,
    input  logic [      1:0][31:0]       key,
    input  logic                         in_valid,
    input  logic [BLOCKS-1:0][3:0][31:0] counter,
    output logic [BLOCKS-1:0][3:0][31:0] words
);
  localparam int unsigned Rounds = 10;
  localparam logic [31:0] M0 = 32'hd251_1f53;
  localparam logic [31:0] M1 = 32'hcd9e_8d57;
  localparam logic [31:0] W0 = 32'h9e37_79b9;
  localparam logic [31:0] W1 = 32'hbb67_ae85;

  logic [Rounds-1:0] valid;
  logic [Rounds-2:0] valid_q;
  assign valid = {valid_q, in_valid};
  always_ff @(posedge clk) begin
    if (!rst_n) valid_q <= '0;
    else if (en) valid_q <= valid[Rounds-2:0];
  end

  // a register a round, each in a block of its own: a simulator then moves only what is full
  for (genvar r = 0; r < Rounds; r++) begin : gen_round
    logic [BLOCKS-1:0][3:0][31:0] state, state_q;

    if (r == 0) begin : gen_first
      assign state = counter;
    end else begin : gen_next
      assign state = gen_round[r-1].state_q;
    end

    always_ff @(posedge clk) begin
      if (en && valid[r]) begin
        for (int b = 0; b < BLOCKS; b++) begin
          state_q[b] <= {
            32'(64'(state[b][0]) * 64'(M0)),
            32'(64'(state[b][0]) * 64'(M0) >> 32) ^ state[b][3] ^ (key[1] + 32'(r) * W1),
            32'(64'(state[b][2]) * 64'(M1)),
            32'(64'(state[b][2]) * 64'(M1) >> 32) ^ state[b][1] ^ (key[0] + 32'(r) * W0)
          };
        end
      end
    end
  end

  assign words = gen_round[Rounds-1].state_q;
endmodule
