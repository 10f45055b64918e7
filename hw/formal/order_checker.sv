// SPDX-License-Identifier: MIT
//
// Proof that a stream gives the beats that it owes: none lost, doubled, reordered or wrong.
//
// `put` owes a beat with the data `expected`; the stream pays with its next one. The free input
// `follow` picks any one of them ("magic packet"), and its data is compared when its turn comes.
// As every beat may be the one, all are right.
//
//   level    at most CAPACITY beats are owed
//   owed     no beat is shown that is not owed
//   latency  of at least one owed beat, the first is shown within LATENCY clocks
//   order    a beat that is shown has the data that its turn asks for

module order_checker #(
    int unsigned WIDTH = 8,  // bits of a beat
    int unsigned CAPACITY = 1,  // beats
    int unsigned LATENCY = 0,  // clocks
    localparam int unsigned CountBits = $clog2(CAPACITY + 2)
) (
    input logic             clk,
    input logic             rst_n,
    input logic             follow,
    input logic             put,
    input logic [WIDTH-1:0] expected,
    input logic             valid,
    input logic             ready,
    input logic [WIDTH-1:0] data
);
  logic [CountBits-1:0] level_q;  // beats owed
  logic tracked_q;
  logic [CountBits-1:0] ahead_q;  // beats that come before the one that is tracked
  logic [WIDTH-1:0] expected_q;
  logic [7:0] waited_q;  // clocks
  logic get;

  assign get = valid && ready;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      level_q   <= '0;
      tracked_q <= 1'b0;
      waited_q  <= '0;
    end else begin
      level_q  <= level_q + CountBits'(put) - CountBits'(get);
      waited_q <= level_q == '0 || valid ? '0 : waited_q + 1;
      if (!tracked_q) begin
        tracked_q  <= put && follow;
        ahead_q    <= level_q - CountBits'(get);
        expected_q <= expected;
      end else if (get) begin
        tracked_q <= ahead_q != '0;
        ahead_q   <= ahead_q - 1;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (rst_n) begin
      level : assert (level_q <= CountBits'(CAPACITY));
      owed : assert (!valid || level_q != '0);
      latency : assert (level_q == '0 || valid || waited_q < 8'(LATENCY));
      order : assert (!valid || !tracked_q || ahead_q != '0 || data == expected_q);
      waits : assert (waited_q <= 8'(LATENCY));
      tracks : assert (!tracked_q || ahead_q < level_q);
    end
  end
endmodule
