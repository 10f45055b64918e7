module MVAU_rtl_0 #(
    parameter SHORT_PATHS = 0
) (
    input  ap_clk,
    input  ap_clk2x,
    input  ap_rst_n,
    input  in1_V_TVALID,
    output in1_V_TREADY,
    input  [7:0] in1_V_TDATA,
    input  in0_V_TVALID,
    output in0_V_TREADY,
    input  [7:0] in0_V_TDATA,
    output out0_V_TVALID,
    input  out0_V_TREADY,
    output [15:0] out0_V_TDATA
);
  lut_mvu #(
      .MW(4),
      .MH(2),
      .PE(2),
      .SIMD(2),
      .WEIGHT_WIDTH(2),
      .SIGNED_WEIGHTS(1'b1),
      .BIPOLAR_WEIGHTS(1'b0),
      .ACTIVATION_WIDTH(4),
      .SIGNED_ACTIVATIONS(1'b1),
      .BIPOLAR_ACTIVATIONS(1'b0),
      .ACCU_WIDTH(8),
      .SHORT_PATHS(SHORT_PATHS)
  ) u_mvu (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .weights_tvalid(in1_V_TVALID), .weights_tready(in1_V_TREADY), .weights_tdata(in1_V_TDATA),
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY),
      .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA)
  );
endmodule
