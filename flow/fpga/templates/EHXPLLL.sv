// Ports and parameters of an ECP5's PLL that hw/boards/clock_generator.sv uses; Yosys has the rest.
(* blackbox *)
module EHXPLLL #(
    int unsigned CLKI_DIV = 1,
    int unsigned CLKFB_DIV = 1,
    string CLKOP_ENABLE = "ENABLED",
    int unsigned CLKOP_DIV = 8,
    int unsigned CLKOP_CPHASE = 0,
    string FEEDBK_PATH = "CLKOP"
) (
    input  logic CLKI, CLKFB, RST, STDBY, PLLWAKESYNC,
    input  logic PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, ENCLKOP,
    output logic CLKOP, LOCK
);
endmodule
