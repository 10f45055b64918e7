// SPDX-License-Identifier: MIT
//
// Philox4x32-10 on one 32-bit multiplier: four random words for each counter.
//
//   (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)), ten times
//
// Three counters are in a ring of six clocks, a half of a round in each: first c2 and c1, then c0
// and c3. The halves of a round take five clocks each, so that a path holds one product of 16 bits,
// or one addition. A counter takes 60 clocks, and they enter 20 clocks apart. `tag` goes with a
// counter to its words.
//
// A counter is taken with in_valid and in_ready; in_valid and counter hold until then. The ring
// stands still while words wait for out_ready. The key must be stable while counters are in it.
// Reset: empty.
//
// Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.

module philox_core #(
    int unsigned TAG_WIDTH = 1
) (
    input  logic                  clk,
    input  logic                  rst_n,
    input  logic [     1:0][31:0] key,
    input  logic                  in_valid,
    output logic                  in_ready,
    input  logic [     3:0][31:0] counter,
    input  logic [TAG_WIDTH-1:0]  in_tag,
    output logic                  out_valid,
    input  logic                  out_ready,
    output logic [     3:0][31:0] words,
    output logic [TAG_WIDTH-1:0]  out_tag
);
  localparam logic [31:0] M0 = 32'hd251_1f53;
  localparam logic [31:0] M1 = 32'hcd9e_8d57;
  localparam logic [31:0] W0 = 32'h9e37_79b9;
  localparam logic [31:0] W1 = 32'hbb67_ae85;

  // rounds of a key are raised by a multiple of W0 and W1
  typedef logic [9:0][1:0][31:0] raises_t;
  function automatic raises_t raises();
    for (int unsigned r = 0; r < 10; r++) raises[r] = {32'(r * W1), 32'(r * W0)};
  endfunction
  localparam raises_t Raises = raises();
  localparam logic [3:0] Rounds = 4'd10;
  localparam logic [4:0] Spacing = 5'd18;

  // the slot that passes the ring's entry, and which half; rounds that its counter has begun
  logic [1:0] slot_q;
  logic second_q, taking_q, en, enters, done;
  logic [2:0] valid_q;
  logic [2:0][3:0] begun_q;
  logic [TAG_WIDTH-1:0] tag_q[3];
  logic [4:0] wait_q;
  assign done      = begun_q[slot_q] == Rounds;
  assign enters    = !valid_q[slot_q] || done;
  assign out_valid = !second_q && valid_q[slot_q] && done;
  assign out_tag   = tag_q[slot_q];
  assign en        = !out_valid || out_ready;
  assign in_ready  = second_q && taking_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      slot_q   <= '0;
      second_q <= 1'b0;
      valid_q  <= '0;
      taking_q <= 1'b0;
      wait_q   <= '0;
    end else if (en) begin
      second_q <= !second_q;
      taking_q <= !second_q && enters && in_valid && wait_q == '0;
      if (second_q) begin
        slot_q <= slot_q == 2'd2 ? '0 : slot_q + 1;
        valid_q[slot_q] <= taking_q || !enters;
        begun_q[slot_q] <= taking_q ? 4'd1 : begun_q[slot_q] + 4'd1;
      end
      if (in_ready) tag_q[slot_q] <= in_tag;
      if (in_ready) wait_q <= Spacing;
      else if (wait_q != '0) wait_q <= wait_q - 1;
    end
  end

  // the key of the half that entered three clocks ago
  logic [3:0] round_q;
  logic half_q;
  logic [31:0] raise_q, part_q, key_q;
  always_ff @(posedge clk) begin
    if (en) begin
      round_q <= enters ? '0 : begun_q[slot_q];
      half_q  <= second_q;
      raise_q <= Raises[round_q][half_q];
      part_q  <= key[half_q];
      key_q   <= part_q + raise_q;
    end
  end

  // a half of a round: operands, products, their sums
  logic [31:0] x_q, y_q, high, low, first_high_q, last_high_q, last_low_q;
  logic [31:0] multiplier, ll_q, lh_q, hl_q, hh_q, mix_q, hh2_q, mix2_q, hh3_q, mix3_q, mix4_q;
  logic [31:0] high_q;
  logic [32:0] middle_q;
  logic [33:0] carried_q;
  logic [15:0] ll2_q, ll2_high_q, ll3_q;
  logic [31:0] low_q;
  assign multiplier = second_q ? M1 : M0;
  assign high = high_q ^ mix4_q;
  assign low = low_q;
  assign words = {low, high, last_low_q, last_high_q};

  always_ff @(posedge clk) begin
    if (en) begin
      if (enters) begin
        x_q <= second_q ? counter[0] : counter[2];
        y_q <= second_q ? counter[3] : counter[1];
      end else begin
        x_q <= second_q ? first_high_q : high;
        y_q <= last_low_q;
      end
      ll_q         <= 32'(x_q[15:0]) * 32'(multiplier[15:0]);
      lh_q         <= 32'(x_q[15:0]) * 32'(multiplier[31:16]);
      hl_q         <= 32'(x_q[31:16]) * 32'(multiplier[15:0]);
      hh_q         <= 32'(x_q[31:16]) * 32'(multiplier[31:16]);
      mix_q        <= y_q;
      middle_q     <= 33'(lh_q) + 33'(hl_q);
      hh2_q        <= hh_q;
      ll2_q        <= ll_q[15:0];
      ll2_high_q   <= ll_q[31:16];
      mix2_q       <= mix_q;
      carried_q    <= 34'(middle_q) + 34'(ll2_high_q);
      hh3_q        <= hh2_q;
      ll3_q        <= ll2_q;
      mix3_q       <= mix2_q ^ key_q;
      high_q       <= hh3_q + 32'(carried_q[33:16]);
      low_q        <= {carried_q[15:0], ll3_q};
      mix4_q       <= mix3_q;
      last_high_q  <= high;
      last_low_q   <= low;
      first_high_q <= last_high_q;
    end
  end
endmodule
