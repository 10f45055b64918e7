// SPDX-License-Identifier: MIT
//
// Indices of the K largest of LABELS values, the largest first; among equals the lowest index. Of a
// single value (LABELS 1) it is whether the value is 0 or more.
// Compared are value * gain * 2^SHIFT + offset of the index: GAINS[index * GAIN_WIDTH +: GAIN_WIDTH]
// and OFFSETS[index * OFFSET_WIDTH +: OFFSET_WIDTH] in two's complement.
//
// It takes LABELS / PE beats of PE values, where value l of beat b has index b * PE + l, and
// outputs K beats of one index each. It takes one beat per clock, but an image's last beat waits
// until all indices of the previous image have been accepted. Reset: empty.
//
// Equal to FINN's Python execution of LabelSelect (ONNX TopK), ties included. It does not cut the
// combinational path from m_axis_tready to s_axis_tready.

module label_select #(
    int unsigned LABELS = 10,
    int unsigned PE = 2,  // values of a beat, a divisor of LABELS
    int unsigned K = 1,
    int unsigned IN_WIDTH = 16,
    bit IN_SIGNED = 1'b1,
    int unsigned OUT_WIDTH = 8,
    int unsigned SHIFT = 0,
    int unsigned GAIN_WIDTH = 1,  // 1 for gains of 1, whatever GAINS are
    bit [LABELS * GAIN_WIDTH - 1:0] GAINS = '0,
    int unsigned OFFSET_WIDTH = 1,
    bit [LABELS * OFFSET_WIDTH - 1:0] OFFSETS = '0,
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (OUT_WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic [ InBits-1:0] s_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready,
    output logic [OutBits-1:0] m_axis_tdata
);
  localparam int unsigned Beats = LABELS / PE;

  // one more bit than the input, so that signed and unsigned values compare alike, and one for sums
  localparam int unsigned Scaled = IN_WIDTH + GAIN_WIDTH + SHIFT;
  typedef logic signed [(Scaled > OFFSET_WIDTH ? Scaled : OFFSET_WIDTH):0] value_t;

  logic [31:0] beat_q, left_q;
  value_t best_q[K];
  logic [OUT_WIDTH-1:0] index_q[K];
  logic [OUT_WIDTH-1:0] out_q[K];
  logic last_beat, taken;

  assign last_beat = beat_q == Beats - 1;
  assign taken = left_q == '0 || (left_q == 1 && m_axis_tready);
  assign s_axis_tready = !last_beat || taken;
  assign m_axis_tvalid = left_q != '0;
  assign m_axis_tdata = OutBits'(out_q[0]);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      beat_q <= '0;
      left_q <= '0;
    end else begin
      if (m_axis_tvalid && m_axis_tready) begin
        left_q <= left_q - 1;
        for (int k = 1; k < K; k++) out_q[k-1] <= out_q[k];
      end
      if (s_axis_tvalid && s_axis_tready) begin
        value_t best[K];
        logic [OUT_WIDTH-1:0] index[K];
        best  = best_q;
        index = index_q;
        for (int l = 0; l < PE; l++) begin
          value_t value;
          logic [31:0] label;
          logic [IN_WIDTH-1:0] raw;
          raw = s_axis_tdata[l*IN_WIDTH+:IN_WIDTH];
          value = IN_SIGNED ? value_t'($signed(raw)) : value_t'({1'b0, raw});
          label = beat_q * PE + 32'(l);
          if (GAIN_WIDTH > 1) value *= value_t'($signed(GAINS[label*GAIN_WIDTH+:GAIN_WIDTH]));
          value = (value <<< SHIFT) + value_t'($signed(OFFSETS[label*OFFSET_WIDTH+:OFFSET_WIDTH]));
          if (LABELS == 1) label = 32'(value >= 0);
          // insert after all that are as large; unfilled places count as smaller
          for (int k = K - 1; k >= 0; k--) begin
            if (LABELS == 1 || 32'(k) >= label || value > best[k]) begin
              if (k < K - 1) begin
                best[k+1]  = best[k];
                index[k+1] = index[k];
              end
              best[k]  = value;
              index[k] = OUT_WIDTH'(label);
            end
          end
        end
        best_q  <= best;
        index_q <= index;
        beat_q  <= last_beat ? '0 : beat_q + 1;
        if (last_beat) begin
          out_q  <= index;
          left_q <= K;
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

  if (PE == 0 || LABELS % PE != 0) begin : gen_illegal
    $fatal(1, "label_select: PE must divide LABELS");
  end else if (K == 0 || K > LABELS) begin : gen_illegal
    $fatal(1, "label_select: K must be 1 to LABELS");
  end else if (LABELS > 2 ** OUT_WIDTH || LABELS == 1 && OUT_WIDTH == 0) begin : gen_illegal
    $fatal(1, "label_select: OUT_WIDTH cannot hold every index");
  end
endmodule
