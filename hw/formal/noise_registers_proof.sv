// SPDX-License-Identifier: MIT
//
// Proof that the register file, generated from registers.rdl for one tap, obeys AXI4-Lite.

module noise_registers_proof (
    input logic                                       clk,
    input logic                                       run,
    input noise_registers_pkg::noise_registers__in_t  hwif_in,
    input logic                                       awvalid,
    input logic                                [ 8:0] awaddr,
    input logic                                       wvalid,
    input logic                                [31:0] wdata,
    input logic                                [ 3:0] wstrb,
    input logic                                       bready,
    input logic                                       arvalid,
    input logic                                [ 8:0] araddr,
    input logic                                       rready
);
  logic rst_n, awready, wready, bvalid, arready, rvalid;
  logic [1:0] bresp, rresp;
  logic [31:0] rdata;
  noise_registers_pkg::noise_registers__out_t hwif_out;

  proof_reset u_reset (.*);

  noise_registers dut (
      .clk,
      .rst_n,
      .s_axil_awready(awready),
      .s_axil_awvalid(awvalid),
      .s_axil_awaddr(awaddr),
      .s_axil_awprot('0),
      .s_axil_wready(wready),
      .s_axil_wvalid(wvalid),
      .s_axil_wdata(wdata),
      .s_axil_wstrb(wstrb),
      .s_axil_bready(bready),
      .s_axil_bvalid(bvalid),
      .s_axil_bresp(bresp),
      .s_axil_arready(arready),
      .s_axil_arvalid(arvalid),
      .s_axil_araddr(araddr),
      .s_axil_arprot('0),
      .s_axil_rready(rready),
      .s_axil_rvalid(rvalid),
      .s_axil_rdata(rdata),
      .s_axil_rresp(rresp),
      .hwif_in,
      .hwif_out
  );

  axi_lite_checker #(
      .ADDRESS_WIDTH(9),
      .ONE(1'b0)
  ) u_port (
      .clk,
      .rst_n,
      .awvalid,
      .awready,
      .awaddr,
      .wvalid,
      .wready,
      .wdata({wdata, wstrb}),
      .bvalid,
      .bready,
      .bresp,
      .arvalid,
      .arready,
      .araddr,
      .rvalid,
      .rready,
      .rdata({rdata, rresp})
  );

  // answers that wait in the file's buffer, and the writes among them
  logic [1:0] answers, writes;
  assign answers = dut.axil_resp_wptr - dut.axil_resp_rptr;
  always_comb begin
    writes = '0;
    if (answers >= 2'd1) writes += 2'(dut.axil_resp_buffer_is_wr[dut.axil_resp_rptr[0]]);
    if (answers == 2'd2) writes += 2'(dut.axil_resp_buffer_is_wr[!dut.axil_resp_rptr[0]]);
  end

  always_ff @(posedge clk) begin
    if (rst_n) begin
      bounds : assert (answers <= 2'd2 && dut.axil_n_in_flight == answers);
      write_addresses : assert (u_port.addresses_q == 2'(dut.axil_awvalid) + writes);
      write_data : assert (u_port.data_q == 2'(dut.axil_wvalid) + writes);
      reads : assert (u_port.reads_q == 2'(dut.axil_arvalid) + answers - writes);
    end
  end
endmodule
