// SPDX-License-Identifier: MIT
//
// The values of a beat's lanes to the elements of a tap's output, as noise_output.sv, in steps of
// one addition: the mean of the executions, then rounding, then saturation.
//
// A beat is taken in a clock with in_valid and in_ready; in_ready depends on out_ready. Latency 3
// clocks and one beat per clock; for k executions SUM_WIDTH + 12, and one beat in the larger of k
// and SUM_WIDTH + 9. MEANS says whether there is hardware for several executions. Reset: empty.

module serial_output #(
    int unsigned PE = 2,
    int unsigned SUM_WIDTH = 44,  // bits of v
    int unsigned FRAC = 8,
    bit ROUND = 1'b0,
    bit BIPOLAR = 1'b0,  // with ROUND: levels are -1 and 1 alone, parted at 0
    bit ONE_BIT = 1'b0,  // -1 is 0
    int unsigned OUT_WIDTH = 16,
    logic signed [63:0] OUT_MIN = -64'sd32768,
    logic signed [63:0] OUT_MAX = 64'sd32767,
    bit MEANS = 1'b1
) (
    input  logic                         clk,
    input  logic                         rst_n,
    input  logic                         averages,   // more than one execution
    input  logic [  5:0]                 repeats,    // executions beyond the first
    input  logic                         in_valid,
    output logic                         in_ready,
    input  logic [PE-1:0][SUM_WIDTH-1:0] v,          // signed
    output logic                         busy,
    output logic                         out_valid,
    input  logic                         out_ready,
    output logic [PE-1:0][OUT_WIDTH-1:0] data
);
  localparam logic signed [SUM_WIDTH-1:0] Least = SUM_WIDTH'(OUT_MIN);
  localparam logic signed [SUM_WIDTH-1:0] Most = SUM_WIDTH'(OUT_MAX);

  logic [PE-1:0][SUM_WIDTH-1:0] value;
  logic value_valid, en, dividing;
  logic [1:0] valid_q;
  assign en = !out_valid || out_ready;
  assign busy = dividing || valid_q != '0;

  if (MEANS) begin : gen_mean
    logic [5:0] pass_q;
    logic [PE-1:0] ready, done;
    logic [PE-1:0][SUM_WIDTH-1:0] mean;
    logic last;
    assign last = pass_q == repeats;
    always_ff @(posedge clk) begin
      if (!rst_n) pass_q <= '0;
      else if (in_valid && in_ready) pass_q <= last ? '0 : pass_q + 1;
    end
    for (genvar l = 0; l < PE; l++) begin : gen_lane
      serial_mean #(
          .SUM_WIDTH(SUM_WIDTH)
      ) u_mean (
          .clk,
          .rst_n,
          .repeats,
          .in_valid(averages && in_valid),
          .in_ready(ready[l]),
          .last,
          .v(v[l]),
          .out_valid(done[l]),
          .out_ready(en),
          .mean(mean[l])
      );
    end
    // lanes are in step
    logic working_q;
    always_ff @(posedge clk) begin
      if (!rst_n) working_q <= 1'b0;
      else if (averages && in_valid && in_ready) working_q <= 1'b1;
      else if (done[0] && en && ready[0]) working_q <= 1'b0;
    end
    assign dividing = working_q;
    assign in_ready = averages ? ready[0] : en;
    assign value_valid = averages ? done[0] : in_valid;
    assign value = averages ? mean : v;
    logic unused;
    assign unused = &{1'b0, ready, done};
  end else begin : gen_single
    assign dividing = 1'b0;
    assign in_ready = en;
    assign value_valid = in_valid;
    assign value = v;
    logic unused;
    assign unused = &{1'b0, averages, repeats};
  end

  always_ff @(posedge clk) begin
    if (!rst_n) {valid_q, out_valid} <= '0;
    else if (en) {out_valid, valid_q} <= {valid_q, value_valid};
  end

  for (genvar l = 0; l < PE; l++) begin : gen_limit
    logic signed [SUM_WIDTH-1:0] rounded_q;
    logic [OUT_WIDTH-1:0] kept_q;
    logic below_q, above_q;
    always_ff @(posedge clk) begin
      if (en) begin
        rounded_q <= $signed(value[l]) + (ROUND && !BIPOLAR ? SUM_WIDTH'(1) <<< (FRAC - 1) : '0);
        kept_q <= OUT_WIDTH'(ROUND ? rounded_q >>> FRAC : rounded_q);
        if (BIPOLAR && ROUND) begin
          below_q <= rounded_q < 0;
          above_q <= rounded_q >= 0;
        end else begin
          below_q <= (ROUND ? rounded_q >>> FRAC : rounded_q) < Least;
          above_q <= (ROUND ? rounded_q >>> FRAC : rounded_q) > Most;
        end
        if (ONE_BIT) data[l] <= OUT_WIDTH'(above_q);
        else data[l] <= below_q ? OUT_WIDTH'(OUT_MIN) : above_q ? OUT_WIDTH'(OUT_MAX) : kept_q;
      end
    end
  end
endmodule
