// SPDX-License-Identifier: MIT
//
// Vector-vector unit of a depth-wise convolution, for operands of 1 to 16 bits, in LUTs:
//
//   out[c] = sum over the places k of a window of (weight[c][k] . activation[k][c])
//
// Each product is a sum of the wider operand, shifted, for each bit of the narrower one; the top
// bit of a signed operand counts negatively, and a bit of a bipolar one means -1 or 1.
//
// One beat of weights and one of activations per clock; MW / SIMD beats make PE outputs. The
// streams are those of FINN's VVAU: a beat of weights is [PE][SIMD], one of activations [SIMD][PE],
// PE channels at a time, as FINN's sliding window gives them in its depth-wise order.
//
// Latency 1 clock after a window's last beat. It stalls when a window is done and the previous one
// has not been accepted. Reset: empty. It does not cut the path from m_axis_tready to
// s_axis_tready, and multiplies and adds within one clock.

module lut_vvu #(
    int unsigned MW = 9,  // places of a window
    int unsigned PE = 2,  // channels side by side
    int unsigned SIMD = 1,  // places a beat, a divisor of MW
    int unsigned WEIGHT_WIDTH = 2,
    bit SIGNED_WEIGHTS = 1'b1,
    bit BIPOLAR_WEIGHTS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACTIVATION_WIDTH = 2,
    bit SIGNED_ACTIVATIONS = 1'b0,
    bit BIPOLAR_ACTIVATIONS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACCU_WIDTH = 8,  // at most 32
    localparam int unsigned WeightBits = (PE * SIMD * WEIGHT_WIDTH + 7) / 8 * 8,
    localparam int unsigned InBits = (PE * SIMD * ACTIVATION_WIDTH + 7) / 8 * 8,
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
  localparam int unsigned Folds = MW / SIMD;
  localparam int unsigned Place = Folds > 1 ? $clog2(Folds) : 1;
  localparam bit FewerWeightBits = BIPOLAR_WEIGHTS
      || (!BIPOLAR_ACTIVATIONS && WEIGHT_WIDTH <= ACTIVATION_WIDTH);

  typedef logic [WEIGHT_WIDTH-1:0] weight_t;
  typedef logic [ACTIVATION_WIDTH-1:0] activation_t;
  // holds that of two unsigned operands
  typedef logic signed [WEIGHT_WIDTH+ACTIVATION_WIDTH:0] product_t;
  // 32 bits each: a simulator's word, of which synthesis keeps what goes out
  typedef logic [PE-1:0][31:0] sums_t;

  sums_t sum_q, sums_d;
  logic [PE-1:0][ACCU_WIDTH-1:0] out;
  logic [Place-1:0] place_q;
  logic last_beat, free, room, fire;

  assign last_beat = place_q == Place'(Folds - 1);
  assign room = !last_beat || free;
  assign weights_tready = room && s_axis_tvalid;
  assign s_axis_tready = room && weights_tvalid;
  assign fire = room && weights_tvalid && s_axis_tvalid;

  function automatic product_t product(input weight_t w, input activation_t a);
    product_t weight, activation, sum;
    weight = SIGNED_WEIGHTS ? product_t'($signed(w)) : product_t'(w);
    activation = SIGNED_ACTIVATIONS ? product_t'($signed(a)) : product_t'(a);
    if (BIPOLAR_ACTIVATIONS) activation = 2 * activation - 1;
    if (BIPOLAR_WEIGHTS) return w[0] ? activation : -activation;
    if (BIPOLAR_ACTIVATIONS) return a[0] ? weight : -weight;
    sum = 0;
    if (FewerWeightBits) begin
      for (int i = 0; i < WEIGHT_WIDTH; i++) begin
        if (SIGNED_WEIGHTS && i == WEIGHT_WIDTH - 1) sum -= w[i] ? activation <<< i : 0;
        else sum += w[i] ? activation <<< i : 0;
      end
    end else begin
      for (int i = 0; i < ACTIVATION_WIDTH; i++) begin
        if (SIGNED_ACTIVATIONS && i == ACTIVATION_WIDTH - 1) sum -= a[i] ? weight <<< i : 0;
        else sum += a[i] ? weight <<< i : 0;
      end
    end
    return sum;
  endfunction

  always_comb begin
    sums_d = 'x;
    if (fire) begin
      sums_d = place_q == '0 ? '0 : sum_q;
      for (int p = 0; p < PE; p++) begin
        for (int s = 0; s < SIMD; s++) begin
          sums_d[p] += 32'(product(weights_tdata[(p*SIMD+s)*WEIGHT_WIDTH+:WEIGHT_WIDTH],
                                 s_axis_tdata[(s*PE+p)*ACTIVATION_WIDTH+:ACTIVATION_WIDTH]));
        end
      end
    end
    for (int p = 0; p < PE; p++) out[p] = ACCU_WIDTH'(sums_d[p]);
  end

  always_ff @(posedge clk) begin
    if (fire) sum_q <= sums_d;
    if (!rst_n) place_q <= '0;
    else if (fire) place_q <= last_beat ? '0 : place_q + 1;
  end

  stream_register #(
      .WIDTH(PE * ACCU_WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid(fire && last_beat),
      .s_axis_tready(free),
      .s_axis_tdata(out),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
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

  if (PE == 0) begin : gen_illegal
    $fatal(1, "lut_vvu: PE must be 1 or more");
  end else if (SIMD == 0 || MW % SIMD != 0) begin : gen_illegal
    $fatal(1, "lut_vvu: SIMD must divide MW");
  end
endmodule
