// SPDX-License-Identifier: MIT
//
// Clock of the system on an ECP5: the board's own, or one that a PLL makes from it.
//
//   f(out) = f(in) FEEDBACK / REFERENCE, and the oscillator, 400 to 800 MHz, runs at f(out) POST
//
// `locked` says that `out` is stable; without a PLL, that is with REFERENCE = 0, it always is.

module clock_generator #(
    int unsigned REFERENCE = 0,
    int unsigned FEEDBACK = 1,
    int unsigned POST = 8
) (
    input  logic in,
    output logic out,
    output logic locked
);
  if (REFERENCE == 0) begin : gen_none
    assign out = in;
    assign locked = 1'b1;
  end else begin : gen_pll
    // the analog settings are those that ecppll of Project Trellis writes
    (* ICP_CURRENT = "12", LPF_RESISTOR = "8", MFG_ENABLE_FILTEROPAMP = "1", MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .CLKI_DIV(REFERENCE),
        .CLKFB_DIV(FEEDBACK),
        .CLKOP_ENABLE("ENABLED"),
        .CLKOP_DIV(POST),
        .CLKOP_CPHASE(POST > 1 ? POST / 2 - 1 : 0),
        .FEEDBK_PATH("CLKOP")
    ) u_pll (
        .CLKI(in),
        .CLKFB(out),
        .CLKOP(out),
        .LOCK(locked),
        .RST(1'b0),
        .STDBY(1'b0),
        .PLLWAKESYNC(1'b0),
        .PHASESEL0(1'b0),
        .PHASESEL1(1'b0),
        .PHASEDIR(1'b1),
        .PHASESTEP(1'b1),
        .PHASELOADREG(1'b1),
        .ENCLKOP(1'b0)
    );
  end

  if (FEEDBACK == 0 || POST == 0) begin : gen_illegal
    $fatal(1, "clock_generator: FEEDBACK and POST must be 1 or more");
  end
endmodule
