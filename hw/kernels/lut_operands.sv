// SPDX-License-Identifier: MIT
//
// Operands of the units built of LUTs, lut_mvu and lut_vvu: what their parameters may be.
//
// It has no ports and no logic: an illegal parameter stops elaboration.

module lut_operands #(
    int unsigned WEIGHT_WIDTH = 2,
    bit SIGNED_WEIGHTS = 1'b1,
    bit BIPOLAR_WEIGHTS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACTIVATION_WIDTH = 2,
    bit SIGNED_ACTIVATIONS = 1'b0,
    bit BIPOLAR_ACTIVATIONS = 1'b0,  // 1 bit, -1 or 1
    int unsigned ACCU_WIDTH = 8  // at most 32
);
  if (WEIGHT_WIDTH < 1 || WEIGHT_WIDTH > 16) begin : gen_illegal
    $fatal(1, "lut_operands: weights have 1 to 16 bits");
  end else if (ACTIVATION_WIDTH < 1 || ACTIVATION_WIDTH > 16) begin : gen_illegal
    $fatal(1, "lut_operands: activations have 1 to 16 bits");
  end else if (BIPOLAR_WEIGHTS && (WEIGHT_WIDTH != 1 || SIGNED_WEIGHTS)) begin : gen_illegal
    $fatal(1, "lut_operands: bipolar weights have 1 bit and are not SIGNED_WEIGHTS");
  end else if (BIPOLAR_ACTIVATIONS
      && (ACTIVATION_WIDTH != 1 || SIGNED_ACTIVATIONS)) begin : gen_illegal
    $fatal(1, "lut_operands: bipolar activations have 1 bit and are not SIGNED_ACTIVATIONS");
  end else if (ACCU_WIDTH > 32) begin : gen_illegal
    $fatal(1, "lut_operands: an output has at most 32 bits");
  end
endmodule
