// SPDX-License-Identifier: MIT
//
// A tap with unrolled generators beside one with iterated ones, on equal streams with stalls of
// their own. `beats` counts the beats that both gave out, `differing` those and the digests that
// differ. The unrolled tap is at most 8 beats ahead, so settings for an image that neither has begun
// take effect at the same one. Without `run` both stop after the same beat. Not synthesizable.

module tap_pair
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,
    int unsigned PE = 2,
    int unsigned PIXELS = 1,
    int unsigned IN_WIDTH = 8,
    bit IN_SIGNED = 1'b1,
    int unsigned FRAC = 8,
    bit ROUND = 1'b0,
    bit BIPOLAR = 1'b0,
    int unsigned OUT_WIDTH = 16,
    bit OUT_SIGNED = 1'b1,
    logic signed [63:0] OUT_MIN = -64'sd32768,
    logic signed [63:0] OUT_MAX = 64'sd32767,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,
    int unsigned SITE = 0,
    kinds_t KINDS = '1,
    int unsigned CORES = 1,
    int unsigned SOURCES = 1,
    int unsigned DIGEST_LANES = 1,
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        cfg_valid,
    input  logic [ 3:0] cfg_addr,
    input  logic [31:0] cfg_data,
    output logic        cfg_pending,
    input  logic        run,
    input  logic [ 7:0] idle,         // of 256 clocks
    input  logic [ 7:0] stall,        // of 256 clocks
    output logic [31:0] entered,      // beats into the unrolled tap
    output logic [31:0] beats,
    output logic [31:0] differing
);
  logic [OutBits-1:0] streams[2][$];
  logic [31:0] digests[2][$];
  logic [1:0] pending;
  logic [31:0] entered_q[2];
  assign cfg_pending = |pending;
  assign entered = entered_q[0];

  for (genvar t = 0; t < 2; t++) begin : gen_tap
    logic in_valid, in_ready, out_valid, out_ready, digest_valid;
    logic [InBits-1:0] in_data;
    logic [OutBits-1:0] out_data;
    logic [31:0] digest, next;
    assign next = entered_q[t] + 32'(in_valid && in_ready);

    noise_tap #(
        .CHANNELS(CHANNELS), .PE(PE), .PIXELS(PIXELS), .IN_WIDTH(IN_WIDTH), .IN_SIGNED(IN_SIGNED),
        .FRAC(FRAC), .ROUND(ROUND), .BIPOLAR(BIPOLAR), .OUT_WIDTH(OUT_WIDTH),
        .OUT_SIGNED(OUT_SIGNED), .OUT_MIN(OUT_MIN), .OUT_MAX(OUT_MAX), .OFFSET_WIDTH(OFFSET_WIDTH),
        .OFFSETS(OFFSETS), .SITE(SITE), .KINDS(KINDS), .CORES(t == 0 ? 0 : CORES),
        .SOURCES(SOURCES), .DIGEST_LANES(t == 0 ? 0 : DIGEST_LANES)
    ) u_tap (
        .clk, .rst_n, .cfg_valid, .cfg_site(8'(SITE)), .cfg_addr, .cfg_data,
        .cfg_pending(pending[t]), .s_axis_tvalid(in_valid), .s_axis_tready(in_ready),
        .s_axis_tdata(in_data), .m_axis_tvalid(out_valid), .m_axis_tready(out_ready),
        .m_axis_tdata(out_data), .digest_valid, .digest
    );

    // beat n is the same for both
    always_comb begin
      for (int i = 0; i < InBits; i += 8) begin
        in_data[i+:8] = 8'((entered_q[t] * 97 + 32'(i)) * 32'h9e37_79b1 >> 21);
      end
    end

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        in_valid     <= 1'b0;
        out_ready    <= 1'b0;
        entered_q[t] <= '0;
        streams[t].delete();
        digests[t].delete();
      end else begin
        entered_q[t] <= next;
        if (!in_valid || in_ready) begin
          in_valid <= 8'($urandom) >= idle && (next < entered_q[1-t]
              || (run && (t == 1 || next < entered_q[1] + 8)));
        end
        out_ready <= 8'($urandom) >= stall;
        if (out_valid && out_ready) streams[t].push_back(out_data);
        if (digest_valid) digests[t].push_back(digest);
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      beats     <= '0;
      differing <= '0;
    end else begin
      logic wrong;
      wrong = 1'b0;
      if (streams[0].size() > 0 && streams[1].size() > 0) begin
        wrong = streams[0].pop_front() != streams[1].pop_front();
        beats <= beats + 1;
      end
      if (digests[0].size() > 0 && digests[1].size() > 0) begin
        wrong = digests[0].pop_front() != digests[1].pop_front() || wrong;
      end
      if (wrong) differing <= differing + 1;
    end
  end
endmodule
