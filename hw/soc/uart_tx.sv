// SPDX-License-Identifier: MIT
//
// A serial transmitter: a start bit, eight data bits with the lowest first, a stop bit.
//
// A bit lasts `divider` clocks, at least 1. A byte is taken when `ready`, a frame takes ten bits.
// Reset: idle, the line high. It does not receive, and has no parity.

module uart_tx (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [15:0] divider,
    input  logic        valid,
    output logic        ready,
    input  logic [ 7:0] data,
    output logic        tx
);
  logic [ 8:0] shift_q;  // what is still to be sent behind the bit on the line
  logic [ 3:0] bits_q;  // bits of the frame that are not over
  logic [15:0] clocks_q;  // of the bit that are left behind this one

  assign ready = bits_q == '0;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      bits_q   <= '0;
      clocks_q <= '0;
      shift_q  <= '1;
      tx       <= 1'b1;
    end else if (ready) begin
      if (valid) begin
        tx       <= 1'b0;
        shift_q  <= {1'b1, data};
        bits_q   <= 4'd10;
        clocks_q <= divider - 16'd1;
      end
    end else if (clocks_q != '0) begin
      clocks_q <= clocks_q - 16'd1;
    end else begin
      tx       <= shift_q[0];
      shift_q  <= {1'b1, shift_q[8:1]};
      bits_q   <= bits_q - 4'd1;
      clocks_q <= divider - 16'd1;
    end
  end
endmodule
