// SPDX-License-Identifier: MIT
//
// A memory with one port, given to a peripheral's writes, then its reads, then the core.
//
// A peripheral's access is granted in the clock of `ready`, and what it reads is there a clock later.
// The core's access is over in the clock of `core_ready`, one after its grant, or two with
// SHORT_PATHS, where what it reads passes a register. Reset: no access; the memory stays.

module shared_memory #(
    int unsigned WORDS = 1024,
    string FILE = "",  // words in hexadecimal that it holds at start
    bit SHORT_PATHS = 1'b0
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        core_valid,
    output logic        core_ready,
    input  logic [31:0] core_address,
    input  logic [ 3:0] core_write,  // bytes to write; none: read
    input  logic [31:0] core_write_data,
    output logic [31:0] core_read_data,
    input  logic        read_valid,
    output logic        read_ready,
    input  logic [31:0] read_address,
    output logic [31:0] read_data,
    input  logic        write_valid,
    output logic        write_ready,
    input  logic [31:0] write_address,
    input  logic [31:0] write_data
);
  localparam int unsigned WordWidth = $clog2(WORDS);

  logic granted, granted_q;
  logic [31:0] address, data;
  logic [3:0] write;

  assign write_ready = write_valid;
  assign read_ready  = read_valid && !write_valid;
  assign granted     = core_valid && !granted_q && !core_ready && !write_valid && !read_valid;

  always_comb begin
    address = core_address;
    write   = core_write;
    data    = core_write_data;
    if (write_valid) begin
      address = write_address;
      write   = '1;
      data    = write_data;
    end else if (read_valid) begin
      address = read_address;
      write   = '0;
    end
  end

  if (SHORT_PATHS) begin : gen_registered
    always_ff @(posedge clk) begin
      granted_q      <= rst_n && granted;
      core_ready     <= rst_n && granted_q;
      core_read_data <= read_data;
    end
  end else begin : gen_direct
    assign granted_q = 1'b0;
    assign core_read_data = read_data;
    always_ff @(posedge clk) core_ready <= rst_n && granted;
  end

  ram #(
      .WORDS(WORDS),
      .FILE(FILE)
  ) u_ram (
      .clk,
      .en(write_valid || read_valid || granted),
      .address(WordWidth'(address >> 2)),
      .write,
      .write_data(data),
      .read_data
  );
endmodule
