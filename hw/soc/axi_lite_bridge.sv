// SPDX-License-Identifier: MIT
//
// Bridge from a processor's bus, one access at a time, to an AXI4-Lite master.
//
// An access is held, `valid` high, until `ready`, which comes with the read data for one clock.
// `fault` is then high if the response was an error. Reset: no access in progress.

module axi_lite_bridge #(
    int unsigned ADDRESS_WIDTH = 12
) (
    input  logic                     clk,
    input  logic                     rst_n,
    input  logic                     valid,
    output logic                     ready,
    output logic                     fault,
    input  logic [ADDRESS_WIDTH-1:0] address,
    input  logic [              3:0] write,  // bytes to write; none: read
    input  logic [             31:0] write_data,
    output logic [             31:0] read_data,
    output logic                     m_axil_awvalid,
    input  logic                     m_axil_awready,
    output logic [ADDRESS_WIDTH-1:0] m_axil_awaddr,
    output logic                     m_axil_wvalid,
    input  logic                     m_axil_wready,
    output logic [             31:0] m_axil_wdata,
    output logic [              3:0] m_axil_wstrb,
    input  logic                     m_axil_bvalid,
    output logic                     m_axil_bready,
    input  logic [              1:0] m_axil_bresp,
    output logic                     m_axil_arvalid,
    input  logic                     m_axil_arready,
    output logic [ADDRESS_WIDTH-1:0] m_axil_araddr,
    input  logic                     m_axil_rvalid,
    output logic                     m_axil_rready,
    input  logic [             31:0] m_axil_rdata,
    input  logic [              1:0] m_axil_rresp
);
  logic writes, address_sent_q, data_sent_q;

  assign writes         = write != '0;
  assign m_axil_awvalid = valid && writes && !address_sent_q;
  assign m_axil_awaddr  = address;
  assign m_axil_wvalid  = valid && writes && !data_sent_q;
  assign m_axil_wdata   = write_data;
  assign m_axil_wstrb   = write;
  assign m_axil_bready  = 1'b1;
  assign m_axil_arvalid = valid && !writes && !address_sent_q;
  assign m_axil_araddr  = address;
  assign m_axil_rready  = 1'b1;
  assign ready          = writes ? m_axil_bvalid : m_axil_rvalid;
  assign read_data      = m_axil_rdata;
  assign fault          = ready && (writes ? m_axil_bresp[1] : m_axil_rresp[1]);

  logic unused_resp;
  assign unused_resp = ^{m_axil_bresp[0], m_axil_rresp[0]};

  always_ff @(posedge clk) begin
    if (!rst_n || ready) begin
      address_sent_q <= 1'b0;
      data_sent_q    <= 1'b0;
    end else begin
      if (m_axil_awvalid && m_axil_awready) address_sent_q <= 1'b1;
      if (m_axil_arvalid && m_axil_arready) address_sent_q <= 1'b1;
      if (m_axil_wvalid && m_axil_wready) data_sent_q <= 1'b1;
    end
  end
endmodule
