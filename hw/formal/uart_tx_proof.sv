// SPDX-License-Identifier: MIT
//
// Proof of uart_tx: the line carries the frame of every byte that is taken, bit by bit.
//
//   idle   the line is high, and a byte is taken, between frames
//   frame  a start bit, the byte's bits with the lowest first and a stop bit, `divider` clocks each

module uart_tx_proof (
    input logic        clk,
    input logic        run,
    input logic [15:0] divider,
    input logic        valid,
    input logic [ 7:0] data
);
  logic rst_n, ready, tx, busy_q;
  logic [15:0] divider_q, clock_q;
  logic [3:0] bit_q;
  logic [9:0] frame_q;

  proof_reset u_reset (.*);

  uart_tx dut (
      .clk,
      .rst_n,
      .divider,
      .valid,
      .ready,
      .data,
      .tx
  );

  always_ff @(posedge clk) begin
    divider_q <= divider;
    constant : assume (divider == divider_q && divider != '0);
    if (!rst_n) begin
      busy_q <= 1'b0;
    end else if (!busy_q) begin
      busy_q  <= valid;
      bit_q   <= '0;
      clock_q <= '0;
      frame_q <= {1'b1, data, 1'b0};
    end else begin
      clock_q <= clock_q == divider - 1 ? '0 : clock_q + 1;
      if (clock_q == divider - 1) begin
        bit_q  <= bit_q + 1;
        busy_q <= bit_q != 4'd9;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (rst_n) begin
      idle : assert (ready == !busy_q && (busy_q || tx));
      frame : assert (!busy_q || tx == frame_q[bit_q]);
      bounds : assert (!busy_q || (bit_q <= 4'd9 && clock_q < divider));
      bits : assert (!busy_q || dut.bits_q == 4'd10 - bit_q);
      clocks : assert (!busy_q || dut.clocks_q == divider - 1 - clock_q);
      rest : assert (!busy_q
          || dut.shift_q == 9'(~(9'h1ff >> bit_q) | 9'(frame_q >> (bit_q + 1))));
    end
  end
endmodule
