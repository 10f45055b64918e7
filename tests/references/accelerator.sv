// Generated: the nodes of one accelerator, wired.
module accelerator #(
    bit PIPELINE = 1'b0  // FIFOs at the input, taps and units, and registers in units, cut paths
) (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [7:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [7:0] out0_V_TDATA,
    input  logic        cfg_valid,
    input  logic [7:0]  cfg_site,
    input  logic [3:0]  cfg_addr,
    input  logic [31:0] cfg_data,
    output logic [1:0] cfg_pending,
    output logic [1:0] cfg_late,
    output logic [1:0] digest_valid,
    output logic [1:0][31:0] digest,
    output logic scores_valid,
    output logic [39:0] scores_data
);
  logic images_valid, images_ready;
  logic [7:0] images_data;
  logic images_produced_valid, images_produced_ready;
  logic [7:0] images_produced_data;
  logic padded_valid, padded_ready;
  logic [7:0] padded_data;
  logic short_valid, short_ready;
  logic [7:0] short_data;
  logic short_produced_valid, short_produced_ready;
  logic [7:0] short_produced_data;
  logic long_valid, long_ready;
  logic [7:0] long_data;
  logic product_valid, product_ready;
  logic [15:0] product_data;
  logic product_produced_valid, product_produced_ready;
  logic [15:0] product_produced_data;
  logic noisy_valid, noisy_ready;
  logic [31:0] noisy_data;
  logic noisy_produced_valid, noisy_produced_ready;
  logic [31:0] noisy_produced_data;
  logic term_valid, term_ready;
  logic [7:0] term_data;
  logic term_produced_valid, term_produced_ready;
  logic [7:0] term_produced_data;
  logic sum_valid, sum_ready;
  logic [39:0] sum_data;
  logic labels_valid, labels_ready;
  logic [7:0] labels_data;
  logic MVAU_rtl_0_weights_valid, MVAU_rtl_0_weights_ready;
  logic [7:0] MVAU_rtl_0_weights_data;
  logic MVAU_rtl_0_weights_produced_valid, MVAU_rtl_0_weights_produced_ready;
  logic [7:0] MVAU_rtl_0_weights_produced_data;

  assign images_produced_valid = in0_V_TVALID;
  assign images_produced_data = in0_V_TDATA;
  assign in0_V_TREADY = images_produced_ready;
  assign out0_V_TVALID = labels_valid;
  assign out0_V_TDATA = labels_data;
  assign labels_ready = out0_V_TREADY;
  assign scores_valid = sum_valid && sum_ready;
  assign scores_data = sum_data;

  if (PIPELINE) begin : gen_images
    stream_fifo #(
        .DEPTH(2),
        .WIDTH(8)
    ) u_images (
        .clk(ap_clk),
        .rst_n(ap_rst_n),
        .s_axis_tvalid(images_produced_valid),
        .s_axis_tready(images_produced_ready),
        .s_axis_tdata(images_produced_data),
        .m_axis_tvalid(images_valid),
        .m_axis_tready(images_ready),
        .m_axis_tdata(images_data)
    );
  end else begin : gen_images
    assign images_valid = images_produced_valid;
    assign images_data = images_produced_data;
    assign images_produced_ready = images_ready;
  end
  if (PIPELINE) begin : gen_short
    stream_fifo #(
        .DEPTH(2),
        .WIDTH(8)
    ) u_short (
        .clk(ap_clk),
        .rst_n(ap_rst_n),
        .s_axis_tvalid(short_produced_valid),
        .s_axis_tready(short_produced_ready),
        .s_axis_tdata(short_produced_data),
        .m_axis_tvalid(short_valid),
        .m_axis_tready(short_ready),
        .m_axis_tdata(short_data)
    );
  end else begin : gen_short
    assign short_valid = short_produced_valid;
    assign short_data = short_produced_data;
    assign short_produced_ready = short_ready;
  end
  if (PIPELINE) begin : gen_product
    stream_fifo #(
        .DEPTH(2),
        .WIDTH(16)
    ) u_product (
        .clk(ap_clk),
        .rst_n(ap_rst_n),
        .s_axis_tvalid(product_produced_valid),
        .s_axis_tready(product_produced_ready),
        .s_axis_tdata(product_produced_data),
        .m_axis_tvalid(product_valid),
        .m_axis_tready(product_ready),
        .m_axis_tdata(product_data)
    );
  end else begin : gen_product
    assign product_valid = product_produced_valid;
    assign product_data = product_produced_data;
    assign product_produced_ready = product_ready;
  end
  if (PIPELINE) begin : gen_noisy
    stream_fifo #(
        .DEPTH(2),
        .WIDTH(32)
    ) u_noisy (
        .clk(ap_clk),
        .rst_n(ap_rst_n),
        .s_axis_tvalid(noisy_produced_valid),
        .s_axis_tready(noisy_produced_ready),
        .s_axis_tdata(noisy_produced_data),
        .m_axis_tvalid(noisy_valid),
        .m_axis_tready(noisy_ready),
        .m_axis_tdata(noisy_data)
    );
  end else begin : gen_noisy
    assign noisy_valid = noisy_produced_valid;
    assign noisy_data = noisy_produced_data;
    assign noisy_produced_ready = noisy_ready;
  end
  if (PIPELINE) begin : gen_term
    stream_fifo #(
        .DEPTH(2),
        .WIDTH(8)
    ) u_term (
        .clk(ap_clk),
        .rst_n(ap_rst_n),
        .s_axis_tvalid(term_produced_valid),
        .s_axis_tready(term_produced_ready),
        .s_axis_tdata(term_produced_data),
        .m_axis_tvalid(term_valid),
        .m_axis_tready(term_ready),
        .m_axis_tdata(term_data)
    );
  end else begin : gen_term
    assign term_valid = term_produced_valid;
    assign term_data = term_produced_data;
    assign term_produced_ready = term_ready;
  end
  if (PIPELINE) begin : gen_MVAU_rtl_0_weights
    stream_fifo #(
        .DEPTH(2),
        .WIDTH(8)
    ) u_MVAU_rtl_0_weights (
        .clk(ap_clk),
        .rst_n(ap_rst_n),
        .s_axis_tvalid(MVAU_rtl_0_weights_produced_valid),
        .s_axis_tready(MVAU_rtl_0_weights_produced_ready),
        .s_axis_tdata(MVAU_rtl_0_weights_produced_data),
        .m_axis_tvalid(MVAU_rtl_0_weights_valid),
        .m_axis_tready(MVAU_rtl_0_weights_ready),
        .m_axis_tdata(MVAU_rtl_0_weights_data)
    );
  end else begin : gen_MVAU_rtl_0_weights
    assign MVAU_rtl_0_weights_valid = MVAU_rtl_0_weights_produced_valid;
    assign MVAU_rtl_0_weights_data = MVAU_rtl_0_weights_produced_data;
    assign MVAU_rtl_0_weights_produced_ready = MVAU_rtl_0_weights_ready;
  end

  FMPadding_rtl_0 u_FMPadding_rtl_0 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .s_axilite_AWVALID('0), .s_axilite_AWADDR('0),
      .s_axilite_WVALID('0), .s_axilite_WDATA('0), .s_axilite_WSTRB('0),
      .s_axilite_ARVALID('0), .s_axilite_ARADDR('0),
      .s_axilite_BREADY(1'b1), .s_axilite_RREADY(1'b1),
      .s_axilite_AWREADY(), .s_axilite_WREADY(), .s_axilite_BVALID(), .s_axilite_BRESP(),
      .s_axilite_ARREADY(), .s_axilite_RVALID(), .s_axilite_RDATA(), .s_axilite_RRESP(),
      .in0_V_TVALID(images_valid),
      .in0_V_TREADY(images_ready),
      .in0_V_TDATA(images_data),
      .out0_V_TVALID(padded_valid),
      .out0_V_TREADY(padded_ready),
      .out0_V_TDATA(padded_data)
  );

  DuplicateStreams_rtl_0 u_DuplicateStreams_rtl_0 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .in0_V_TVALID(padded_valid),
      .in0_V_TREADY(padded_ready),
      .in0_V_TDATA(padded_data),
      .out0_V_TVALID(long_valid),
      .out0_V_TREADY(long_ready),
      .out0_V_TDATA(long_data),
      .out1_V_TVALID(short_produced_valid),
      .out1_V_TREADY(short_produced_ready),
      .out1_V_TDATA(short_produced_data)
  );

  NoiseTap_rtl_0 u_NoiseTap_rtl_0 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .cfg_valid(cfg_valid),
      .cfg_site(cfg_site),
      .cfg_addr(cfg_addr),
      .cfg_data(cfg_data),
      .cfg_pending(cfg_pending[1]),
      .cfg_late(cfg_late[1]),
      .digest_valid(digest_valid[1]),
      .digest(digest[1]),
      .in0_V_TVALID(short_valid),
      .in0_V_TREADY(short_ready),
      .in0_V_TDATA(short_data),
      .out0_V_TVALID(term_produced_valid),
      .out0_V_TREADY(term_produced_ready),
      .out0_V_TDATA(term_produced_data)
  );

  MVAU_rtl_0_memstream_wrapper u_MVAU_rtl_0_weights (
      .ap_clk(ap_clk), .ap_clk2x(ap_clk), .ap_rst_n(ap_rst_n),
      .s_axilite_AWVALID('0), .s_axilite_AWADDR('0),
      .s_axilite_WVALID('0), .s_axilite_WDATA('0), .s_axilite_WSTRB('0),
      .s_axilite_ARVALID('0), .s_axilite_ARADDR('0),
      .s_axilite_BREADY(1'b1), .s_axilite_RREADY(1'b1),
      .s_axilite_AWREADY(), .s_axilite_WREADY(), .s_axilite_BVALID(), .s_axilite_BRESP(),
      .s_axilite_ARREADY(), .s_axilite_RVALID(), .s_axilite_RDATA(), .s_axilite_RRESP(),
      .s_axilite_AWPROT('0), .s_axilite_ARPROT('0),
      .s_axis_0_tready(), .s_axis_0_tvalid(1'b0), .s_axis_0_tdata('0),
      .m_axis_0_tready(MVAU_rtl_0_weights_produced_ready),
      .m_axis_0_tvalid(MVAU_rtl_0_weights_produced_valid),
      .m_axis_0_tdata(MVAU_rtl_0_weights_produced_data)
  );
  MVAU_rtl_0 #(.SHORT_PATHS(PIPELINE)) u_MVAU_rtl_0 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .ap_clk2x(ap_clk),
      .in1_V_TVALID(MVAU_rtl_0_weights_valid),
      .in1_V_TREADY(MVAU_rtl_0_weights_ready),
      .in1_V_TDATA(MVAU_rtl_0_weights_data),
      .in0_V_TVALID(long_valid),
      .in0_V_TREADY(long_ready),
      .in0_V_TDATA(long_data),
      .out0_V_TVALID(product_produced_valid),
      .out0_V_TREADY(product_produced_ready),
      .out0_V_TDATA(product_produced_data)
  );

  NoiseTap_rtl_1 u_NoiseTap_rtl_1 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .cfg_valid(cfg_valid),
      .cfg_site(cfg_site),
      .cfg_addr(cfg_addr),
      .cfg_data(cfg_data),
      .cfg_pending(cfg_pending[0]),
      .cfg_late(cfg_late[0]),
      .digest_valid(digest_valid[0]),
      .digest(digest[0]),
      .in0_V_TVALID(product_valid),
      .in0_V_TREADY(product_ready),
      .in0_V_TDATA(product_data),
      .out0_V_TVALID(noisy_produced_valid),
      .out0_V_TREADY(noisy_produced_ready),
      .out0_V_TDATA(noisy_produced_data)
  );

  AddStreams_rtl_0 u_AddStreams_rtl_0 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .in0_V_TVALID(noisy_valid),
      .in0_V_TREADY(noisy_ready),
      .in0_V_TDATA(noisy_data),
      .in1_V_TVALID(term_valid),
      .in1_V_TREADY(term_ready),
      .in1_V_TDATA(term_data),
      .out0_V_TVALID(sum_valid),
      .out0_V_TREADY(sum_ready),
      .out0_V_TDATA(sum_data)
  );

  LabelSelect_rtl_0 u_LabelSelect_rtl_0 (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .in0_V_TVALID(sum_valid),
      .in0_V_TREADY(sum_ready),
      .in0_V_TDATA(sum_data),
      .out0_V_TVALID(labels_valid),
      .out0_V_TREADY(labels_ready),
      .out0_V_TDATA(labels_data)
  );

endmodule
