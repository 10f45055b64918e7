// SPDX-License-Identifier: MIT
//
// Passes what software writes to the registers of the taps on to the taps.
//
// `registers` is the output of the register file (registers.rdl). Latency: two clocks. Reset: idle.

module tap_registers #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0  // numbers of the taps
) (
    input  logic                                            clk,
    input  logic                                            rst_n,
    input  noise_registers_pkg::noise_registers__out_t        registers,
    output logic                                            cfg_valid,
    output logic [7:0]                                      cfg_site,
    output logic [3:0]                                      cfg_addr,
    output logic [31:0]                                     cfg_data
);
  localparam int unsigned Registers = 13;

  logic [TAPS-1:0][Registers-1:0] written;
  logic [TAPS-1:0][Registers-1:0][31:0] values;

  // in the order of the addresses of tap_settings.sv
  for (genvar t = 0; t < TAPS; t++) begin : gen_tap
    assign written[t] = {
      registers.tap[t].ADC_STEP.value.swmod,
      registers.tap[t].TABLE_HIGH.value.swmod,
      registers.tap[t].TABLE_LOW.value.swmod,
      registers.tap[t].TABLE_PLACE.value.swmod,
      registers.tap[t].SIGMA_RATE.value.swmod,
      registers.tap[t].START.value.swmod,
      registers.tap[t].GAIN_RATE.value.swmod,
      registers.tap[t].CONTROL.enable.swmod || registers.tap[t].CONTROL.repeats.swmod
          || registers.tap[t].CONTROL.adc_bits.swmod,
      registers.tap[t].SIGMA_MUL.value.swmod,
      registers.tap[t].SIGMA_ADD.value.swmod,
      registers.tap[t].IMAGE_BASE.value.swmod,
      registers.tap[t].SEED_HIGH.value.swmod,
      registers.tap[t].SEED_LOW.value.swmod
    };
    assign values[t] = {
      registers.tap[t].ADC_STEP.value.value,
      registers.tap[t].TABLE_HIGH.value.value,
      registers.tap[t].TABLE_LOW.value.value,
      registers.tap[t].TABLE_PLACE.value.value,
      registers.tap[t].SIGMA_RATE.value.value,
      registers.tap[t].START.value.value,
      registers.tap[t].GAIN_RATE.value.value,
      11'd0,
      registers.tap[t].CONTROL.adc_unsigned.value,
      registers.tap[t].CONTROL.adc_bits.value,
      2'd0,
      registers.tap[t].CONTROL.repeats.value,
      4'd0,
      registers.tap[t].CONTROL.loaded.value,
      registers.tap[t].CONTROL.pattern.value,
      registers.tap[t].CONTROL.add_first.value,
      registers.tap[t].CONTROL.enable.value,
      8'd0,
      registers.tap[t].SIGMA_MUL.value.value,
      registers.tap[t].SIGMA_ADD.value.value,
      registers.tap[t].IMAGE_BASE.value.value,
      registers.tap[t].SEED_HIGH.value.value,
      registers.tap[t].SEED_LOW.value.value
    };
  end

  tap_bus #(
      .TAPS(TAPS),
      .REGISTERS(Registers),
      .SITES(SITES)
  ) u_tap_bus (
      .clk,
      .rst_n,
      .written,
      .values,
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data
  );
endmodule
