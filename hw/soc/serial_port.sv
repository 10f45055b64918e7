// SPDX-License-Identifier: MIT
//
// A serial port behind three registers.
//
//   0  a byte to send, which is dropped if it is not ready; read: bit 0 ready
//   1  clocks of a bit, 16 bits, at least 1, and 4 to receive
//   2  byte received: bit 8 there is one, bit 9 one was lost before it; a read takes it
//
// An access takes the clock of `valid`, in which `answer` is there. Reset: a bit lasts one clock, and
// nothing is sent or held.

module serial_port (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        valid,
    input  logic [ 1:0] place,  // number of a register
    input  logic [ 3:0] write,  // bytes to write; none: read
    input  logic [15:0] write_data,
    output logic [31:0] answer,
    input  logic        rx,
    output logic        tx
);
  logic [15:0] divider_q;
  logic ready, sends, received_valid, received_lost, taken;
  logic [7:0] received;

  assign sends = valid && place == 2'd0 && write[0] && ready;
  assign taken = valid && place == 2'd2 && write == '0;

  always_ff @(posedge clk) begin
    if (!rst_n) divider_q <= 16'd1;
    else if (valid && place == 2'd1 && write[1:0] == '1) divider_q <= write_data;
  end

  always_comb begin
    unique case (place)
      2'd0: answer = 32'(ready);
      2'd1: answer = 32'(divider_q);
      default: answer = 32'({received_lost, received_valid, received});
    endcase
  end

  uart_tx u_sender (
      .clk,
      .rst_n,
      .divider(divider_q),
      .valid(sends),
      .ready,
      .data(write_data[7:0]),
      .tx
  );

  uart_rx u_receiver (
      .clk,
      .rst_n,
      .divider(divider_q),
      .rx,
      .valid(received_valid),
      .lost(received_lost),
      .taken,
      .data(received)
  );
endmodule
