// SPDX-License-Identifier: MIT
//
// Proof of axi_lite_bridge: an access makes one request of AXI4-Lite and ends with its answer.
//
//   kind     a write makes a write's requests, a read a read's
//   content  address and data are those of the access
//   answer   the access ends with the answer, whose data and response it gets

module axi_lite_bridge_proof (
    input logic        clk,
    input logic        run,
    input logic        valid,
    input logic [ 3:0] address,
    input logic [ 3:0] write,
    input logic [31:0] write_data,
    input logic        awready,
    input logic        wready,
    input logic        bvalid,
    input logic [ 1:0] bresp,
    input logic        arready,
    input logic        rvalid,
    input logic [31:0] rdata,
    input logic [ 1:0] rresp
);
  logic rst_n, ready, fault, awvalid, wvalid, bready, arvalid, rready;
  logic [3:0] awaddr, wstrb, araddr;
  logic [31:0] read_data, wdata;
  logic writes, held_q;
  logic [39:0] access, access_q;

  proof_reset u_reset (.*);

  axi_lite_bridge #(
      .ADDRESS_WIDTH(4)
  ) dut (
      .clk,
      .rst_n,
      .valid,
      .ready,
      .fault,
      .address,
      .write,
      .write_data,
      .read_data,
      .m_axil_awvalid(awvalid),
      .m_axil_awready(awready),
      .m_axil_awaddr(awaddr),
      .m_axil_wvalid(wvalid),
      .m_axil_wready(wready),
      .m_axil_wdata(wdata),
      .m_axil_wstrb(wstrb),
      .m_axil_bvalid(bvalid),
      .m_axil_bready(bready),
      .m_axil_bresp(bresp),
      .m_axil_arvalid(arvalid),
      .m_axil_arready(arready),
      .m_axil_araddr(araddr),
      .m_axil_rvalid(rvalid),
      .m_axil_rready(rready),
      .m_axil_rdata(rdata),
      .m_axil_rresp(rresp)
  );

  axi_lite_checker #(
      .MASTER(1'b1)
  ) u_bus (
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

  assign writes = write != '0;
  assign access = {address, write, write_data};

  always_ff @(posedge clk) begin
    // an access is held until it ends
    held_q   <= rst_n && valid && !ready;
    access_q <= access;
    if (rst_n && held_q) begin
      holds : assume (valid && access == access_q);
    end
    if (rst_n) begin
      kind : assert (!((awvalid || wvalid) && !(valid && writes))
          && !(arvalid && !(valid && !writes)));
      content : assert ((!awvalid || awaddr == address) && (!arvalid || araddr == address)
          && (!wvalid || {wdata, wstrb} == {write_data, write}));
      answer : assert (!(valid && ready) || (writes ? bvalid && bready && fault == bresp[1]
          : rvalid && rready && fault == rresp[1] && read_data == rdata));
      sent : assert ({dut.address_sent_q, dut.data_sent_q}
          == {u_bus.addresses_q != '0 || u_bus.reads_q != '0, u_bus.data_q != '0});
      access_kind : assert ((u_bus.addresses_q == '0 && u_bus.data_q == '0 || held_q && writes)
          && (u_bus.reads_q == '0 || held_q && !writes));
    end
  end
endmodule
