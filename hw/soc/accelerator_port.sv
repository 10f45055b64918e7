// SPDX-License-Identifier: MIT
//
// Interface between a microcontroller and an accelerator: registers, memory access, an interrupt.
//
// The registers (port_registers.sv) answer on AXI4-Lite. A run streams images from memory into the
// accelerator and writes labels and logits back (run_control.sv). Reset, or CONTROL.reset for 16
// clocks, empties reader, writer and accelerator.
//
// It does not order its two memory ports: images and results of a run must not overlap.

module accelerator_port #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0,  // numbers of the taps
    int unsigned IN_BITS = 8,  // input stream, bits a beat
    int unsigned BEATS = 1,  // input beats an image
    int unsigned CLASSES = 10,
    int unsigned PE = 1,  // logits of a beat into label select
    int unsigned SCORE_WIDTH = 32,
    int unsigned LABEL_BITS = 8,
    int unsigned MEMORY_BYTES = 65536,
    localparam int unsigned ScoreBits = (PE * SCORE_WIDTH + 7) / 8 * 8,
    localparam int unsigned AddressWidth = noise_registers_pkg::NOISE_REGISTERS_MIN_ADDR_WIDTH
) (
    input  logic                    clk,
    input  logic                    rst_n,
    output logic                    irq,
    input  logic                    s_axil_awvalid,
    output logic                    s_axil_awready,
    input  logic [AddressWidth-1:0] s_axil_awaddr,
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
    output logic                    s_axil_rvalid,
    input  logic                    s_axil_rready,
    output logic [            31:0] s_axil_rdata,
    output logic [             1:0] s_axil_rresp,
    output logic                    read_valid,
    input  logic                    read_ready,
    output logic [            31:0] read_address,
    input  logic [            31:0] read_data,
    output logic                    write_valid,
    input  logic                    write_ready,
    output logic [            31:0] write_address,
    output logic [            31:0] write_data,
    output logic                    accelerator_rst_n,
    output logic                    cfg_valid,
    output logic [             7:0] cfg_site,
    output logic [             3:0] cfg_addr,
    output logic [            31:0] cfg_data,
    input  logic [        TAPS-1:0] cfg_pending,
    input  logic [        TAPS-1:0] cfg_late,
    input  logic [        TAPS-1:0] digest_valid,
    input  logic [  TAPS-1:0][31:0] digest,
    input  logic                    scores_valid,
    input  logic [   ScoreBits-1:0] scores_data,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready,
    output logic [     IN_BITS-1:0] m_axis_tdata,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,
    input  logic [  LABEL_BITS-1:0] s_axis_tdata
);
  logic asked, start, decided, resetting, running_q, ended;
  logic [2:0] cause;
  logic [31:0] image_address, result_address, images;  // as they are written
  logic [31:0] run_image_address, run_result_address, run_images;  // of the run
  logic [31:0] images_in, images_out, cycles;
  logic [7:0] label_out;

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
      .s_axil_awprot('0),
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
      .s_axil_arprot('0),
      .s_axil_rvalid,
      .s_axil_rready,
      .s_axil_rdata,
      .s_axil_rresp,
      .accelerator_rst_n,
      .resetting,
      .start(asked),
      .decided,
      .cause,
      .image_address,
      .result_address,
      .images,
      .busy(running_q),
      .done(ended),
      .images_in,
      .images_out,
      .cycles,
      .label_out,
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data,
      .cfg_pending,
      .cfg_late,
      .digest_valid,
      .digest
  );

  run_control #(
      .IMAGE_BYTES(4 * noise_registers_pkg::NUM_WORDS),
      .RESULT_BYTES(4 * (CLASSES + 1)),
      .MEMORY_BYTES(MEMORY_BYTES)
  ) u_control (
      .clk,
      .rst_n(accelerator_rst_n),
      .asked,
      .resetting,
      .image_address,
      .result_address,
      .images,
      .decided,
      .cause,
      .start,
      .run_image_address,
      .run_result_address,
      .run_images,
      .images_out,
      .running(running_q),
      .ended,
      .cycles
  );

  image_reader #(
      .BEAT_BITS(IN_BITS),
      .BEATS(BEATS)
  ) u_reader (
      .clk,
      .rst_n(accelerator_rst_n),
      .start,
      .address(run_image_address),
      .images(run_images),
      .images_in,
      .mem_valid(read_valid),
      .mem_ready(read_ready),
      .mem_address(read_address),
      .mem_data(read_data),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  result_writer #(
      .CLASSES(CLASSES),
      .PE(PE),
      .SCORE_WIDTH(SCORE_WIDTH),
      .LABEL_BITS(LABEL_BITS)
  ) u_writer (
      .clk,
      .rst_n(accelerator_rst_n),
      .start,
      .address(run_result_address),
      .images_out,
      .label_out,
      .scores_valid,
      .scores_data,
      .s_axis_tvalid,
      .s_axis_tready,
      .s_axis_tdata,
      .mem_valid(write_valid),
      .mem_ready(write_ready),
      .mem_address(write_address),
      .mem_data(write_data)
  );
endmodule
