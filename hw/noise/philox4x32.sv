// SPDX-License-Identifier: MIT
//
// Philox4x32-10 on a row of counters: four random words for each counter.
//
//   ten rounds of (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0))
//
// Latency 10 enabled clocks, one row a clock. A stage moves only when `en` is high and a row is
// in it. Reset empties the pipeline. The key must hold still while rows are inside.
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

  logic [Rounds-1:0] valid_q;
  logic [BLOCKS-1:0][3:0][31:0] state_q[Rounds];

  function automatic logic [3:0][31:0] round(input logic [3:0][31:0] c, input logic [31:0] k0,
                                             input logic [31:0] k1);
    logic [63:0] p0, p1;
    p0 = 64'(c[0]) * 64'(M0);
    p1 = 64'(c[2]) * 64'(M1);
    return {p0[31:0], p0[63:32] ^ c[3] ^ k1, p1[31:0], p1[63:32] ^ c[1] ^ k0};
  endfunction

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      valid_q <= '0;
    end else if (en && (in_valid || valid_q != '0)) begin
      valid_q <= {valid_q[Rounds-2:0], in_valid};
      if (in_valid) begin
        for (int b = 0; b < BLOCKS; b++) state_q[0][b] <= round(counter[b], key[0], key[1]);
      end
      for (int r = 1; r < Rounds; r++) begin
        if (valid_q[r-1]) begin
          for (int b = 0; b < BLOCKS; b++) begin
            state_q[r][b] <= round(state_q[r-1][b], key[0] + 32'(r) * W0, key[1] + 32'(r) * W1);
          end
        end
      end
    end
  end

  assign words = state_q[Rounds-1];
endmodule
