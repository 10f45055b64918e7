// SPDX-License-Identifier: MIT
//
// Streams from and to files, for benches of many units in one simulator: a source that sends the
// beats of <NAME>.hex, and a sink that writes what it takes to <NAME>.out, one beat a line in
// hexadecimal, behind a line "reset" for each clock in reset. With `stall`, both hold back at
// random; a valid beat stays until it is taken.
// Not synthesizable.

module file_source #(
    string NAME = "in",
    int unsigned BITS = 8,  // of a beat
    int unsigned BEATS = 1,
    bit REPEAT = 1'b0,  // over and over, as a memory of weights
    int unsigned SEED = 1
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic            stall,
    output logic            tvalid,
    input  logic            tready,
    output logic [BITS-1:0] tdata
);
  logic [BITS-1:0] memory[BEATS];
  logic [31:0] beat_q, lfsr_q;
  logic open_q;

  initial $readmemh({NAME, ".hex"}, memory);

  assign tvalid = open_q && beat_q < BEATS;
  assign tdata  = memory[beat_q%BEATS];

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      beat_q <= '0;
      lfsr_q <= SEED;
      open_q <= 1'b1;
    end else begin
      if (tvalid && tready) beat_q <= REPEAT && beat_q == BEATS - 1 ? '0 : beat_q + 1;
      lfsr_q <= {lfsr_q[30:0], lfsr_q[31] ^ lfsr_q[21] ^ lfsr_q[1] ^ lfsr_q[0]};
      if (!tvalid || tready) open_q <= !stall || lfsr_q[3] || lfsr_q[11];
    end
  end
endmodule

module file_sink #(
    string NAME = "out",
    int unsigned BITS = 8,  // of a beat
    int unsigned BEATS = 1,  // after which it is done
    int unsigned SEED = 1
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic            stall,
    input  logic            tvalid,
    output logic            tready,
    input  logic [BITS-1:0] tdata,
    output logic            done
);
  logic [31:0] beat_q, lfsr_q;
  int file;

  initial file = $fopen({NAME, ".out"}, "w");
  final $fclose(file);

  assign done   = beat_q == BEATS;
  assign tready = !stall || lfsr_q[7];

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      beat_q <= '0;
      lfsr_q <= SEED;
      $fwrite(file, "reset\n");
    end else begin
      lfsr_q <= {lfsr_q[30:0], lfsr_q[31] ^ lfsr_q[21] ^ lfsr_q[1] ^ lfsr_q[0]};
      if (tvalid && tready) begin
        beat_q <= beat_q + 1;
        $fwrite(file, "%0h\n", tdata);
      end
    end
  end
endmodule
