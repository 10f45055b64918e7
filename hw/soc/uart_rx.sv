// SPDX-License-Identifier: MIT
//
// A serial receiver: a start bit, eight data bits with the lowest first, a stop bit.
//
// A bit lasts `divider` clocks, at least 4, and is read in its middle. A byte is held, `valid` high,
// until `taken`. `lost` rises when a byte comes before the last one was taken, and falls with the
// next `taken`. A frame whose stop bit is low is dropped, as a start bit is that ends too early. The
// line passes two registers first, since it is not synchronous to the clock. Reset: nothing held.

module uart_rx (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [15:0] divider,
    input  logic        rx,
    output logic        valid,
    output logic        lost,
    input  logic        taken,
    output logic [ 7:0] data
);
  logic [1:0] line_q;
  logic [7:0] shift_q;
  logic [3:0] bits_q;  // bits of the frame that were read, the start bit first
  logic [15:0] clocks_q;  // until the middle of the next bit
  logic receiving_q, waiting_q, line;

  assign line = line_q[1];

  always_ff @(posedge clk) begin
    line_q <= {line_q[0], rx};
    if (!rst_n) begin
      receiving_q <= 1'b0;
      waiting_q   <= 1'b1;
      valid       <= 1'b0;
      lost        <= 1'b0;
    end else begin
      if (taken) begin
        valid <= 1'b0;
        lost  <= 1'b0;
      end
      if (waiting_q) begin
        // for the line to be idle
        waiting_q <= !line;
      end else if (!receiving_q) begin
        receiving_q <= !line;
        bits_q      <= '0;
        clocks_q    <= divider / 2 - 16'd1;
      end else if (clocks_q != '0) begin
        clocks_q <= clocks_q - 16'd1;
      end else begin
        clocks_q <= divider - 16'd1;
        bits_q   <= bits_q + 4'd1;
        shift_q  <= {line, shift_q[7:1]};
        if (bits_q == 4'd0 && line) receiving_q <= 1'b0;
        if (bits_q == 4'd9) begin
          receiving_q <= 1'b0;
          waiting_q   <= !line;
          if (line) begin
            data  <= shift_q;
            valid <= 1'b1;
            lost  <= valid && !taken;
          end
        end
      end
    end
  end
endmodule
