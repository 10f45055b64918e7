// SPDX-License-Identifier: MIT
//
// Signed product of two numbers plus a constant, in steps of one 18-bit product and one addition:
//
//   product = a b + ADDEND, from the partial products of 17-bit limbs, the lowest first
//
// Latency: the number of partial products, and one more, in enabled clocks; one product per clock.
// No reset: the parent knows which products are valid.

module pipelined_product #(
    int unsigned A_WIDTH = 32,
    int unsigned B_WIDTH = 16,
    longint unsigned ADDEND = 0  // less than 2^36
) (
    input  logic                              clk,
    input  logic                              en,
    input  logic signed [        A_WIDTH-1:0] a,
    input  logic signed [        B_WIDTH-1:0] b,
    output logic signed [A_WIDTH+B_WIDTH-1:0] product
);
  // limbs below the highest are unsigned; the highest has up to 18 bits, signed
  localparam int unsigned Limb = 17;
  localparam int unsigned LimbsA = (A_WIDTH + Limb - 2) / Limb;
  localparam int unsigned LimbsB = (B_WIDTH + Limb - 2) / Limb;
  localparam int unsigned Steps = LimbsA * LimbsB;
  localparam int unsigned SumWidth = 2 * Limb + 4;
  localparam int unsigned LowWidth = Limb * (LimbsA + LimbsB - 1);

  // partial products are numbered by weight, those of equal weight by the limb of a
  function automatic int unsigned limb_of_a(input int unsigned step);
    int unsigned n;
    n = 0;
    for (int unsigned w = 0; w < LimbsA + LimbsB - 1; w++) begin
      for (int unsigned i = 0; i < LimbsA; i++) begin
        if (i <= w && w - i < LimbsB) begin
          if (n == step) return i;
          n++;
        end
      end
    end
    return 0;
  endfunction

  function automatic int unsigned weight(input int unsigned step);
    int unsigned n;
    n = 0;
    for (int unsigned w = 0; w < LimbsA + LimbsB - 1; w++) begin
      for (int unsigned i = 0; i < LimbsA; i++) begin
        if (i <= w && w - i < LimbsB) begin
          if (n == step) return w;
          n++;
        end
      end
    end
    return 0;
  endfunction

  for (genvar s = 0; s < Steps; s++) begin : gen_step
    localparam int unsigned I = limb_of_a(s);
    localparam int unsigned J = weight(s) - I;
    localparam bit Shifts = s > 0 && weight(s) != weight(s == 0 ? 0 : s - 1);

    logic signed [A_WIDTH-1:0] a_s;
    logic signed [B_WIDTH-1:0] b_s;
    logic signed [SumWidth-1:0] earlier, sum_q;
    logic [LowWidth-1:0] low, low_q;
    logic signed [17:0] x, y;
    logic signed [35:0] partial_q;

    if (s == 0) begin : gen_first
      assign a_s = a;
      assign b_s = b;
      assign earlier = SumWidth'(ADDEND);
      assign low = '0;
    end else begin : gen_next
      always_ff @(posedge clk) begin
        if (en) begin
          a_s <= gen_step[s-1].a_s;
          b_s <= gen_step[s-1].b_s;
        end
      end
      assign earlier = Shifts ? gen_step[s-1].sum_q >>> Limb : gen_step[s-1].sum_q;
      always_comb begin
        low = gen_step[s-1].low_q;
        if (Shifts) low[Limb*(weight(s)-1)+:Limb] = gen_step[s-1].sum_q[Limb-1:0];
      end
    end

    assign x = I == LimbsA - 1 ? 18'(a_s >>> (Limb * I)) : {1'b0, Limb'(a_s >>> (Limb * I))};
    assign y = J == LimbsB - 1 ? 18'(b_s >>> (Limb * J)) : {1'b0, Limb'(b_s >>> (Limb * J))};
    always_ff @(posedge clk) begin
      if (en) begin
        partial_q <= x * y;
        sum_q     <= earlier + SumWidth'(partial_q);
        low_q     <= low;
      end
    end
  end

  localparam int unsigned Weights = LimbsA + LimbsB - 2;
  logic [SumWidth+LowWidth-1:0] whole;
  assign whole = ((SumWidth + LowWidth)'(gen_step[Steps-1].sum_q) << (Limb * Weights))
      | (SumWidth + LowWidth)'(gen_step[Steps-1].low_q);
  assign product = (A_WIDTH + B_WIDTH)'(whole);
  logic unused;
  assign unused = &{1'b0, whole};
endmodule
