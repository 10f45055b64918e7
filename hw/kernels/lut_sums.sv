// SPDX-License-Identifier: MIT
//
// Sums of a matrix-vector unit, of operands of 1 to 16 bits in LUTs, by bit planes:
//
//   out[p] = sum over the beats of a row, i, j of
//            (+/-) 2^(i+j) (weight plane i of row p . activation plane j)
//
// The top plane of a signed operand counts negatively; the bits of a plane mean 0 and 1, or -1 and
// 1 where the operand is bipolar, which has one plane. The dot product of two planes is a count of
// ones: of their AND, or of their XOR if both are bipolar. BY_TABLE uses a table instead
// (distributed arithmetic): the sums of every subset of four activations are computed once per
// beat, and each weight plane of each row selects one of them.
//
// Weights come by planes, [PE][WEIGHT_WIDTH][SIMD], and so do activations,
// [ACTIVATION_WIDTH][SIMD]; for the table these are values, in the order of lut_mvu's stream.
//
// One beat per clock; latency 1 clock after a row's last beat, and counts and sums in one clock. With
// SHORT_PATHS operands, counts, products and sums take a clock each: latency 4. It stalls when a row
// is done and the previous one has not been accepted. Reset: empty. It does not cut the path from
// m_axis_tready to s_axis_tready.

module lut_sums #(
    int unsigned PE = 2,  // rows side by side
    int unsigned SIMD = 4,  // elements a beat
    int unsigned WEIGHT_WIDTH = 2,
    bit SIGNED_WEIGHTS = 1'b1,
    bit BIPOLAR_WEIGHTS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACTIVATION_WIDTH = 2,
    bit SIGNED_ACTIVATIONS = 1'b0,
    bit BIPOLAR_ACTIVATIONS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACCU_WIDTH = 8,  // at most 32
    bit BY_TABLE = 1'b0,
    bit SHORT_PATHS = 1'b0,
    localparam int unsigned OutBits = (PE * ACCU_WIDTH + 7) / 8 * 8
) (
    input  logic                                          clk,
    input  logic                                          rst_n,
    input  logic                                          s_axis_tvalid,
    output logic                                          s_axis_tready,
    input  logic                                          first,  // beat of its row
    input  logic                                          last,
    input  logic [PE-1:0][WEIGHT_WIDTH-1:0][    SIMD-1:0] weights,
    input  logic [             SIMD*ACTIVATION_WIDTH-1:0] activations,
    output logic                                          m_axis_tvalid,
    input  logic                                          m_axis_tready,
    output logic [                           OutBits-1:0] m_axis_tdata
);
  localparam bit Striped = SIMD % ACTIVATION_WIDTH == 0;
  localparam int unsigned Stripe = Striped ? SIMD / ACTIVATION_WIDTH : SIMD;

  // counted at a time: a simulator's register
  localparam int unsigned Word = SIMD < 64 ? SIMD : 64;
  localparam int unsigned CountBits = $clog2(SIMD + 1) + 1;
  localparam int unsigned GroupSize = SIMD < 4 ? SIMD : 4;

  typedef logic [PE-1:0][WEIGHT_WIDTH-1:0][SIMD-1:0] weights_t;
  typedef logic [SIMD*ACTIVATION_WIDTH-1:0] beat_t;
  typedef logic [ACTIVATION_WIDTH-1:0][SIMD-1:0] planes_t;
  // 32 bits each: a simulator's word, of which synthesis keeps what goes out
  typedef logic [PE-1:0][31:0] sums_t;

  sums_t sum_q, products_q;
  logic [PE*ACCU_WIDTH-1:0] out_q;
  logic add, add_first, add_last, room;  // a beat that is added in this clock

  assign room = !add_last || !m_axis_tvalid || m_axis_tready;
  assign s_axis_tready = room;
  assign m_axis_tdata = OutBits'(out_q);

  function automatic int element(input int q);
    return Striped ? q % int'(ACTIVATION_WIDTH) * int'(Stripe) + q / int'(ACTIVATION_WIDTH) : q;
  endfunction

  function automatic int dot(input logic [SIMD-1:0] w, input logic [SIMD-1:0] a);
    int both, all;
    both = 0;
    all = BIPOLAR_WEIGHTS && BIPOLAR_ACTIVATIONS ? int'(SIMD) : 0;
    for (int s = 0; s < SIMD; s += Word) begin
      if (BIPOLAR_WEIGHTS && BIPOLAR_ACTIVATIONS) both -= $countones(Word'(w>>s) ^ Word'(a>>s));
      else both += $countones(Word'(w>>s) & Word'(a>>s));
      if (BIPOLAR_WEIGHTS && !BIPOLAR_ACTIVATIONS) all -= $countones(Word'(a>>s));
      if (BIPOLAR_ACTIVATIONS && !BIPOLAR_WEIGHTS) all -= $countones(Word'(w>>s));
    end
    return BIPOLAR_WEIGHTS || BIPOLAR_ACTIVATIONS ? 2 * both + all : both;
  endfunction

  function automatic int weighed(input int count, input int i, input int j);
    bit minus = (SIGNED_WEIGHTS && i == WEIGHT_WIDTH - 1)
        != (SIGNED_ACTIVATIONS && j == ACTIVATION_WIDTH - 1);
    return (minus ? -count : count) <<< (i + j);
  endfunction

  function automatic sums_t add_counts(input sums_t start, input weights_t w, input planes_t a);
    sums_t sums;
    sums = start;
    for (int p = 0; p < PE; p++) begin
      for (int i = 0; i < WEIGHT_WIDTH; i++) begin
        for (int j = 0; j < ACTIVATION_WIDTH; j++) begin
          sums[p] += weighed(dot(w[p][i], a[j]), i, j);
        end
      end
    end
    return sums;
  endfunction

  function automatic sums_t add_picked(input sums_t start, input weights_t w, input beat_t a);
    sums_t sums;
    int choices[1<<GroupSize];
    int value, picked;
    sums = start;
    for (int g = 0; g < SIMD; g += GroupSize) begin
      choices[0] = 0;
      for (int k = 0; k < GroupSize; k++) begin
        value = 0;
        if (g + k < SIMD) begin
          value = int'(a[element(g+k)*ACTIVATION_WIDTH+:ACTIVATION_WIDTH]);
          if (SIGNED_ACTIVATIONS && a[(element(g+k)+1)*ACTIVATION_WIDTH-1]) begin
            value -= 1 << ACTIVATION_WIDTH;
          end
        end
        for (int c = 0; c < 1 << k; c++) begin
          choices[(1<<k)+c] = choices[c] + value;
          if (BIPOLAR_WEIGHTS) choices[c] -= value;
        end
      end
      for (int p = 0; p < PE; p++) begin
        for (int i = 0; i < WEIGHT_WIDTH; i++) begin
          picked = choices[GroupSize'(w[p][i]>>g)] <<< i;
          if (SIGNED_WEIGHTS && i == WEIGHT_WIDTH - 1) sums[p] -= picked;
          else sums[p] += picked;
        end
      end
    end
    return sums;
  endfunction

  if (SHORT_PATHS) begin : gen_stages
    weights_t weights_q;
    planes_t activations_q;
    logic signed [PE-1:0][WEIGHT_WIDTH-1:0][ACTIVATION_WIDTH-1:0][CountBits-1:0] counts_q;
    // of operands, counts and products
    logic [2:0] valid_q, first_q, last_q;

    assign {add, add_first, add_last} = {valid_q[2], first_q[2], valid_q[2] && last_q[2]};

    always_ff @(posedge clk) begin
      if (!rst_n) valid_q <= '0;
      else if (room) valid_q <= {valid_q[1:0], s_axis_tvalid};
      if (room) begin
        sums_t sums;
        sums = '0;
        for (int p = 0; p < PE; p++) begin
          for (int i = 0; i < WEIGHT_WIDTH; i++) begin
            for (int j = 0; j < ACTIVATION_WIDTH; j++) begin
              counts_q[p][i][j] <= CountBits'(dot(weights_q[p][i], activations_q[j]));
              sums[p] += weighed(int'($signed(counts_q[p][i][j])), i, j);
            end
          end
        end
        {first_q, last_q} <= {first_q[1:0], first, last_q[1:0], last};
        weights_q     <= weights;
        activations_q <= activations;
        products_q    <= sums;
      end
    end
  end else begin : gen_at_once
    assign {add, add_first, add_last} = {s_axis_tvalid, first, last};
    assign products_q = '0;
  end

  // Sums and output are in one clocked block, which a simulator evaluates once a clock. It would
  // evaluate sums in front of a stream_register whenever an input moves.
  always_ff @(posedge clk) begin
    if (add && room) begin
      sums_t sums;
      sums = add_first ? '0 : sum_q;
      if (SHORT_PATHS) begin
        for (int p = 0; p < PE; p++) sums[p] += products_q[p];
      end else begin
        sums = BY_TABLE ? add_picked(sums, weights, activations)
            : add_counts(sums, weights, activations);
      end
      sum_q <= sums;
      if (add_last) begin
        for (int p = 0; p < PE; p++) out_q[p*ACCU_WIDTH+:ACCU_WIDTH] <= ACCU_WIDTH'(sums[p]);
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) m_axis_tvalid <= 1'b0;
    else if (add && add_last && room) m_axis_tvalid <= 1'b1;
    else if (m_axis_tready) m_axis_tvalid <= 1'b0;
  end

  if (BY_TABLE && SHORT_PATHS) begin : gen_illegal
    $fatal(1, "lut_sums: SHORT_PATHS counts, it has no table");
  end
endmodule
