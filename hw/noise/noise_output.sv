// SPDX-License-Identifier: MIT
//
// The values of a beat's lanes, or with `converts` those of their converters, to the elements of a
// tap's output: the mean of the executions, rounded, halves up, then rounded to an integer with
// ROUND, then saturated to OUT_MIN..OUT_MAX.
//
//   data = sat(round(floor((sum of v + k / 2) / k)))
//
// Latency 1 enabled clock and one beat per clock; 2, and one in k, for k executions. `last` is high
// with the last execution of a beat; `busy` while a beat is inside that is not yet in `data`.
// Reset: empty.

module noise_output #(
    int unsigned PE = 2,
    int unsigned SUM_WIDTH = 44,  // bits of v
    int unsigned FRAC = 8,
    bit ROUND = 1'b0,
    bit BIPOLAR = 1'b0,  // with ROUND: levels are -1 and 1 alone, parted at 0
    bit ONE_BIT = 1'b0,  // -1 is 0
    int unsigned OUT_WIDTH = 16,
    logic signed [63:0] OUT_MIN = -64'sd32768,
    logic signed [63:0] OUT_MAX = 64'sd32767
) (
    input  logic                         clk,
    input  logic                         rst_n,
    input  logic                         en,
    input  logic                         averages,   // more than one execution
    input  logic [  5:0]                 repeats,    // executions beyond the first
    input  logic                         converts,
    input  logic                         in_valid,
    input  logic signed [SUM_WIDTH-1:0]  v[PE],
    input  logic signed [SUM_WIDTH-1:0]  converted[PE],
    output logic                         busy,
    output logic                         out_valid,
    output logic [PE-1:0][OUT_WIDTH-1:0] data
);
  localparam int unsigned TotalWidth = SUM_WIDTH + 6;

  // u / k = u ceil(2^(TotalWidth + 6) / k) >> (TotalWidth + 6) for all u in TotalWidth bits
  // (Granlund and Montgomery, "Division by invariant integers using multiplication")
  typedef logic [TotalWidth+6:0] reciprocal_t;
  function automatic reciprocal_t [63:0] reciprocals();
    for (int i = 0; i < 64; i++) begin
      reciprocals[i] = ((reciprocal_t'(1) << (TotalWidth + 6)) + reciprocal_t'(i))
          / (reciprocal_t'(i) + 1);
    end
  endfunction
  localparam reciprocal_t [63:0] Reciprocal = reciprocals();

  // total / k, halves up; ~(~n / k) is what a negative n needs
  function automatic logic signed [SUM_WIDTH-1:0] mean(input logic signed [TotalWidth-1:0] total);
    logic signed [TotalWidth:0] n;
    logic [TotalWidth-1:0] u;
    logic [2*TotalWidth+6:0] product;
    n = (TotalWidth + 1)'(total) + ((TotalWidth + 1)'(repeats) + 1) / 2;
    u = TotalWidth'(n < 0 ? ~n : n);
    product = (2 * TotalWidth + 7)'(u) * (2 * TotalWidth + 7)'(Reciprocal[repeats]);
    u = TotalWidth'(product >> (TotalWidth + 6));
    return SUM_WIDTH'(n < 0 ? ~u : u);
  endfunction

  function automatic logic [OUT_WIDTH-1:0] limited(input logic signed [SUM_WIDTH-1:0] value);
    logic signed [SUM_WIDTH-1:0] r;
    if (ONE_BIT) return OUT_WIDTH'(value >= 0);
    if (ROUND && BIPOLAR) return value < 0 ? OUT_WIDTH'(OUT_MIN) : OUT_WIDTH'(OUT_MAX);
    r = ROUND ? (value + (SUM_WIDTH'(1) <<< (FRAC - 1))) >>> FRAC : value;
    if (r < SUM_WIDTH'(OUT_MIN)) return OUT_WIDTH'(OUT_MIN);
    if (r > SUM_WIDTH'(OUT_MAX)) return OUT_WIDTH'(OUT_MAX);
    return OUT_WIDTH'(r);
  endfunction

  logic [5:0] pass_q;
  logic mean_q, moving;
  assign moving = en && (in_valid || mean_q);
  assign busy = mean_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      pass_q    <= '0;
      mean_q    <= 1'b0;
      out_valid <= 1'b0;
    end else if (en) begin
      if (in_valid) pass_q <= pass_q == repeats ? '0 : pass_q + 1;
      mean_q    <= averages && in_valid && pass_q == repeats;
      out_valid <= averages ? mean_q : in_valid;
    end
  end

  for (genvar l = 0; l < PE; l++) begin : gen_lane
    logic signed [TotalWidth-1:0] total_q;
    logic [OUT_WIDTH-1:0] data_q;
    always_ff @(posedge clk) begin
      if (moving) begin
        logic signed [SUM_WIDTH-1:0] value;
        value = converts ? converted[l] : v[l];
        if (!averages) data_q <= limited(value);
        else total_q <= TotalWidth'(value) + (pass_q == '0 ? TotalWidth'(0) : total_q);
        if (mean_q) data_q <= limited(mean(total_q));
      end
    end
    assign data[l] = data_q;
  end
endmodule
