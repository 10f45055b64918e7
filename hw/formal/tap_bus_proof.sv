// SPDX-License-Identifier: MIT
//
// Proof of tap_bus: every register that is written is passed on once, two clocks later.
//
//   passed  the picked register's write appears with its site, address and content
//   silent  nothing appears that was not written

module tap_bus_proof (
    input logic                  clk,
    input logic                  run,
    input logic [1:0][2:0]       written,
    input logic [1:0][2:0][31:0] values
);
  localparam logic [1:0][7:0] Sites = {8'd9, 8'd4};

  logic rst_n, cfg_valid;
  logic [7:0] cfg_site;
  logic [3:0] cfg_addr;
  logic [31:0] cfg_data;

  proof_reset u_reset (.*);

  tap_bus #(
      .TAPS(2),
      .REGISTERS(3),
      .SITES(Sites)
  ) dut (
      .clk,
      .rst_n,
      .written,
      .values,
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data
  );

  logic [1:0][2:0] once_q, twice_q;  // written a clock ago, and two
  logic [1:0][2:0][31:0] values_q;

  always_ff @(posedge clk) begin
    single : assume ($onehot0(written));
    once_q   <= rst_n ? written : '0;
    twice_q  <= rst_n ? once_q : '0;
    values_q <= values;
    if (rst_n) begin
      silent : assert (cfg_valid == (twice_q != '0));
    end
  end

  for (genvar t = 0; t < 2; t++) begin : gen_tap
    for (genvar r = 0; r < 3; r++) begin : gen_register
      always_ff @(posedge clk) begin
        if (rst_n && twice_q[t][r]) begin
          passed : assert ({cfg_site, cfg_addr, cfg_data} == {Sites[t], 4'(r), values_q[t][r]});
        end
      end
    end
  end
endmodule
