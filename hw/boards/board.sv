// SPDX-License-Identifier: MIT
//
// Top of an FPGA on a board: a microcontroller with an accelerator, fed over a serial line.
//
// `rst_n` is a button, low when pressed. Out of reset the core runs the firmware that the memory
// holds from the bitstream. What it does: hw/soc/firmware/board.c. `led` lights if the core stops.
// All of it has one clock: that of the board, or one of a PLL (clock_generator.sv), out of whose
// lock it is in reset.

module board #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0,  // numbers of the taps
    int unsigned IN_BITS = 8,  // input stream, bits a beat
    int unsigned BEATS = 1,  // input beats an image
    int unsigned CLASSES = 10,
    int unsigned PE = 1,  // logits of a beat into label select
    int unsigned SCORE_WIDTH = 32,
    int unsigned LABEL_BITS = 8,
    int unsigned MEMORY_BYTES = 65536,
    string FILE = "",  // words in hexadecimal that the memory holds at start
    int unsigned REFERENCE = 0,  // dividers of the PLL; without one, 0
    int unsigned FEEDBACK = 1,
    int unsigned POST = 8
) (
    input  logic clk,
    input  logic rst_n,
    input  logic rx,
    output logic tx,
    output logic led
);
  logic system_clk, locked, synchronous_rst_n;

  clock_generator #(
      .REFERENCE(REFERENCE),
      .FEEDBACK(FEEDBACK),
      .POST(POST)
  ) u_clock (
      .in (clk),
      .out(system_clk),
      .locked
  );

  reset_synchroniser u_reset (
      .clk(system_clk),
      .pin_n(rst_n && locked),
      .rst_n(synchronous_rst_n)
  );

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
      .FILE(FILE),
      .SHORT_PATHS(1'b1)
  ) u_soc (
      .clk(system_clk),
      .rst_n(synchronous_rst_n),
      .trap(led),
      .rx,
      .tx
  );
endmodule
