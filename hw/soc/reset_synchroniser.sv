// SPDX-License-Identifier: MIT
//
// Brings a reset from a pin into a clock's domain: low from the configuration of the FPGA on, and
// whenever the pin is low; high STAGES clocks after the pin rose.
//
// The pin is sampled, so a pulse that is shorter than a clock may be missed.

module reset_synchroniser #(
    int unsigned STAGES = 4
) (
    input  logic clk,
    input  logic pin_n,
    output logic rst_n
);
  logic [STAGES-1:0] stages_q;

  initial stages_q = '0;

  always_ff @(posedge clk) stages_q <= {stages_q[STAGES-2:0], pin_n};

  // any stage that is low keeps the reset, so that a bouncing contact gives one reset
  always_ff @(posedge clk) rst_n <= &stages_q;

  if (STAGES < 2) begin : gen_illegal
    $fatal(1, "reset_synchroniser: two stages at least");
  end
endmodule
