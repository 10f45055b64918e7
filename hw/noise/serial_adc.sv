// SPDX-License-Identifier: MIT
//
// An analog-to-digital converter for each lane of a tap, as adc.sv, in steps of one addition: a bit
// of the code per clock.
//
//   code = clamp(floor((2 w + s) / (2 s)), least, most), out = code s - o, where w = v + o
//
// A beat is taken in a clock with in_valid and in_ready, and is there B + 4 clocks later at the
// earliest, with B bits; the next one is taken once it has left. Beats come in order, each
// active.repeats times more. `busy` while a beat is inside. Settings must be stable meanwhile, and
// two clocks before. Reset: empty, at the first beat of a pixel.

module serial_adc
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,
    int unsigned SUM_WIDTH = 44  // bits of v
) (
    input  logic                              clk,
    input  logic                              rst_n,
    input  settings_t                         active,
    input  logic                              in_valid,
    output logic                              in_ready,
    input  logic      [PE-1:0][SUM_WIDTH-1:0] v,          // signed
    output logic                              busy,
    output logic                              out_valid,
    input  logic                              out_ready,
    output logic      [PE-1:0][SUM_WIDTH-1:0] out  // signed
);
  localparam int unsigned Folds = CHANNELS / PE;
  localparam int unsigned FoldBits = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned RestWidth = adc_rest_width(SUM_WIDTH);
  typedef logic signed [RestWidth-1:0] rest_t;

  typedef enum logic [2:0] {
    Empty,
    Bias,
    Decide,
    Subtract,
    Add,
    Full
  } step_e;
  step_e step_q;
  logic [3:0] bit_q;
  logic [FoldBits-1:0] fold_q;
  logic [5:0] pass_q;
  // what 2 w is raised by, the weight of the highest bit, and that of the bit to decide
  rest_t bias_q, top_q, weight_q;
  assign in_ready = step_q == Empty;
  assign busy = step_q != Empty;
  assign out_valid = step_q == Full;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      step_q <= Empty;
      fold_q <= '0;
      pass_q <= '0;
    end else begin
      unique case (step_q)
        Empty: if (in_valid) step_q <= Bias;
        Bias: step_q <= Decide;
        Decide: if (bit_q == 4'd1) step_q <= Subtract;
        Subtract: step_q <= Add;
        Add: step_q <= Full;
        default: if (out_ready) step_q <= Empty;
      endcase
      if (in_valid && in_ready) begin
        pass_q <= pass_q == active.repeats ? '0 : pass_q + 1;
        if (pass_q == active.repeats) begin
          fold_q <= fold_q == FoldBits'(Folds - 1) ? '0 : fold_q + 1;
        end
      end
    end
    bit_q    <= step_q == Decide ? bit_q - 1 : active.adc_bits;
    weight_q <= step_q == Decide ? weight_q >>> 1 : top_q;
    bias_q   <= rest_t'(adc_bias(active));
    top_q    <= rest_t'({1'b0, active.adc_step}) <<< active.adc_bits;
  end

  for (genvar l = 0; l < PE; l++) begin : gen_lane
    logic signed [SUM_WIDTH-1:0] v_q;
    rest_t rest_q, less;
    assign less = rest_q - weight_q;
    always_ff @(posedge clk) begin
      unique case (step_q)
        Empty: begin
          v_q <= v[l];
          rest_q <= rest_t'($signed(v[l]))
              + rest_t'($signed(OFFSETS[(32'(fold_q)*PE+l)*OFFSET_WIDTH+:OFFSET_WIDTH]));
        end
        Bias: rest_q <= (rest_q <<< 1) + bias_q;
        Decide: if (less >= 0) rest_q <= less;
        Subtract: rest_q <= rest_t'({1'b0, active.adc_step}) - rest_q;
        Add: v_q <= SUM_WIDTH'(rest_t'(v_q) + (rest_q >>> 1));
        default: ;
      endcase
    end
    assign out[l] = v_q;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk) disable iff (!rst_n)
      out_valid && !out_ready |=> out_valid && $stable(out))
  else $error("serial_adc: the output changed before it was taken");
`endif

  if (PE == 0 || CHANNELS % PE != 0) begin : gen_illegal
    $fatal(1, "serial_adc: PE must divide CHANNELS");
  end else if (SUM_WIDTH < 34) begin : gen_illegal
    $fatal(1, "serial_adc: SUM_WIDTH must hold a step, 34 bits or more");
  end
endmodule
