// SPDX-License-Identifier: MIT
//
// Bench around one accelerator: it holds the images, sends them beat by beat, and writes the
// results to a file, so that software is called once per batch of images, not once per clock.
//
//   stream.hex   one beat a line, images one after another; read when `load` rises
//   results.txt  l <label>               one line an image, in order
//                s <scores, hexadecimal> one line a beat of the stream into label select
//                d <tap> <digest>        one line an image and tap, in order for each tap
//
// `limit` is the number of images that may enter, counted since reset; image i is read from place
// i mod `images`. With `stall`, valid and ready are withheld at random on both sides.
// Not synthesizable.

module bench #(
    int unsigned IN_BITS = 8,  // input stream, bits a beat
    int unsigned OUT_BITS = 8,  // output stream, bits a beat
    int unsigned SCORE_BITS = 8,  // stream into label select, bits a beat
    int unsigned BEATS = 1,  // input beats an image
    int unsigned TAPS = 1,
    int unsigned MAX_IMAGES = 512  // images in memory
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        load,
    input  logic        stall,
    input  logic [31:0] images,
    input  logic [31:0] limit,
    input  logic        cfg_valid,
    input  logic [ 7:0] cfg_site,
    input  logic [ 3:0] cfg_addr,
    input  logic [31:0] cfg_data,
    output logic        pending,
    output logic        done,
    output logic [31:0] completed
);
  logic [IN_BITS-1:0] memory[MAX_IMAGES*BEATS];

  logic in_valid, in_ready, out_valid, out_ready, scores_valid;
  logic [IN_BITS-1:0] in_data;
  logic [OUT_BITS-1:0] out_data;
  logic [SCORE_BITS-1:0] scores_data;
  logic [TAPS-1:0] cfg_pending, digest_valid;
  logic [TAPS-1:0][31:0] digest;

  logic rst_n_q, cfg_valid_q;
  logic [7:0] cfg_site_q;
  logic [3:0] cfg_addr_q;
  logic [31:0] limit_q, cfg_data_q;

  logic [31:0] sent_q, beat_q, address_q, place_q;
  logic [31:0] lfsr_q;
  logic source_open_q, sink_open_q;
  int results;

  initial results = $fopen("results.txt", "w");
  always_ff @(posedge load) $readmemh("stream.hex", memory, 0, int'(images * BEATS) - 1);

  assign pending   = |cfg_pending;
  assign in_valid  = sent_q < limit_q && source_open_q;
  assign in_data   = memory[address_q];
  assign out_ready = sink_open_q;
  assign done      = completed == limit_q;

  // a simulator evaluates logic between an input and a register at each edge, changed or not
  always_ff @(posedge clk) begin
    rst_n_q     <= rst_n;
    limit_q     <= limit;
    cfg_valid_q <= cfg_valid;
    cfg_site_q  <= cfg_site;
    cfg_addr_q  <= cfg_addr;
    cfg_data_q  <= cfg_data;
  end

  always_ff @(posedge clk) begin
    if (!rst_n_q) begin
      sent_q        <= '0;
      beat_q        <= '0;
      address_q     <= '0;
      place_q       <= '0;
      completed     <= '0;
      lfsr_q        <= 32'h1;
      source_open_q <= 1'b1;
      sink_open_q   <= 1'b1;
    end else begin
      if (in_valid && in_ready) begin
        address_q <= address_q + 1;
        beat_q    <= beat_q + 1;
        if (beat_q == BEATS - 1) begin
          beat_q  <= '0;
          sent_q  <= sent_q + 1;
          place_q <= place_q + 1;
          if (place_q == images - 1) begin
            place_q   <= '0;
            address_q <= '0;
          end
        end
      end
      if (out_valid && out_ready) begin
        completed <= completed + 1;
        $fwrite(results, "l %0d\n", out_data);
      end
      if (scores_valid) $fwrite(results, "s %0h\n", scores_data);
      for (int unsigned t = 0; t < TAPS; t++) begin
        if (digest_valid[t]) $fwrite(results, "d %0d %0d\n", t, digest[t]);
      end
      if (stall) begin
        lfsr_q <= {lfsr_q[30:0], lfsr_q[31] ^ lfsr_q[21] ^ lfsr_q[1] ^ lfsr_q[0]};
        // a valid beat is held until it is accepted
        if (!in_valid || in_ready) source_open_q <= lfsr_q[3] | lfsr_q[11];
        sink_open_q <= lfsr_q[7];
      end else begin
        source_open_q <= 1'b1;
        sink_open_q   <= 1'b1;
      end
    end
  end

  // the file is complete whenever the results of all images sent have arrived
  always_ff @(posedge done) $fflush(results);

  accelerator u_accelerator (
      .ap_clk(clk),
      .ap_rst_n(rst_n_q),
      .in0_V_TVALID(in_valid),
      .in0_V_TREADY(in_ready),
      .in0_V_TDATA(in_data),
      .out0_V_TVALID(out_valid),
      .out0_V_TREADY(out_ready),
      .out0_V_TDATA(out_data),
      .cfg_valid(cfg_valid_q),
      .cfg_site(cfg_site_q),
      .cfg_addr(cfg_addr_q),
      .cfg_data(cfg_data_q),
      .cfg_pending,
      .cfg_late(),
      .digest_valid,
      .digest,
      .scores_valid,
      .scores_data
  );
endmodule
