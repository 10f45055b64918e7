// SPDX-License-Identifier: MIT
//
// Matrix-vector unit for operands of 1 to 16 bits in LUTs, by bit planes:
//
//   out[h] = sum over i, j of (+/-) 2^(i+j) (weight plane i of row h . activation plane j)
//
// The top plane of a signed operand counts negatively; the bits of a plane mean 0 and 1, or -1 and
// 1 where the operand is bipolar, which has one plane. The dot product of two planes is a count of
// ones: of their AND, or of their XOR if both are bipolar. If it is smaller, a table is used
// instead (distributed arithmetic): the sums of every subset of four activations are computed once
// per beat, and each weight plane of each row selects one of them.
//
// One beat of weights and one of activations per clock; MW / SIMD beats make PE outputs, and MH /
// PE times that an image's vector, for which the activations are kept and replayed. The streams are
// those of FINN's MVAU, except that a beat of weights comes by planes, [PE][WEIGHT_WIDTH][SIMD],
// whose bit q belongs to element (q mod ACTIVATION_WIDTH) Stripe + q div ACTIVATION_WIDTH: the
// order in which activations fall into planes by a few shifts and masks.
//
// With ROWS below MW the elements are in tiles of ROWS, the last of which may be shorter, and each
// tile's sums leave apart, in the order of tile, row: out[t][h] sums over the elements of tile t.
// The weights come in the order of tile, row, element, and the activations of one tile are kept.
//
// Latency 1 clock after a row's last beat. It stalls when a row is done and the previous one has
// not been accepted. Reset: empty. It does not cut the path from m_axis_tready to s_axis_tready,
// and counts and adds within one clock.

module lut_mvu #(
    int unsigned MW = 8,  // elements of a vector
    int unsigned MH = 4,  // rows of the matrix
    int unsigned PE = 2,  // rows side by side, a divisor of MH
    int unsigned SIMD = 4,  // elements a beat, a divisor of MW
    int unsigned ROWS = MW,  // elements of a tile, a multiple of SIMD
    int unsigned WEIGHT_WIDTH = 2,
    bit SIGNED_WEIGHTS = 1'b1,
    bit BIPOLAR_WEIGHTS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACTIVATION_WIDTH = 2,
    bit SIGNED_ACTIVATIONS = 1'b0,
    bit BIPOLAR_ACTIVATIONS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACCU_WIDTH = 8,  // at most 32
    localparam int unsigned WeightBits = (PE * SIMD * WEIGHT_WIDTH + 7) / 8 * 8,
    localparam int unsigned InBits = (SIMD * ACTIVATION_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * ACCU_WIDTH + 7) / 8 * 8
) (
    input  logic                  clk,
    input  logic                  rst_n,
    input  logic                  weights_tvalid,
    output logic                  weights_tready,
    input  logic [WeightBits-1:0] weights_tdata,
    input  logic                  s_axis_tvalid,
    output logic                  s_axis_tready,
    input  logic [    InBits-1:0] s_axis_tdata,
    output logic                  m_axis_tvalid,
    input  logic                  m_axis_tready,
    output logic [   OutBits-1:0] m_axis_tdata
);
  localparam int unsigned SynapseFolds = ROWS / SIMD;  // of a tile
  localparam int unsigned Tiles = (MW + ROWS - 1) / ROWS;
  localparam int unsigned LastFolds = (MW - (Tiles - 1) * ROWS) / SIMD;
  localparam bit Even = LastFolds == SynapseFolds;
  localparam int unsigned NeuronFolds = MH / PE;
  localparam int unsigned Place = SynapseFolds > 1 ? $clog2(SynapseFolds) : 1;

  localparam bit Striped = SIMD % ACTIVATION_WIDTH == 0;
  localparam int unsigned Stripe = Striped ? SIMD / ACTIVATION_WIDTH : SIMD;
  localparam logic [SIMD-1:0] Lowest = {Stripe{ACTIVATION_WIDTH'(1)}};

  // counted at a time: a simulator's register
  localparam int unsigned Word = SIMD < 64 ? SIMD : 64;

  localparam int unsigned GroupSize = SIMD < 4 ? SIMD : 4;
  localparam bit ByTable = (SIMD + 3) / 4 < ACTIVATION_WIDTH * ((SIMD + 63) / 64);

  typedef logic [PE-1:0][WEIGHT_WIDTH-1:0][SIMD-1:0] weights_t;
  typedef logic [SIMD*ACTIVATION_WIDTH-1:0] beat_t;
  typedef logic [ACTIVATION_WIDTH-1:0][SIMD-1:0] planes_t;
  // 32 bits each: a simulator's word, of which synthesis keeps what goes out
  typedef logic [PE-1:0][31:0] sums_t;

  planes_t kept[1<<Place];  // by planes, or in the table's case as it came
  sums_t sum_q;
  logic [PE*ACCU_WIDTH-1:0] out_q;
  logic [Place-1:0] synapse_q;
  logic [31:0] neuron_q, tile_q;  // the tile counts if the last one is shorter
  logic first_row_q, last_beat, room, fire;

  assign last_beat = synapse_q
      == Place'((Even || tile_q != Tiles - 1 ? SynapseFolds : LastFolds) - 1);
  assign room = !last_beat || !m_axis_tvalid || m_axis_tready;
  assign weights_tready = room && (!first_row_q || s_axis_tvalid);
  assign s_axis_tready = room && first_row_q && weights_tvalid;
  assign fire = weights_tvalid && weights_tready;
  assign m_axis_tdata = OutBits'(out_q);

  function automatic int element(input int q);
    return Striped ? q % int'(ACTIVATION_WIDTH) * int'(Stripe) + q / int'(ACTIVATION_WIDTH) : q;
  endfunction

  function automatic planes_t to_planes(input beat_t x);
    planes_t a;
    a = '0;
    for (int j = 0; j < ACTIVATION_WIDTH; j++) begin
      if (Striped) begin
        for (int c = 0; c < ACTIVATION_WIDTH; c++) begin
          a[j] |= ((x[c*SIMD+:SIMD] >> j) & Lowest) << c;
        end
      end else begin
        for (int s = 0; s < SIMD; s++) a[j][s] = x[s*ACTIVATION_WIDTH+j];
      end
    end
    return a;
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

  function automatic sums_t add_counts(input sums_t start, input weights_t w, input planes_t a);
    sums_t sums;
    sums = start;
    for (int p = 0; p < PE; p++) begin
      for (int i = 0; i < WEIGHT_WIDTH; i++) begin
        for (int j = 0; j < ACTIVATION_WIDTH; j++) begin
          if ((SIGNED_WEIGHTS && i == WEIGHT_WIDTH - 1)
              != (SIGNED_ACTIVATIONS && j == ACTIVATION_WIDTH - 1)) begin
            sums[p] -= dot(w[p][i], a[j]) <<< (i + j);
          end else begin
            sums[p] += dot(w[p][i], a[j]) <<< (i + j);
          end
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

  // Sums and output are in one clocked block, which a simulator evaluates once a clock. It would
  // evaluate sums in front of a stream_register whenever an input moves.
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      synapse_q     <= '0;
      neuron_q      <= '0;
      first_row_q   <= 1'b1;
      tile_q        <= '0;
      m_axis_tvalid <= 1'b0;
    end else begin
      if (m_axis_tready) m_axis_tvalid <= 1'b0;
      if (fire) begin
        beat_t beat;
        planes_t a;
        sums_t sums;
        beat = s_axis_tdata[SIMD*ACTIVATION_WIDTH-1:0];
        a = kept[synapse_q];
        if (first_row_q) a = ByTable ? beat : to_planes(beat);
        if (first_row_q && NeuronFolds > 1) kept[synapse_q] <= a;
        sums = synapse_q == '0 ? '0 : sum_q;
        if (ByTable) sums = add_picked(sums, weights_tdata[PE*WEIGHT_WIDTH*SIMD-1:0], a);
        else sums = add_counts(sums, weights_tdata[PE*WEIGHT_WIDTH*SIMD-1:0], a);
        sum_q <= sums;
        synapse_q <= last_beat ? '0 : synapse_q + 1;
        if (last_beat) begin
          neuron_q      <= neuron_q == NeuronFolds - 1 ? '0 : neuron_q + 1;
          first_row_q   <= neuron_q == NeuronFolds - 1;
          m_axis_tvalid <= 1'b1;
          if (!Even && neuron_q == NeuronFolds - 1) begin
            tile_q <= tile_q == Tiles - 1 ? '0 : tile_q + 1;
          end
          for (int p = 0; p < PE; p++) out_q[p*ACCU_WIDTH+:ACCU_WIDTH] <= ACCU_WIDTH'(sums[p]);
        end
      end
    end
  end

  stream_checker #(
      .WIDTH(OutBits)
  ) u_checker (
      .clk,
      .rst_n,
      .tvalid(m_axis_tvalid),
      .tready(m_axis_tready),
      .tdata (m_axis_tdata)
  );

  lut_operands #(
      .WEIGHT_WIDTH(WEIGHT_WIDTH),
      .SIGNED_WEIGHTS(SIGNED_WEIGHTS),
      .BIPOLAR_WEIGHTS(BIPOLAR_WEIGHTS),
      .ACTIVATION_WIDTH(ACTIVATION_WIDTH),
      .SIGNED_ACTIVATIONS(SIGNED_ACTIVATIONS),
      .BIPOLAR_ACTIVATIONS(BIPOLAR_ACTIVATIONS),
      .ACCU_WIDTH(ACCU_WIDTH)
  ) u_operands ();

  if (PE == 0 || MH % PE != 0) begin : gen_illegal
    $fatal(1, "lut_mvu: PE must divide MH");
  end else if (SIMD == 0 || MW % SIMD != 0) begin : gen_illegal
    $fatal(1, "lut_mvu: SIMD must divide MW");
  end else if (ROWS == 0 || ROWS > MW || ROWS % SIMD != 0) begin : gen_illegal
    $fatal(1, "lut_mvu: a tile has SIMD to MW elements, a multiple of SIMD");
  end
endmodule
