// SPDX-License-Identifier: MIT
//
// Bus that passes the registers written by software on to the taps.
//
// `written` is high in the clock in which a register is written, `values` has the content a clock
// later; registers in the order of the taps' addresses (tap_settings.sv). One is written at a time.
// Latency: two clocks. Reset: idle.

module tap_bus #(
    int unsigned TAPS = 1,
    int unsigned REGISTERS = 13,
    logic [TAPS-1:0][7:0] SITES = '0  // numbers of the taps
) (
    input  logic                                 clk,
    input  logic                                 rst_n,
    input  logic [TAPS-1:0][REGISTERS-1:0]       written,
    input  logic [TAPS-1:0][REGISTERS-1:0][31:0] values,
    output logic                                 cfg_valid,
    output logic [     7:0]                      cfg_site,
    output logic [     3:0]                      cfg_addr,
    output logic [    31:0]                      cfg_data
);
  logic [TAPS-1:0][REGISTERS-1:0] written_q;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      written_q <= '0;
      cfg_valid <= 1'b0;
    end else begin
      written_q <= written;
      cfg_valid <= written_q != '0;
    end
  end

  always_ff @(posedge clk) begin
    for (int t = 0; t < TAPS; t++) begin
      for (int r = 0; r < REGISTERS; r++) begin
        if (written_q[t][r]) begin
          cfg_site <= SITES[t];
          cfg_addr <= 4'(r);
          cfg_data <= values[t][r];
        end
      end
    end
  end
endmodule
