// SPDX-License-Identifier: MIT
//
// Bench around a whole system: it reads the serial line, and ends when the core stops.
//
//   memory.hex   initial content of the memory
//   serial.txt   output of the serial line, with a line "reset" at the begin of each reset
//
// `divider` is the number of clocks per bit. After the core has stopped, the line is read to its
// end. Not synthesizable.

module soc_bench #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0,
    int unsigned IN_BITS = 8,
    int unsigned BEATS = 1,
    int unsigned CLASSES = 10,
    int unsigned PE = 1,
    int unsigned SCORE_WIDTH = 32,
    int unsigned LABEL_BITS = 8,
    int unsigned MEMORY_BYTES = 65536
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [15:0] divider,
    output logic        done
);
  logic trap, tx, rst_n_q;
  logic [7:0] byte_q;
  logic [3:0] bit_q;  // bits of the frame that were read, the start bit first
  logic [31:0] clocks_q, idle_q;
  logic in_frame_q;
  int serial;

  initial serial = $fopen("serial.txt", "w");

  always_ff @(posedge clk) rst_n_q <= rst_n;

  soc #(
      .TAPS(TAPS),
      .SITES(SITES),
      .IN_BITS(IN_BITS),
      .BEATS(BEATS),
      .CLASSES(CLASSES),
      .PE(PE),
      .SCORE_WIDTH(SCORE_WIDTH),
      .LABEL_BITS(LABEL_BITS),
      .MEMORY_BYTES(MEMORY_BYTES),
      .FILE("memory.hex")
  ) u_soc (
      .clk,
      .rst_n(rst_n_q),
      .trap,
      .rx(1'b1),
      .tx
  );

  assign done = trap && idle_q > 20 * 32'(divider);

  always_ff @(posedge clk) begin
    if (!rst_n_q) begin
      in_frame_q <= 1'b0;
      bit_q      <= '0;
      clocks_q   <= '0;
      idle_q     <= '0;
      if (rst_n) $fwrite(serial, "\nreset\n");
    end else if (!in_frame_q) begin
      idle_q <= idle_q + 1;
      if (!tx) begin
        // from here on in the middle of each bit
        in_frame_q <= 1'b1;
        bit_q      <= '0;
        clocks_q   <= 32'(divider) + 32'(divider) / 2 - 1;
        idle_q     <= '0;
      end
    end else if (clocks_q != '0) begin
      clocks_q <= clocks_q - 1;
    end else begin
      clocks_q <= 32'(divider) - 1;
      bit_q    <= bit_q + 1;
      if (bit_q < 8) byte_q <= {tx, byte_q[7:1]};
      if (bit_q == 8) begin
        $fwrite(serial, "%c", byte_q);
        in_frame_q <= 1'b0;
      end
    end
  end

  always_ff @(posedge done) $fflush(serial);
endmodule
