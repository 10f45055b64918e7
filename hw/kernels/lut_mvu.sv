// SPDX-License-Identifier: MIT
//
// Matrix-vector unit by bit planes and population counts, for operands of few bits:
//
//   out[h] = sum over i, j of (+/-) 2^(i+j) countones(weight plane i of row h & activation plane j)
//
// The top plane of a signed operand counts negatively. One beat of weights and one of activations
// a clock; MW / SIMD beats make PE outputs, and MH / PE times that an image's vector, for which
// the activations are kept and replayed. The streams are those of FINN's MVAU, except that a beat
// of weights comes by planes, [PE][WEIGHT_WIDTH][SIMD].
//
// Latency 1 clock behind a row's last beat. It stalls when a row is done and the one before has
// not been taken. Reset: empty. It does not cut the path from m_axis_tready to s_axis_tready, and
// counts and adds within one clock.

module lut_mvu #(
    int unsigned MW = 8,  // elements of a vector
    int unsigned MH = 4,  // rows of the matrix
    int unsigned PE = 2,  // rows side by side, a divisor of MH
    int unsigned SIMD = 4,  // elements a beat, a divisor of MW
    int unsigned WEIGHT_WIDTH = 2,  // signed
    int unsigned ACTIVATION_WIDTH = 2,
    bit SIGNED_ACTIVATIONS = 1'b0,
    int unsigned ACCU_WIDTH = 8,
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
  localparam int unsigned SynapseFolds = MW / SIMD;
  localparam int unsigned NeuronFolds = MH / PE;

  typedef logic [ACTIVATION_WIDTH-1:0][SIMD-1:0] planes_t;
  typedef logic signed [ACCU_WIDTH-1:0] accu_t;

  planes_t kept[SynapseFolds];
  planes_t arriving, activations;
  accu_t sum_q[PE];
  logic [PE-1:0][ACCU_WIDTH-1:0] out_q;
  logic [31:0] synapse_q, neuron_q;
  logic first_row, last_beat, room, fire;

  for (genvar j = 0; j < ACTIVATION_WIDTH; j++) begin : gen_plane
    for (genvar s = 0; s < SIMD; s++) begin : gen_bit
      assign arriving[j][s] = s_axis_tdata[s*ACTIVATION_WIDTH+j];
    end
  end

  assign first_row = neuron_q == '0;
  assign last_beat = synapse_q == SynapseFolds - 1;
  assign room = !last_beat || !m_axis_tvalid || m_axis_tready;
  assign fire = weights_tvalid && room && (!first_row || s_axis_tvalid);
  assign weights_tready = room && (!first_row || s_axis_tvalid);
  assign s_axis_tready = first_row && room && weights_tvalid;
  assign activations = first_row ? arriving : kept[synapse_q];
  assign m_axis_tdata = OutBits'(out_q);

  function automatic accu_t row_sum(input logic [WEIGHT_WIDTH-1:0][SIMD-1:0] w,
                                    input planes_t a);
    accu_t sum, count;
    sum = '0;
    for (int i = 0; i < WEIGHT_WIDTH; i++) begin
      for (int j = 0; j < ACTIVATION_WIDTH; j++) begin
        count = accu_t'($countones(w[i] & a[j])) <<< (i + j);
        if ((i == WEIGHT_WIDTH - 1) != (SIGNED_ACTIVATIONS && j == ACTIVATION_WIDTH - 1)) begin
          sum = sum - count;
        end else begin
          sum = sum + count;
        end
      end
    end
    return sum;
  endfunction

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      synapse_q     <= '0;
      neuron_q      <= '0;
      m_axis_tvalid <= 1'b0;
    end else begin
      if (m_axis_tready) m_axis_tvalid <= 1'b0;
      if (fire) begin
        if (first_row && NeuronFolds > 1) kept[synapse_q] <= arriving;
        synapse_q <= last_beat ? '0 : synapse_q + 1;
        if (last_beat) begin
          neuron_q      <= neuron_q == NeuronFolds - 1 ? '0 : neuron_q + 1;
          m_axis_tvalid <= 1'b1;
        end
        for (int p = 0; p < PE; p++) begin
          accu_t sum;
          sum = row_sum(weights_tdata[p*WEIGHT_WIDTH*SIMD+:WEIGHT_WIDTH*SIMD], activations);
          if (synapse_q != '0) sum = sum + sum_q[p];
          if (last_beat) out_q[p] <= sum;
          else sum_q[p] <= sum;
        end
      end
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk) disable iff (!rst_n)
      m_axis_tvalid && !m_axis_tready |=> m_axis_tvalid && $stable(m_axis_tdata))
  else $error("lut_mvu: the output changed before it was taken");
`endif

  initial begin
    if (PE == 0 || MH % PE != 0) $fatal(1, "lut_mvu: PE must divide MH");
    if (SIMD == 0 || MW % SIMD != 0) $fatal(1, "lut_mvu: SIMD must divide MW");
    if (WEIGHT_WIDTH < 1 || WEIGHT_WIDTH > 8) $fatal(1, "lut_mvu: weights have 1 to 8 bits");
    if (ACTIVATION_WIDTH < 1 || ACTIVATION_WIDTH > 8) begin
      $fatal(1, "lut_mvu: activations have 1 to 8 bits");
    end
  end
endmodule
