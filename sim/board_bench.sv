// SPDX-License-Identifier: MIT
//
// Bench around the top of a board: the far end of its serial line, and the cable between.
//
// A byte to the board is taken with `to_valid` in a clock in which `to_ready` is high. `from_valid`
// is high for a clock with each byte from the board. With `cable` low both lines are idle.
// Not synthesizable.

module board_bench #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0,
    int unsigned IN_BITS = 8,
    int unsigned BEATS = 1,
    int unsigned CLASSES = 10,
    int unsigned PE = 1,
    int unsigned SCORE_WIDTH = 32,
    int unsigned LABEL_BITS = 8,
    int unsigned MEMORY_BYTES = 65536,
    int unsigned DIVIDER = 54,  // clocks of a bit
    string FILE = ""
) (
    input  logic       clk,
    input  logic       rst_n,
    input  logic       cable,
    input  logic       to_valid,
    output logic       to_ready,
    input  logic [7:0] to_data,
    output logic       from_valid,
    output logic [7:0] from_data
);
  logic far_tx, rx, tx;

  uart_tx u_far_tx (
      .clk,
      .rst_n,
      .divider(16'(DIVIDER)),
      .valid(to_valid),
      .ready(to_ready),
      .data(to_data),
      .tx(far_tx)
  );

  uart_rx u_far_rx (
      .clk,
      .rst_n,
      .divider(16'(DIVIDER)),
      .rx(tx || !cable),
      .valid(from_valid),
      .lost(),
      .taken(1'b1),
      .data(from_data)
  );

  assign rx = far_tx || !cable;

  board #(
      .TAPS(TAPS),
      .SITES(SITES),
      .IN_BITS(IN_BITS),
      .BEATS(BEATS),
      .CLASSES(CLASSES),
      .PE(PE),
      .SCORE_WIDTH(SCORE_WIDTH),
      .LABEL_BITS(LABEL_BITS),
      .MEMORY_BYTES(MEMORY_BYTES),
      .FILE(FILE)
  ) u_board (
      .clk,
      .rst_n,
      .rx,
      .tx,
      .led()
  );
endmodule
