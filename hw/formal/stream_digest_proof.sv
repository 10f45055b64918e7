// SPDX-License-Identifier: MIT
//
// Proof of stream_digest: a digest comes once, at its time behind an image's last beat, and holds.
// Its value is left to simulation.
//
//   free  a beat can be taken PE / LANES clocks after another, and not before
//   once  a digest PE / LANES + 4 clocks after the one that takes a last beat, and at no other time
//   held  until the next comes

module stream_digest_proof (
    input logic            clk,
    input logic            run,
    input logic            offered,
    input logic [1:0][3:0] data
);
  localparam int unsigned Beats = 3;
  localparam int unsigned Steps = 2;
  localparam int unsigned Latency = Steps + 4;

  logic rst_n, ready, taken, digest_valid, resets_q;
  logic [31:0] digest, digest_q;
  logic [1:0] beat_q, before_q;
  logic taken_q;
  logic [Latency:1] last_q;  // so many clocks ago

  proof_reset u_reset (.*);
  assign taken = offered && ready;

  stream_digest #(
      .PE(2),
      .LANES(1),
      .BEATS(Beats),
      .WIDTH(4)
  ) dut (
      .clk,
      .rst_n,
      .ready,
      .taken,
      .data,
      .digest_valid,
      .digest
  );

  always_ff @(posedge clk) begin
    resets_q <= !rst_n;
    digest_q <= digest;
    before_q <= beat_q;
    if (!rst_n) {taken_q, last_q, beat_q} <= '0;
    else begin
      taken_q <= taken;
      last_q  <= {last_q[Latency-1:1], taken && beat_q == 2'(Beats - 1)};
      if (taken) beat_q <= beat_q == 2'(Beats - 1) ? '0 : beat_q + 1;
    end
    if (rst_n) begin
      free : assert (ready == !taken_q);
      once : assert (digest_valid == last_q[Latency]);
      if (!resets_q) held : assert (digest_valid || digest == digest_q);
      // the module counts a beat with its last step
      counted : assert (dut.gen_in_steps.beat_q == (taken_q ? before_q : beat_q));
      bounds : assert (beat_q < 2'(Beats));
      stages : assert (dut.gen_in_steps.last_q == last_q[Latency-1:Steps]);
      ended : assert (last_q[1] == (taken_q && beat_q == '0));
    end
  end
endmodule
