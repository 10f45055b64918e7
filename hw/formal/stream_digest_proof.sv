// SPDX-License-Identifier: MIT
//
// Proof of stream_digest: a digest comes once, in the clock behind an image's last beat. Its value is
// left to simulation.
//
//   once  behind every last beat, and at no other time

module stream_digest_proof (
    input logic            clk,
    input logic            run,
    input logic            taken,
    input logic [1:0][3:0] data
);
  localparam int unsigned Beats = 3;

  logic rst_n, digest_valid, ended_q;
  logic [31:0] digest;
  logic [1:0] beat_q;

  proof_reset u_reset (.*);

  stream_digest #(
      .PE(2),
      .BEATS(Beats),
      .WIDTH(4)
  ) dut (
      .clk,
      .rst_n,
      .taken,
      .data,
      .digest_valid,
      .digest
  );

  always_ff @(posedge clk) begin
    ended_q <= rst_n && taken && beat_q == 2'(Beats - 1);
    if (!rst_n) beat_q <= '0;
    else if (taken) beat_q <= beat_q == 2'(Beats - 1) ? '0 : beat_q + 1;
    if (rst_n) begin
      once : assert (digest_valid == ended_q);
      bounds : assert (dut.beat_q == 32'(beat_q) && beat_q < 2'(Beats));
    end
  end
endmodule
