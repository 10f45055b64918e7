// SPDX-License-Identifier: MIT
//
// Rules of AXI4-Lite between a master and a slave with at most one access of a kind in progress.
// Those of the side that is proved are asserted, those of the other side are assumed.
//
//   address, data, read            (master) a request stays as it is until it is taken
//   single                         (master) no second request before the answer to the first
//   write_answer, read_answer      (slave) an answer stays as it is until it is taken
//   write_asked, read_asked        (slave) no answer without a request that was taken before

module axi_lite_checker #(
    int unsigned ADDRESS_WIDTH = 4,
    bit MASTER = 1'b0,  // the master is proved, not the slave
    bit ONE = 1'b1  // a master with one access of a kind in progress
) (
    input logic                     clk,
    input logic                     rst_n,
    input logic                     awvalid,
    input logic                     awready,
    input logic [ADDRESS_WIDTH-1:0] awaddr,
    input logic                     wvalid,
    input logic                     wready,
    input logic [             35:0] wdata,    // and strobes
    input logic                     bvalid,
    input logic                     bready,
    input logic [              1:0] bresp,
    input logic                     arvalid,
    input logic                     arready,
    input logic [ADDRESS_WIDTH-1:0] araddr,
    input logic                     rvalid,
    input logic                     rready,
    input logic [             33:0] rdata     // and response
);
  // requests that were taken and not answered
  logic [2:0] addresses_q, data_q, reads_q;
  // what waits, and must stay
  logic aw_waits_q, w_waits_q, b_waits_q, ar_waits_q, r_waits_q;
  logic [ADDRESS_WIDTH-1:0] awaddr_q, araddr_q;
  logic [35:0] wdata_q;
  logic [ 1:0] bresp_q;
  logic [33:0] rdata_q;

  always_ff @(posedge clk) begin
    aw_waits_q <= rst_n && awvalid && !awready;
    w_waits_q  <= rst_n && wvalid && !wready;
    b_waits_q  <= rst_n && bvalid && !bready;
    ar_waits_q <= rst_n && arvalid && !arready;
    r_waits_q  <= rst_n && rvalid && !rready;
    {awaddr_q, araddr_q, wdata_q} <= {awaddr, araddr, wdata};
    {bresp_q, rdata_q} <= {bresp, rdata};
    if (!rst_n) begin
      {addresses_q, data_q, reads_q} <= '0;
    end else begin
      addresses_q <= addresses_q + 3'(awvalid && awready) - 3'(bvalid && bready);
      data_q      <= data_q + 3'(wvalid && wready) - 3'(bvalid && bready);
      reads_q     <= reads_q + 3'(arvalid && arready) - 3'(rvalid && rready);
    end
  end

  logic address_stays, data_stays, read_stays, at_most_one, b_stays, r_stays, b_asked, r_asked;
  assign address_stays = !aw_waits_q || (awvalid && awaddr == awaddr_q);
  assign data_stays    = !w_waits_q || (wvalid && wdata == wdata_q);
  assign read_stays    = !ar_waits_q || (arvalid && araddr == araddr_q);
  assign at_most_one   = !(awvalid && addresses_q != '0) && !(wvalid && data_q != '0)
      && !(arvalid && reads_q != '0);
  assign b_stays       = !b_waits_q || (bvalid && bresp == bresp_q);
  assign r_stays       = !r_waits_q || (rvalid && rdata == rdata_q);
  assign b_asked       = !bvalid || (addresses_q != '0 && data_q != '0);
  assign r_asked       = !rvalid || reads_q != '0;

  if (MASTER) begin : gen_master
    always_ff @(posedge clk) begin
      if (rst_n) begin
        address : assert (address_stays);
        data : assert (data_stays);
        read : assert (read_stays);
        single : assert (at_most_one);
        bounds : assert (addresses_q <= 3'd1 && data_q <= 3'd1 && reads_q <= 3'd1);
        assume (b_stays && r_stays && b_asked && r_asked);
      end
    end
  end else begin : gen_slave
    always_ff @(posedge clk) begin
      if (rst_n) begin
        write_answer : assert (b_stays);
        read_answer : assert (r_stays);
        write_asked : assert (b_asked);
        read_asked : assert (r_asked);
        assume (address_stays && data_stays && read_stays && (at_most_one || !ONE));
      end else begin
        assume (!awvalid && !wvalid && !arvalid);
      end
    end
  end
endmodule
