// SPDX-License-Identifier: MIT
//
// Proof that the register file, generated from registers.rdl for one tap, with tap_registers.sv,
// obeys AXI4-Lite.

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
  noise_registers_pkg::noise_registers__in_t to_file;
  noise_registers_pkg::tap_registers__in_t taps[1];
  logic unused_valid;
  logic [7:0] unused_site;
  logic [3:0] unused_addr;
  logic [31:0] unused_data;

  always_comb begin
    to_file     = hwif_in;
    to_file.tap = taps;
  end

  tap_registers #(
      .TAPS(1)
  ) u_taps (
      .clk,
      .rst_n,
      .taps_rst_n(hwif_in.tap[0].taps_rst_n),
      .registers(hwif_out),
      .taps,
      .cfg_valid(unused_valid),
      .cfg_site(unused_site),
      .cfg_addr(unused_addr),
      .cfg_data(unused_data),
      .cfg_pending(hwif_in.tap[0].STATUS.pending.next),
      .cfg_late(hwif_in.tap[0].STATUS.late.hwset),
      .digest_valid(hwif_in.tap[0].DIGEST.value.we),
      .digest(hwif_in.tap[0].DIGEST.value.next)
  );

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
      .hwif_in(to_file),
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
  logic [2:0] answers, writes;
  // reads that are answered in the next clock: of the file itself, and of a setting
  logic read_q, setting_read_q;
  // an access of a setting reaches tap_registers.sv a clock later
  logic reads_setting, writes_setting;
  assign read_q         = dut.readback_done_rt;
  assign setting_read_q = dut.readback_external_rd_ack;
  assign reads_setting  = u_taps.asked_q && !u_taps.write_q;
  assign writes_setting = u_taps.asked_q && u_taps.write_q;
  // the buffer holds three answers; the pointers' highest bits tell a full one from an empty one
  logic [1:0] first, last;
  assign first   = dut.axil_resp_rptr[1:0];
  assign last    = dut.axil_resp_wptr[1:0];
  assign answers = 3'(last) - 3'(first)
      + (dut.axil_resp_rptr[2] == dut.axil_resp_wptr[2] ? 3'd0 : 3'd3);
  always_comb begin
    writes = '0;
    for (int i = 0; i < 3; i++) begin
      if (answers > 3'(i)) writes += 3'(dut.axil_resp_buffer_is_wr[(int'(first) + i) % 3]);
    end
  end
  logic [2:0] reads_coming;
  assign reads_coming = 3'(reads_setting) + 3'(read_q) + 3'(setting_read_q);

  always_ff @(posedge clk) begin
    if (rst_n) begin
      bounds : assert (3'(dut.axil_n_in_flight) == answers + reads_coming + 3'(writes_setting)
          && answers <= 3'd3 && first != 2'd3 && last != 2'd3);
      setting : assert (dut.external_pending == (u_taps.asked_q || setting_read_q)
          && !(u_taps.asked_q && setting_read_q));
      // a write is held back for the clock in which a read is answered
      alone : assert (!(writes_setting && (read_q || setting_read_q))
          && (!read_q || dut.cpuif_req_stall_sr[0]));
      write_addresses : assert (u_port.addresses_q
          == 3'(dut.axil_awvalid) + writes + 3'(writes_setting));
      write_data : assert (u_port.data_q == 3'(dut.axil_wvalid) + writes + 3'(writes_setting));
      reads : assert (u_port.reads_q == 3'(dut.axil_arvalid) + answers - writes + reads_coming);
    end
  end
endmodule
