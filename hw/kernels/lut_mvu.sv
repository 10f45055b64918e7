// SPDX-License-Identifier: MIT
//
// Matrix-vector unit for operands of 1 to 16 bits in LUTs:
//
//   out[h] = sum over the elements s of a vector of (weight[h][s] . activation[s])
//
// This module orders the operands, and lut_sums multiplies and adds them.
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
// Latency 1 clock after a row's last beat, 4 with SHORT_PATHS. It stalls when a row is done and the
// previous one has not been accepted. Reset: empty. It does not cut the path from m_axis_tready to
// s_axis_tready.

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
    bit SHORT_PATHS = 1'b0,  // operands, counts, products and sums take a clock each
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

  // whether sums from a table are fewer than counts of ones, in a simulator
  localparam bit ByTable = !SHORT_PATHS
      && (SIMD + 3) / 4 < ACTIVATION_WIDTH * ((SIMD + 63) / 64);

  typedef logic [SIMD*ACTIVATION_WIDTH-1:0] beat_t;
  typedef logic [ACTIVATION_WIDTH-1:0][SIMD-1:0] planes_t;

  planes_t kept[1<<Place];  // by planes, or in the table's case as it came
  planes_t activations;
  logic [Place-1:0] synapse_q;
  logic [31:0] neuron_q, tile_q;  // the tile counts if the last one is shorter
  logic first_row_q, last_beat, last_row, offered, room, fire;

  assign last_beat = synapse_q
      == Place'((Even || tile_q != Tiles - 1 ? SynapseFolds : LastFolds) - 1);
  assign last_row = neuron_q == NeuronFolds - 1;
  assign offered = weights_tvalid && (!first_row_q || s_axis_tvalid);
  assign weights_tready = room && (!first_row_q || s_axis_tvalid);
  assign s_axis_tready = room && first_row_q && weights_tvalid;
  assign fire = offered && room;

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

  always_comb begin
    activations = 'x;
    if (fire) begin
      activations = kept[synapse_q];
      if (first_row_q) begin
        activations = ByTable ? beat_t'(s_axis_tdata) : to_planes(beat_t'(s_axis_tdata));
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      synapse_q   <= '0;
      neuron_q    <= '0;
      first_row_q <= 1'b1;
      tile_q      <= '0;
    end else if (fire) begin
      if (first_row_q && NeuronFolds > 1) kept[synapse_q] <= activations;
      synapse_q <= last_beat ? '0 : synapse_q + 1;
      if (last_beat) begin
        neuron_q    <= last_row ? '0 : neuron_q + 1;
        first_row_q <= last_row;
        if (!Even && last_row) tile_q <= tile_q == Tiles - 1 ? '0 : tile_q + 1;
      end
    end
  end

  lut_sums #(
      .PE(PE),
      .SIMD(SIMD),
      .WEIGHT_WIDTH(WEIGHT_WIDTH),
      .SIGNED_WEIGHTS(SIGNED_WEIGHTS),
      .BIPOLAR_WEIGHTS(BIPOLAR_WEIGHTS),
      .ACTIVATION_WIDTH(ACTIVATION_WIDTH),
      .SIGNED_ACTIVATIONS(SIGNED_ACTIVATIONS),
      .BIPOLAR_ACTIVATIONS(BIPOLAR_ACTIVATIONS),
      .ACCU_WIDTH(ACCU_WIDTH),
      .BY_TABLE(ByTable),
      .SHORT_PATHS(SHORT_PATHS)
  ) u_sums (
      .clk,
      .rst_n,
      .s_axis_tvalid(offered),
      .s_axis_tready(room),
      .first(synapse_q == '0),
      .last(last_beat),
      .weights(weights_tdata[PE*WEIGHT_WIDTH*SIMD-1:0]),
      .activations,
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

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
