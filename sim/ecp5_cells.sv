// SPDX-License-Identifier: MIT
//
// Models of the two ECP5 primitives that Yosys' cells_sim.v only declares, as far as its synth_ecp5
// uses them: a block RAM without output registers, and a multiplier without registers.
//
// A use beyond that stops elaboration. A port of the memory that reads what the other port writes
// in the same clock gets the old word. A word of 36 bits is written on port A and read on port B.
// Not synthesizable.

// verilator lint_off DECLFILENAME
module DP16KD #(
    int unsigned DATA_WIDTH_A = 18,
    int unsigned DATA_WIDTH_B = 18,
    string REGMODE_A = "NOREG",
    string REGMODE_B = "NOREG",
    string RESETMODE = "SYNC",
    string ASYNC_RESET_RELEASE = "SYNC",
    string CSDECODE_A = "0b000",
    string CSDECODE_B = "0b000",
    string CLKAMUX = "CLKA",
    string CLKBMUX = "CLKB",
    string WRITEMODE_A = "NORMAL",
    string WRITEMODE_B = "NORMAL",
    string GSR = "AUTO",
    logic [319:0] INITVAL_00 = '0,
    logic [319:0] INITVAL_01 = '0,
    logic [319:0] INITVAL_02 = '0,
    logic [319:0] INITVAL_03 = '0,
    logic [319:0] INITVAL_04 = '0,
    logic [319:0] INITVAL_05 = '0,
    logic [319:0] INITVAL_06 = '0,
    logic [319:0] INITVAL_07 = '0,
    logic [319:0] INITVAL_08 = '0,
    logic [319:0] INITVAL_09 = '0,
    logic [319:0] INITVAL_0A = '0,
    logic [319:0] INITVAL_0B = '0,
    logic [319:0] INITVAL_0C = '0,
    logic [319:0] INITVAL_0D = '0,
    logic [319:0] INITVAL_0E = '0,
    logic [319:0] INITVAL_0F = '0,
    logic [319:0] INITVAL_10 = '0,
    logic [319:0] INITVAL_11 = '0,
    logic [319:0] INITVAL_12 = '0,
    logic [319:0] INITVAL_13 = '0,
    logic [319:0] INITVAL_14 = '0,
    logic [319:0] INITVAL_15 = '0,
    logic [319:0] INITVAL_16 = '0,
    logic [319:0] INITVAL_17 = '0,
    logic [319:0] INITVAL_18 = '0,
    logic [319:0] INITVAL_19 = '0,
    logic [319:0] INITVAL_1A = '0,
    logic [319:0] INITVAL_1B = '0,
    logic [319:0] INITVAL_1C = '0,
    logic [319:0] INITVAL_1D = '0,
    logic [319:0] INITVAL_1E = '0,
    logic [319:0] INITVAL_1F = '0,
    logic [319:0] INITVAL_20 = '0,
    logic [319:0] INITVAL_21 = '0,
    logic [319:0] INITVAL_22 = '0,
    logic [319:0] INITVAL_23 = '0,
    logic [319:0] INITVAL_24 = '0,
    logic [319:0] INITVAL_25 = '0,
    logic [319:0] INITVAL_26 = '0,
    logic [319:0] INITVAL_27 = '0,
    logic [319:0] INITVAL_28 = '0,
    logic [319:0] INITVAL_29 = '0,
    logic [319:0] INITVAL_2A = '0,
    logic [319:0] INITVAL_2B = '0,
    logic [319:0] INITVAL_2C = '0,
    logic [319:0] INITVAL_2D = '0,
    logic [319:0] INITVAL_2E = '0,
    logic [319:0] INITVAL_2F = '0,
    logic [319:0] INITVAL_30 = '0,
    logic [319:0] INITVAL_31 = '0,
    logic [319:0] INITVAL_32 = '0,
    logic [319:0] INITVAL_33 = '0,
    logic [319:0] INITVAL_34 = '0,
    logic [319:0] INITVAL_35 = '0,
    logic [319:0] INITVAL_36 = '0,
    logic [319:0] INITVAL_37 = '0,
    logic [319:0] INITVAL_38 = '0,
    logic [319:0] INITVAL_39 = '0,
    logic [319:0] INITVAL_3A = '0,
    logic [319:0] INITVAL_3B = '0,
    logic [319:0] INITVAL_3C = '0,
    logic [319:0] INITVAL_3D = '0,
    logic [319:0] INITVAL_3E = '0,
    logic [319:0] INITVAL_3F = '0
) (
    input logic DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    input logic DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
    input logic ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5,
    input logic ADA4, ADA3, ADA2, ADA1, ADA0,
    input logic CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output logic DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
    output logic DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    input logic DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    input logic DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    input logic ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5,
    input logic ADB4, ADB3, ADB2, ADB1, ADB0,
    input logic CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output logic DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
    output logic DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  // 16 words each, of 20 bits of which 18 count
  localparam logic [63:0][15:0][19:0] Init = {
      INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C,
      INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
      INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34,
      INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
      INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C,
      INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
      INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
      INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
      INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
      INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
      INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14,
      INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
      INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C,
      INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
      INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04,
      INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };


  logic [17:0] memory[1024];
  logic [13:0] address_a, address_b;
  logic [17:0] in_a, in_b, out_a, out_b;
  logic [35:0] pair_a, pair_b, mask_a, mask_b, next_a, next_b, read_a_q, read_b_q;

  assign address_a = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5,
    ADA4, ADA3, ADA2, ADA1, ADA0
  };
  assign address_b = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5,
    ADB4, ADB3, ADB2, ADB1, ADB0
  };
  assign in_a = {
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0
  };
  assign in_b = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0
  };
  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
    DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0
  } = out_a;
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
    DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
  } = out_b;

  // place of the lowest bit of a word in a pair of words of 18 bits
  function automatic logic [5:0] place(input int unsigned width, input logic [13:0] address);
    logic [5:0] found;
    found = width < 36 ? 6'd18 * 6'(address[4]) : '0;
    if (width < 18) found += 6'd9 * 6'(address[3]);
    case (width)
      4: found += {3'd0, address[2], 2'd0};
      2: found += {3'd0, address[2:1], 1'd0};
      1: found += {3'd0, address[2:0]};
      default: ;
    endcase
    return found;
  endfunction

  // bits of the pair that a write changes; the lowest bits of the address enable bytes of 9 bits
  function automatic logic [35:0] mask(input int unsigned width, input logic [13:0] address);
    logic [35:0] bits;
    bits = (36'd1 << width) - 36'd1;
    if (width == 36) begin
      bits = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
    end
    if (width == 18) bits = {18'd0, {9{address[1]}}, {9{address[0]}}};
    return bits << place(width, address);
  endfunction

  function automatic logic [35:0] word(input int unsigned width, input logic [13:0] address,
                                       input logic [35:0] pair);
    return (pair >> place(width, address)) & ((36'd1 << width) - 36'd1);
  endfunction

  always_comb begin
    pair_a = {memory[{address_a[13:5], 1'b1}], memory[{address_a[13:5], 1'b0}]};
    pair_b = {memory[{address_b[13:5], 1'b1}], memory[{address_b[13:5], 1'b0}]};
    mask_a = mask(DATA_WIDTH_A, address_a);
    mask_b = mask(DATA_WIDTH_B, address_b);
    next_a = DATA_WIDTH_A == 36 ? {in_b, in_a} : 36'(in_a) << place(DATA_WIDTH_A, address_a);
    next_b = 36'(in_b) << place(DATA_WIDTH_B, address_b);
    next_a = (next_a & mask_a) | (pair_a & ~mask_a);
    next_b = (next_b & mask_b) | (pair_b & ~mask_b);
    out_a  = DATA_WIDTH_B == 36 ? read_b_q[17:0] : read_a_q[17:0];
    out_b  = DATA_WIDTH_B == 36 ? read_b_q[35:18] : read_b_q[17:0];
  end

  initial begin
    for (int i = 0; i < 1024; i++) memory[i] = Init[i/16][i%16][17:0];
    read_a_q = '0;
    read_b_q = '0;
  end

  always_ff @(posedge CLKA) begin
    if (CEA && WEA) begin
      if (mask_a[17:0] != '0) memory[{address_a[13:5], 1'b0}] <= next_a[17:0];
      if (mask_a[35:18] != '0) memory[{address_a[13:5], 1'b1}] <= next_a[35:18];
    end
    if (RSTA) read_a_q <= '0;
    else if (CEA && (!WEA || WRITEMODE_A != "NORMAL")) begin
      read_a_q <= word(DATA_WIDTH_A, address_a,
                       WEA && WRITEMODE_A == "WRITETHROUGH" ? next_a : pair_a);
    end
  end

  always_ff @(posedge CLKB) begin
    if (CEB && WEB) begin
      if (mask_b[17:0] != '0) memory[{address_b[13:5], 1'b0}] <= next_b[17:0];
      if (mask_b[35:18] != '0) memory[{address_b[13:5], 1'b1}] <= next_b[35:18];
    end
    if (RSTB) read_b_q <= '0;
    else if (CEB && (!WEB || WRITEMODE_B != "NORMAL")) begin
      read_b_q <= word(DATA_WIDTH_B, address_b,
                       WEB && WRITEMODE_B == "WRITETHROUGH" ? next_b : pair_b);
    end
  end

  // a memory without a reset has the mode ASYNC, and its reset is low
  always_ff @(posedge CLKA) begin
    if (RESETMODE != "SYNC" && RSTA) $fatal(1, "DP16KD: no asynchronous reset");
  end
  always_ff @(posedge CLKB) begin
    if (RESETMODE != "SYNC" && RSTB) $fatal(1, "DP16KD: no asynchronous reset");
  end

  if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX != "CLKA"
      || CLKBMUX != "CLKB") begin : gen_illegal
    $fatal(1, "DP16KD: no output registers, no inverted clock");
  end
endmodule

module MULT18X18D #(
    string REG_INPUTA_CLK = "NONE",
    string REG_INPUTB_CLK = "NONE",
    string REG_INPUTC_CLK = "NONE",
    string REG_PIPELINE_CLK = "NONE",
    string REG_OUTPUT_CLK = "NONE"
) (
    input logic A17, A16, A15, A14, A13, A12, A11, A10, A9,
    input logic A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input logic B17, B16, B15, B14, B13, B12, B11, B10, B9,
    input logic B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input logic C17, C16, C15, C14, C13, C12, C11, C10, C9,
    input logic C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input logic SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input logic CLK3, CLK2, CLK1, CLK0, CE3, CE2, CE1, CE0, RST3, RST2, RST1, RST0,
    output logic P35, P34, P33, P32, P31, P30, P29, P28, P27,
    output logic P26, P25, P24, P23, P22, P21, P20, P19, P18,
    output logic P17, P16, P15, P14, P13, P12, P11, P10, P9,
    output logic P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  logic signed [18:0] a, b;
  logic signed [37:0] product;

  assign a[17:0] = {
    A17, A16, A15, A14, A13, A12, A11, A10, A9,
    A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  assign b[17:0] = {
    B17, B16, B15, B14, B13, B12, B11, B10, B9,
    B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  assign a[18] = SIGNEDA && A17;
  assign b[18] = SIGNEDB && B17;
  assign product = a * b;
  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27,
    P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9,
    P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = product[35:0];

  if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
      || REG_PIPELINE_CLK != "NONE" || REG_OUTPUT_CLK != "NONE") begin : gen_illegal
    $fatal(1, "MULT18X18D: no registers");
  end
endmodule
