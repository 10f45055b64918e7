// One noise tap: fc.acc
module NoiseTap_rtl_1 (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic        cfg_valid,
    input  logic [7:0]  cfg_site,
    input  logic [3:0]  cfg_addr,
    input  logic [31:0] cfg_data,
    output logic        cfg_pending,
    output logic        cfg_late,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [15:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [31:0] out0_V_TDATA,
    output logic        digest_valid,
    output logic [31:0] digest
);
  // a simulator is faster with all of a beat in a clock; the numbers are the same
`ifdef SYNTHESIS
  localparam int unsigned Cores = 0;
  localparam int unsigned DigestLanes = 0;
`else
  localparam int unsigned Cores = 0;
  localparam int unsigned DigestLanes = 0;
`endif
  noise_tap #(
      .CHANNELS(2),
      .PE(2),
      .PIXELS(1),
      .IN_WIDTH(8),
      .IN_SIGNED(1'b1),
      .FRAC(8),
      .ROUND(1'b0),
      .BIPOLAR(1'b0),
      .OUT_WIDTH(16),
      .OUT_SIGNED(1'b1),
      .OUT_MIN(-64'sd32768),
      .OUT_MAX(64'sd32767),
      .OFFSET_WIDTH(3),
      .OFFSETS(6'h15),
      .SITE(2),
      .KINDS(6'd63),
      .CORES(Cores),
      .SOURCES(1),
      .DIGEST_LANES(DigestLanes)
  ) u_tap (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .cfg_valid, .cfg_site, .cfg_addr, .cfg_data, .cfg_pending, .cfg_late,
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA),
      .digest_valid, .digest
  );
endmodule
