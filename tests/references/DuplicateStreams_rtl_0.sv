module DuplicateStreams_rtl_0 (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [7:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [7:0] out0_V_TDATA,
    output logic out1_V_TVALID,
    input  logic out1_V_TREADY,
    output logic [7:0] out1_V_TDATA
);
  duplicator #(
    .OUTPUTS(2),
    .WIDTH(8)
  ) u_kernel (
    .clk(ap_clk),
    .rst_n(ap_rst_n),
    .s_axis_tvalid(in0_V_TVALID),
    .s_axis_tready(in0_V_TREADY),
    .s_axis_tdata(in0_V_TDATA),
    .m_axis_tvalid({out1_V_TVALID, out0_V_TVALID}),
    .m_axis_tready({out1_V_TREADY, out0_V_TREADY}),
    .m_axis_tdata({out1_V_TDATA, out0_V_TDATA})
  );
endmodule
