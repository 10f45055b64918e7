// SPDX-License-Identifier: MIT
//
// Writes labels and logits of an accelerator to memory: for each image the label, then the logits,
// a word each.
//
// Logits are seen on the stream into label select, which waits for nobody; the label, which comes
// behind them, is taken in the clock after its image is in memory, by a register, so that no path
// leads through here. So there are logits of two images at most. `start` takes the address. A request is granted in the clock in which `mem_ready` is high.
// Reset: nothing inside.

module result_writer #(
    int unsigned CLASSES = 10,
    int unsigned PE = 1,  // logits of a beat, a divisor of CLASSES
    int unsigned SCORE_WIDTH = 32,  // bits of a logit, signed
    int unsigned LABEL_BITS = 8,
    localparam int unsigned ScoreBits = (PE * SCORE_WIDTH + 7) / 8 * 8
) (
    input  logic                  clk,
    input  logic                  rst_n,
    input  logic                  start,
    input  logic [          31:0] address,  // in bytes, of a word
    output logic [          31:0] images_out,  // since reset
    output logic [           7:0] label_out,  // the last one
    input  logic                  scores_valid,
    input  logic [ ScoreBits-1:0] scores_data,
    input  logic                  s_axis_tvalid,
    output logic                  s_axis_tready,
    input  logic [LABEL_BITS-1:0] s_axis_tdata,
    output logic                  mem_valid,
    input  logic                  mem_ready,
    output logic [          31:0] mem_address,
    output logic [          31:0] mem_data
);
  localparam int unsigned Beats = CLASSES / PE;
  localparam int unsigned BeatBits = $clog2(2 * Beats);
  localparam int unsigned LaneBits = PE > 1 ? $clog2(PE) : 1;

  logic [PE-1:0][SCORE_WIDTH-1:0] scores[2*Beats];
  logic [31:0] address_q;
  logic [BeatBits-1:0] write_q, read_q;
  logic [LaneBits-1:0] lane_q;
  logic label_next_q;  // the label is the next word
  logic written, last_lane, last_read, last;

  assign mem_valid   = s_axis_tvalid && !s_axis_tready;
  assign mem_address = address_q;
  assign mem_data    = label_next_q ? 32'(s_axis_tdata) : 32'($signed(scores[read_q][lane_q]));
  assign written     = mem_valid && mem_ready;
  assign last_lane   = lane_q == LaneBits'(PE - 1);
  assign last_read   = read_q == BeatBits'(Beats - 1) || read_q == BeatBits'(2 * Beats - 1);
  assign last        = !label_next_q && last_lane && last_read;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      write_q       <= '0;
      read_q        <= '0;
      lane_q        <= '0;
      label_next_q  <= 1'b1;
      s_axis_tready <= 1'b0;
      images_out    <= '0;
      label_out     <= '0;
    end else begin
      if (start) address_q <= address;
      s_axis_tready <= written && last;
      if (scores_valid) write_q <= write_q == BeatBits'(2 * Beats - 1) ? '0 : write_q + 1;
      if (written) begin
        address_q    <= address_q + 4;
        label_next_q <= last;
        if (!label_next_q) begin
          lane_q <= last_lane ? '0 : lane_q + 1;
          if (last_lane) read_q <= read_q == BeatBits'(2 * Beats - 1) ? '0 : read_q + 1;
        end
      end
      if (s_axis_tvalid && s_axis_tready) begin
        images_out <= images_out + 1;
        label_out  <= 8'(s_axis_tdata);
      end
    end
  end

  always_ff @(posedge clk) begin
    if (scores_valid) scores[write_q] <= (PE * SCORE_WIDTH)'(scores_data);
  end

  if (CLASSES % PE != 0) begin : gen_illegal
    $fatal(1, "result_writer: PE must divide CLASSES");
  end
endmodule
