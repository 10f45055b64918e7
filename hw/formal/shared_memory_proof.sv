// SPDX-License-Identifier: MIT
//
// Proof of shared_memory: every access is done once, in its turn, and reads what was written last.
//
//   turns    a peripheral's write is granted at once, and its read unless there is a write
//   once     the core's access ends one clock after the first in which no peripheral wants the
//            memory, or two with SHORT_PATHS
//   content  a write changes the bytes that it chooses, and nothing else does
//   read     a peripheral reads the content of its clock
//   fetch    the core reads the content of the clock of its grant

module shared_memory_proof #(
    bit SHORT_PATHS = 1'b0
) (
    input logic        clk,
    input logic        run,
    input logic [ 1:0] picked,
    input logic        core_valid,
    input logic [31:0] core_address,
    input logic [ 3:0] core_write,
    input logic [31:0] core_write_data,
    input logic        read_valid,
    input logic [31:0] read_address,
    input logic        write_valid,
    input logic [31:0] write_address,
    input logic [31:0] write_data
);
  localparam int unsigned Words = 4;

  logic rst_n, core_ready, read_ready, write_ready;
  logic [31:0] core_read_data, read_data;

  proof_reset u_reset (.*);

  shared_memory #(
      .WORDS(Words),
      .SHORT_PATHS(SHORT_PATHS)
  ) dut (
      .*
  );

  // the core's access: granted, over a clock later, and perhaps one more
  logic granted;
  logic [1:0] granted_q;
  assign granted = core_valid && !(|granted_q) && !write_valid && !read_valid;

  // one word, any: its place, its content, and its content when it was read
  logic started_q = 1'b0;
  logic read_q, fetched_q, fetch_q;
  logic [1:0] place_q;
  logic [31:0] content_q, read_content_q, fetched_content_q, fetch_content_q;

  always_ff @(posedge clk) begin
    started_q <= 1'b1;
    place_q   <= started_q ? place_q : picked;
    granted_q <= rst_n ? {granted_q[0] && SHORT_PATHS, granted} : '0;
    if (!started_q) content_q <= dut.u_ram.memory[picked];
    else if (write_valid) begin
      if (write_address[3:2] == place_q) content_q <= write_data;
    end else if (granted && core_address[3:2] == place_q) begin
      for (int b = 0; b < 4; b++) if (core_write[b]) content_q[b*8+:8] <= core_write_data[b*8+:8];
    end
    read_q            <= started_q && read_ready && read_address[3:2] == place_q;
    read_content_q    <= content_q;
    fetched_q         <= started_q && granted && core_write == '0 && core_address[3:2] == place_q;
    fetched_content_q <= content_q;
    fetch_q           <= fetched_q;
    fetch_content_q   <= fetched_content_q;
  end

  logic fetches;
  logic [31:0] expected;
  assign fetches  = SHORT_PATHS ? fetch_q : fetched_q;
  assign expected = SHORT_PATHS ? fetch_content_q : fetched_content_q;

  always_ff @(posedge clk) begin
    still : assume (started_q || !(write_valid || core_valid));
    if (started_q) begin
      once : assert (core_ready == granted_q[SHORT_PATHS]);
      ends : assert (!SHORT_PATHS || dut.granted_q == granted_q[0]);
      turns : assert (write_ready == write_valid && read_ready == (read_valid && !write_valid));
      content : assert (dut.u_ram.memory[place_q] == content_q);
      read : assert (!read_q || read_data == read_content_q);
    end
    if (rst_n) begin
      fetch : assert (!(core_ready && fetches) || core_read_data == expected);
      waits : assert (!SHORT_PATHS || !fetched_q || read_data == fetched_content_q);
    end
  end
endmodule
