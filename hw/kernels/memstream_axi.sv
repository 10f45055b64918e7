// SPDX-License-Identifier: MIT
//
// Weight streamer: a drop-in for FINN's module of the same name and ports. It streams the words of
// a memory, first to last, again and again. FINN's copies each word through a chain of registers,
// busy or not, which costs more simulation time than the matrix product that takes the weights.
//
// Latency 1 clock; a word a clock. Reset: at the first word, not valid. The memory is read at
// start-up and never written: the AXI4-Lite port through which FINN can rewrite weights answers
// nothing, nor are there several sets, nor a memory of twice the clock (all checked).

module memstream_axi #(
    int unsigned SETS = 1,
    int unsigned DEPTH = 4,  // words
    int unsigned WIDTH = 8,  // bits a word
    parameter INIT_FILE = "",  // hexadecimal, one word a line
    parameter RAM_STYLE = "auto",
    bit PUMPED_MEMORY = 1'b0,
    localparam int unsigned AXILITE_ADDR_WIDTH =
        $clog2(SETS * DEPTH * (2 ** $clog2((WIDTH + 31) / 32))) + 2,
    localparam int unsigned SET_BITS = SETS > 2 ? $clog2(SETS) : 1
) (
    input logic clk,
    input logic clk2x,
    input logic rst,

    output logic                          awready,
    input  logic                          awvalid,
    input  logic [                   2:0] awprot,
    input  logic [AXILITE_ADDR_WIDTH-1:0] awaddr,
    output logic                          wready,
    input  logic                          wvalid,
    input  logic [                  31:0] wdata,
    input  logic [                   3:0] wstrb,
    input  logic                          bready,
    output logic                          bvalid,
    output logic [                   1:0] bresp,
    output logic                          arready,
    input  logic                          arvalid,
    input  logic [                   2:0] arprot,
    input  logic [AXILITE_ADDR_WIDTH-1:0] araddr,
    input  logic                          rready,
    output logic                          rvalid,
    output logic [                   1:0] rresp,
    output logic [                  31:0] rdata,

    output logic                s_axis_0_tready,
    input  logic                s_axis_0_tvalid,
    input  logic [SET_BITS-1:0] s_axis_0_tdata,

    input  logic                     m_axis_0_tready,
    output logic                     m_axis_0_tvalid,
    output logic [(WIDTH+7)/8*8-1:0] m_axis_0_tdata
);
  logic [WIDTH-1:0] memory[DEPTH];
  logic [WIDTH-1:0] word_q;
  logic [31:0] next_q;
  logic valid_q;
  logic load;

  initial if (INIT_FILE != "") $readmemh(INIT_FILE, memory);

  assign load = !valid_q || m_axis_0_tready;
  assign m_axis_0_tvalid = valid_q;
  assign m_axis_0_tdata = ((WIDTH + 7) / 8 * 8)'(word_q);

  always_ff @(posedge clk) begin
    if (rst) begin
      valid_q <= 1'b0;
      next_q  <= '0;
    end else if (load) begin
      valid_q <= 1'b1;
      next_q  <= next_q == DEPTH - 1 ? '0 : next_q + 1;
    end
  end

  always_ff @(posedge clk) begin
    if (load) word_q <= memory[rst?'0 : next_q];
  end

  assign {awready, wready, bvalid, bresp, arready, rvalid, rresp, rdata} = '0;
  assign s_axis_0_tready = 1'b0;

  logic unused_ports;
  assign unused_ports = ^{
    clk2x,
    awvalid,
    awprot,
    awaddr,
    wvalid,
    wdata,
    wstrb,
    bready,
    arvalid,
    arprot,
    araddr,
    rready,
    s_axis_0_tvalid,
    s_axis_0_tdata
  };

`ifndef SYNTHESIS
  assert property (@(posedge clk) disable iff (rst)
      m_axis_0_tvalid && !m_axis_0_tready |=> m_axis_0_tvalid && $stable(m_axis_0_tdata))
  else $error("memstream_axi: the output changed before it was taken");
`endif

  initial begin
    if (DEPTH == 0 || WIDTH == 0) $fatal(1, "memstream_axi: a memory has a word of a bit");
    if (SETS != 1) $fatal(1, "memstream_axi: one set of weights only");
    if (PUMPED_MEMORY) $fatal(1, "memstream_axi: no memory of twice the clock");
  end
endmodule
