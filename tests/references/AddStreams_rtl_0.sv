module AddStreams_rtl_0 (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [31:0] in0_V_TDATA,
    input  logic in1_V_TVALID,
    output logic in1_V_TREADY,
    input  logic [7:0] in1_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [39:0] out0_V_TDATA
);
  adder #(
    .PE(2),
    .A_WIDTH(16),
    .A_SIGNED(1),
    .B_WIDTH(4),
    .B_SIGNED(1),
    .OUT_WIDTH(17)
  ) u_kernel (
    .clk(ap_clk),
    .rst_n(ap_rst_n),
    .a_axis_tvalid(in0_V_TVALID),
    .a_axis_tready(in0_V_TREADY),
    .a_axis_tdata(in0_V_TDATA),
    .b_axis_tvalid(in1_V_TVALID),
    .b_axis_tready(in1_V_TREADY),
    .b_axis_tdata(in1_V_TDATA),
    .m_axis_tvalid(out0_V_TVALID),
    .m_axis_tready(out0_V_TREADY),
    .m_axis_tdata(out0_V_TDATA)
  );
endmodule
