// SPDX-License-Identifier: MIT
//
// Weight streamer: a drop-in for FINN's module of the same name and ports. It streams the words of
// a memory, first to last, repeatedly. FINN's copies each word through a chain of registers, busy
// or not, which costs more simulation time than the matrix product that consumes the weights.
//
// Latency 1 clock; one word per clock. Reset: at the first word, not valid; the memory keeps its
// content, which initially is that of its file.
//
// The AXI4-Lite port reads and writes the memory beside the stream, which it does not delay, with
// FINN's addresses: byte (w · 2^P + p) · 4 is part p of word w, 32 bits, the lowest first, with P
// the bits that count the parts of a word. Writing the last part writes the word, with the other
// parts as they were written last; wstrb is ignored. A word beyond the memory answers SLVERR (0
// when read), a part beyond the word reads 0. An answer comes a clock after its request, one at a
// time; a write goes first. The port costs nothing where it is tied off.
//
// It has neither several sets nor a memory of twice the clock (checked).

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

  localparam int unsigned Parts = (WIDTH + 31) / 32;
  localparam int unsigned PartBits = $clog2(Parts);
  localparam bit [1:0] Okay = 2'b00, SlaveError = 2'b10;

  logic read, write;  // accepted requests
  logic [31:0] place, config_part, config_word;
  logic [Parts-1:0][31:0] staged_q;
  logic [WIDTH-1:0] config_q;
  logic [31:0] part_q;
  logic rvalid_q, bvalid_q, exists, read_exists_q, write_exists_q;

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
    if (load) word_q <= memory[next_q];
  end

  // one address for both, so that stream and port together take a memory of two ports
  assign place = 32'(write ? awaddr : araddr) >> 2;
  assign config_word = place >> PartBits;
  assign config_part = place & ((1 << PartBits) - 1);
  assign exists = config_word < DEPTH;

  assign write = awvalid && wvalid && (!bvalid_q || bready);
  assign {awready, wready} = {2{write}};
  assign bvalid = bvalid_q;
  assign bresp = write_exists_q ? Okay : SlaveError;

  assign read = arvalid && arready;
  assign arready = (!rvalid_q || rready) && !write;
  assign rvalid = rvalid_q;
  assign rresp = read_exists_q ? Okay : SlaveError;

  always_comb begin
    rdata = 32'((32 * Parts)'(config_q) >> (32 * part_q));
    if (!read_exists_q) rdata = '0;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      bvalid_q <= 1'b0;
      rvalid_q <= 1'b0;
    end else begin
      if (write || bready) bvalid_q <= write;
      if (read || rready) rvalid_q <= read;
    end
  end

  always_ff @(posedge clk) begin
    if (write) begin
      logic [Parts-1:0][31:0] written;
      written = staged_q;
      if (config_part < Parts) written[config_part] = wdata;
      staged_q <= written;
      write_exists_q <= exists;
      if (exists && config_part == Parts - 1) memory[config_word] <= WIDTH'(written);
    end else if (read) begin
      config_q <= memory[config_word];
      part_q <= config_part;
      read_exists_q <= exists;
    end
  end

  assign s_axis_0_tready = 1'b0;

  logic unused_ports;
  assign unused_ports = ^{clk2x, awprot, wstrb, arprot, s_axis_0_tvalid, s_axis_0_tdata};

  stream_checker #(
      .WIDTH((WIDTH + 7) / 8 * 8)
  ) u_checker (
      .clk,
      .rst_n (!rst),
      .tvalid(m_axis_0_tvalid),
      .tready(m_axis_0_tready),
      .tdata (m_axis_0_tdata)
  );

  stream_checker #(
      .WIDTH(34)
  ) u_read_checker (
      .clk,
      .rst_n (!rst),
      .tvalid(rvalid),
      .tready(rready),
      .tdata ({rdata, rresp})
  );

  stream_checker #(
      .WIDTH(2)
  ) u_write_checker (
      .clk,
      .rst_n (!rst),
      .tvalid(bvalid),
      .tready(bready),
      .tdata (bresp)
  );

  if (DEPTH == 0 || WIDTH == 0) begin : gen_illegal
    $fatal(1, "memstream_axi: a memory has a word of a bit");
  end else if (SETS != 1) begin : gen_illegal
    $fatal(1, "memstream_axi: one set of weights only");
  end else if (PUMPED_MEMORY) begin : gen_illegal
    $fatal(1, "memstream_axi: no memory of twice the clock");
  end
endmodule
