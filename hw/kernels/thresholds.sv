// SPDX-License-Identifier: MIT
//
// Thresholding: counts, for each element, the thresholds of its channel that are not above it.
//
//   out = BIAS + (T_0 <= in) + ... + (T_{STEPS-1} <= in)
//
// A step that falls, of a function such as SiLU, counts if its threshold is above the element. Of a
// falling channel, behind a negative gain, every step does the opposite. Where nothing falls, this
// costs nothing.
//
// The streams are those of FINN's Thresholding: element e of a pixel is lane e mod PE of beat
// e div PE. One beat per clock, all comparisons in parallel, latency 1 clock; the thresholds of a
// beat are one word of a memory that is read at start-up. Reset: empty, at the first channel. It
// does not cut the path from m_axis_tready to s_axis_tready. If there are many steps, FINN's binary
// search needs fewer comparisons.

module thresholds #(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,  // elements a beat, a divisor of CHANNELS
    int unsigned STEPS = 3,  // thresholds of a channel
    int unsigned IN_WIDTH = 8,
    bit IN_SIGNED = 1'b1,
    int unsigned THRESHOLD_WIDTH = 8,
    bit THRESHOLD_SIGNED = 1'b1,
    int BIAS = 0,
    int unsigned OUT_WIDTH = 2,  // must hold every output
    logic [STEPS-1:0] FALLS = '0,  // the steps that fall
    logic [CHANNELS/PE-1:0][PE-1:0] FALLING = '0,  // of each beat: the lanes whose channels fall
    parameter FILE = "",  // hexadecimal, one word a beat, [PE][STEPS], the first lowest
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
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
  localparam int unsigned Folds = CHANNELS / PE;
  localparam int unsigned Wider = IN_WIDTH > THRESHOLD_WIDTH ? IN_WIDTH : THRESHOLD_WIDTH;
  // the lowest and the highest output, added
  localparam logic [OUT_WIDTH-1:0] Ends = OUT_WIDTH'(2 * BIAS + int'(STEPS));
  // one bit more, so that signed and unsigned values compare alike
  typedef logic signed [Wider:0] value_t;
  typedef logic [PE-1:0][STEPS-1:0][THRESHOLD_WIDTH-1:0] row_t;

  row_t memory[Folds];
  logic [PE-1:0][OUT_WIDTH-1:0] counts;
  logic [31:0] fold_q;

  initial if (FILE != "") $readmemh(FILE, memory);

  always_ff @(posedge clk) begin
    if (!rst_n) fold_q <= '0;
    else if (s_axis_tvalid && s_axis_tready) fold_q <= fold_q == Folds - 1 ? '0 : fold_q + 1;
  end

  function automatic logic [OUT_WIDTH-1:0] count(
      input logic [IN_WIDTH-1:0] raw, input logic [STEPS-1:0][THRESHOLD_WIDTH-1:0] steps);
    value_t value, step;
    logic counts_one;
    value = IN_SIGNED ? value_t'($signed(raw)) : value_t'({1'b0, raw});
    count = OUT_WIDTH'(BIAS);
    for (int i = 0; i < STEPS; i++) begin
      step = THRESHOLD_SIGNED ? value_t'($signed(steps[i])) : value_t'({1'b0, steps[i]});
      counts_one = (step <= value) != FALLS[i];
      // Choices are faster in a simulator; a chain of hundreds of them is too deep for synthesis,
      // which makes a tree of sums.
      if (STEPS > 64) count = count + OUT_WIDTH'(counts_one);
      else if (counts_one) count = count + 1;
    end
  endfunction

  always_comb begin
    counts = 'x;
    if (s_axis_tvalid && s_axis_tready) begin
      for (int p = 0; p < PE; p++) begin
        counts[p] = count(s_axis_tdata[p*IN_WIDTH+:IN_WIDTH], memory[fold_q][p]);
        if (FALLING != 0 && FALLING[fold_q][p]) counts[p] = Ends - counts[p];
      end
    end
  end

  stream_register #(
      .WIDTH(PE * OUT_WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid,
      .s_axis_tready,
      .s_axis_tdata(counts),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  if (PE == 0 || CHANNELS % PE != 0) begin : gen_illegal
    $fatal(1, "thresholds: PE must divide CHANNELS");
  end else if (STEPS == 0) begin : gen_illegal
    $fatal(1, "thresholds: a channel has at least one threshold");
  end
endmodule
