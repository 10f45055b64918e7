// SPDX-License-Identifier: MIT
//
// A single-port memory with byte enables and a read latency of 1 clock.
//
// No reset; without a file its initial content is undefined.

module ram #(
    int unsigned WORDS = 1024,
    string FILE = "",  // words in hexadecimal that it holds at start
    localparam int unsigned AddressWidth = $clog2(WORDS)
) (
    input  logic                    clk,
    input  logic                    en,
    input  logic [AddressWidth-1:0] address,  // of a word
    input  logic [             3:0] write,  // bytes to write; none: read
    input  logic [            31:0] write_data,
    output logic [            31:0] read_data
);
  logic [3:0][7:0] memory[WORDS];

  if (FILE != "") begin : gen_content
    initial $readmemh(FILE, memory);
  end

  always_ff @(posedge clk) begin
    if (en) begin
      for (int b = 0; b < 4; b++) if (write[b]) memory[address][b] <= write_data[b*8+:8];
      if (write == '0) read_data <= memory[address];
    end
  end
endmodule
