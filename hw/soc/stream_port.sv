// SPDX-License-Identifier: MIT
//
// An accelerator between AXI4-Streams, with its taps' registers on AXI4-Lite.
//
// The registers (port_registers.sv) are those of accelerator_port, without its runs: images come on
// s_axis as they are sent, labels leave on m_axis, a beat each. m_axis_tlast marks the label of
// every IMAGES-th image since reset, as a DMA wants it, or of each image if IMAGES is 0; the
// interrupt `done` is that beat. A start is refused. CONTROL.reset empties the accelerator for 16
// clocks, in which s_axis is not ready. Reset: empty, no noise.

module stream_port #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0,  // numbers of the taps
    int unsigned IN_BITS = 8,  // input stream, bits a beat
    int unsigned BEATS = 1,  // input beats an image
    int unsigned SCORE_BITS = 32,  // stream into label select, bits a beat
    int unsigned LABEL_BITS = 8,
    bit PIPELINE = 1'b1,  // cut the chain of ready at the input and each tap
    localparam int unsigned AddressWidth = noise_registers_pkg::NOISE_REGISTERS_MIN_ADDR_WIDTH
) (
    input  logic                    clk,
    input  logic                    rst_n,
    output logic                    irq,
    input  logic                    s_axil_awvalid,
    output logic                    s_axil_awready,
    input  logic [AddressWidth-1:0] s_axil_awaddr,
    input  logic [             2:0] s_axil_awprot,
    input  logic                    s_axil_wvalid,
    output logic                    s_axil_wready,
    input  logic [            31:0] s_axil_wdata,
    input  logic [             3:0] s_axil_wstrb,
    output logic                    s_axil_bvalid,
    input  logic                    s_axil_bready,
    output logic [             1:0] s_axil_bresp,
    input  logic                    s_axil_arvalid,
    output logic                    s_axil_arready,
    input  logic [AddressWidth-1:0] s_axil_araddr,
    input  logic [             2:0] s_axil_arprot,
    output logic                    s_axil_rvalid,
    input  logic                    s_axil_rready,
    output logic [            31:0] s_axil_rdata,
    output logic [             1:0] s_axil_rresp,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,
    input  logic [     IN_BITS-1:0] s_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready,
    output logic [  LABEL_BITS-1:0] m_axis_tdata,
    output logic                    m_axis_tlast
);
  localparam logic [2:0] Busy = 3'd1;

  logic cfg_valid;
  logic [7:0] cfg_site;
  logic [3:0] cfg_addr;
  logic [31:0] cfg_data;
  logic [TAPS-1:0] cfg_pending, cfg_late, digest_valid;
  logic [TAPS-1:0][31:0] digest;
  logic unused_scores_valid;
  logic [SCORE_BITS-1:0] unused_scores;
  logic start, unused_resetting;
  logic [31:0] unused_image_address, unused_result_address;

  logic [31:0] beat_q, images_in_q, images_out_q, packet_q, packet;
  logic [7:0] label_q;
  logic accelerator_rst_n, images_ready, taken, given, last;

  port_registers #(
      .TAPS(TAPS),
      .SITES(SITES)
  ) u_registers (
      .clk,
      .rst_n,
      .irq,
      .s_axil_awvalid,
      .s_axil_awready,
      .s_axil_awaddr,
      .s_axil_awprot,
      .s_axil_wvalid,
      .s_axil_wready,
      .s_axil_wdata,
      .s_axil_wstrb,
      .s_axil_bvalid,
      .s_axil_bready,
      .s_axil_bresp,
      .s_axil_arvalid,
      .s_axil_arready,
      .s_axil_araddr,
      .s_axil_arprot,
      .s_axil_rvalid,
      .s_axil_rready,
      .s_axil_rdata,
      .s_axil_rresp,
      .accelerator_rst_n,
      .resetting(unused_resetting),
      .start,
      .decided(start),
      .cause(Busy),
      .image_address(unused_image_address),
      .result_address(unused_result_address),
      .images(packet),
      .busy(images_in_q != images_out_q || beat_q != '0),
      .done(given && last),
      .images_in(images_in_q),
      .images_out(images_out_q),
      .cycles('0),
      .label_out(label_q),
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data,
      .cfg_pending,
      .cfg_late,
      .digest_valid,
      .digest
  );

  // counters of the streams
  assign s_axis_tready = images_ready && accelerator_rst_n;
  assign taken         = s_axis_tvalid && s_axis_tready;
  assign given         = m_axis_tvalid && m_axis_tready;
  assign last          = packet_q + 1 >= packet;
  assign m_axis_tlast  = last;

  always_ff @(posedge clk) begin
    if (!accelerator_rst_n) begin
      beat_q       <= '0;
      images_in_q  <= '0;
      images_out_q <= '0;
      packet_q     <= '0;
    end else begin
      if (taken) begin
        beat_q <= beat_q == BEATS - 1 ? '0 : beat_q + 1;
        if (beat_q == BEATS - 1) images_in_q <= images_in_q + 1;
      end
      if (given) begin
        images_out_q <= images_out_q + 1;
        packet_q     <= last ? '0 : packet_q + 1;
      end
    end
  end

  always_ff @(posedge clk) if (given) label_q <= 8'(m_axis_tdata);

  accelerator #(
      .PIPELINE(PIPELINE)
  ) u_accelerator (
      .ap_clk(clk),
      .ap_rst_n(accelerator_rst_n),
      .in0_V_TVALID(s_axis_tvalid && accelerator_rst_n),
      .in0_V_TREADY(images_ready),
      .in0_V_TDATA(s_axis_tdata),
      .out0_V_TVALID(m_axis_tvalid),
      .out0_V_TREADY(m_axis_tready),
      .out0_V_TDATA(m_axis_tdata),
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data,
      .cfg_pending,
      .cfg_late,
      .digest_valid,
      .digest,
      .scores_valid(unused_scores_valid),
      .scores_data(unused_scores)
  );
endmodule
