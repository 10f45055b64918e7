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

  // a register a round, all but the last of this block alone, which fills them from the last on: a
  // simulator then moves only what is full, and passes by if nothing is
  logic [BLOCKS-1:0][3:0][31:0] state_q[Rounds-1];
  always_ff @(posedge clk) begin
    if (en && valid != '0) begin
      for (int r = Rounds - 1; r >= 0; r--) begin
        if (valid[r]) begin
          for (int b = 0; b < BLOCKS; b++) begin
            logic [3:0][31:0] s;
            s = r == 0 ? counter[b] : state_q[r-1][b];
            s = {
              32'(64'(s[0]) * 64'(M0)),
              32'(64'(s[0]) * 64'(M0) >> 32) ^ s[3] ^ (key[1] + 32'(r) * W1),
              32'(64'(s[2]) * 64'(M1)),
              32'(64'(s[2]) * 64'(M1) >> 32) ^ s[1] ^ (key[0] + 32'(r) * W0)
            };
            if (r == Rounds - 1) words[b] <= s;
            else state_q[r][b] = s;  // verilog_lint: waive always-ff-non-blocking
          end
        end
      end
    end
  end
endmodule
