// SPDX-License-Identifier: MIT
//
// Proof of memstream_axi: the stream gives the words of the memory in turn, each as it was when it
// was read; the port obeys AXI4-Lite and reads what was written.
//
//   order      word by word, first to last, repeatedly, with the content of its turn
//   full       the stream is never empty but in the clock after reset
//   read_back  a word that is read is the one in memory

module memstream_axi_proof (
    input logic        clk,
    input logic        run,
    input logic [ 1:0] picked,
    input logic        m_ready,
    input logic        awvalid,
    input logic [ 3:0] awaddr,
    input logic        wvalid,
    input logic [31:0] wdata,
    input logic [ 3:0] wstrb,
    input logic        bready,
    input logic        arvalid,
    input logic [ 3:0] araddr,
    input logic        rready
);
  localparam int unsigned Depth = 3;

  logic rst_n, m_valid, awready, wready, bvalid, arready, rvalid, s_ready;
  logic [1:0] bresp, rresp;
  logic [31:0] rdata;
  logic [ 7:0] m_data;

  proof_reset u_reset (.*);

  memstream_axi #(
      .DEPTH(Depth),
      .WIDTH(6)
  ) dut (
      .clk,
      .clk2x(clk),
      .rst(!rst_n),
      .awready,
      .awvalid,
      .awprot('0),
      .awaddr,
      .wready,
      .wvalid,
      .wdata,
      .wstrb,
      .bready,
      .bvalid,
      .bresp,
      .arready,
      .arvalid,
      .arprot('0),
      .araddr,
      .rready,
      .rvalid,
      .rresp,
      .rdata,
      .s_axis_0_tready(s_ready),
      .s_axis_0_tvalid(1'b0),
      .s_axis_0_tdata('0),
      .m_axis_0_tready(m_ready),
      .m_axis_0_tvalid(m_valid),
      .m_axis_0_tdata(m_data)
  );

  axi_lite_checker #(
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

  // one word, any: its place, its content, and its content when the stream read it
  logic [1:0] place_q, turn_q;
  logic [5:0] content_q, shown_q;
  logic reset_q, read_q, started_q = 1'b0;
  logic [5:0] answer_q;

  always_ff @(posedge clk) begin
    started_q <= 1'b1;
    reset_q   <= !rst_n;
    place_q   <= started_q ? place_q : picked;
    if (!started_q) content_q <= dut.memory[picked];
    else if (awvalid && awready && wvalid && wready && awaddr[3:2] == place_q) begin
      content_q <= wdata[5:0];
    end
    if (!rst_n) turn_q <= '0;
    else if (m_valid && m_ready) turn_q <= turn_q == 2'(Depth - 1) ? '0 : turn_q + 1;
    if (!m_valid || m_ready) shown_q <= content_q;
    if (arvalid && arready) begin
      read_q   <= araddr[3:2] == place_q;
      answer_q <= content_q;
    end
  end

  always_ff @(posedge clk) begin
    picks : assume (picked < 2'(Depth));
    if (rst_n) begin
      full : assert (m_valid || reset_q);
      order : assert (!m_valid || turn_q != place_q || m_data == 8'(shown_q));
      read_back : assert (!(rvalid && read_q) || (rdata == 32'(answer_q) && rresp == '0));
    end
    if (started_q) begin
      place : assert (place_q < 2'(Depth));
      content : assert (dut.memory[place_q] == content_q);
      if (rst_n) begin
        asked : assert (u_port.reads_q == 2'(rvalid) && u_port.addresses_q == 2'(bvalid)
            && u_port.data_q == 2'(bvalid));
        turn : assert (turn_q < 2'(Depth));
        next : assert (dut.next_q == (32'(turn_q) + 32'(m_valid)) % Depth);
      end
    end
  end
endmodule
