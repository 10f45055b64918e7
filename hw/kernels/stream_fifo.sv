// SPDX-License-Identifier: MIT
//
// FIFO: the beats of a stream, in their order, up to DEPTH + 1 of them waiting.
//
//   m_axis = s_axis, later
//
// One beat in and one beat out per clock; latency 2 clocks. DEPTH beats wait in a memory that is
// written and read at clock edges, as block RAM is, and one in a register at the output. Reset:
// empty. It cuts every path from input to output and back.

module stream_fifo #(
    int unsigned DEPTH = 16,  // beats
    int unsigned WIDTH = 8,   // bits of a beat
    localparam int unsigned Bits = (WIDTH + 7) / 8 * 8
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic            s_axis_tvalid,
    output logic            s_axis_tready,
    input  logic [Bits-1:0] s_axis_tdata,
    output logic            m_axis_tvalid,
    input  logic            m_axis_tready,
    output logic [Bits-1:0] m_axis_tdata
);
  localparam int unsigned AddressWidth = DEPTH > 1 ? $clog2(DEPTH) : 1;
  typedef logic [AddressWidth-1:0] address_t;
  localparam address_t Last = address_t'(DEPTH - 1);

  logic [Bits-1:0] memory_q[DEPTH];
  address_t head_q, tail_q;  // where the next beat is read and written
  logic [AddressWidth:0] level_q;  // beats in the memory
  logic write, read;

  assign s_axis_tready = 32'(level_q) != DEPTH;
  assign write = s_axis_tvalid && s_axis_tready;
  assign read = level_q != '0 && (!m_axis_tvalid || m_axis_tready);

  always_ff @(posedge clk) begin
    if (write) memory_q[tail_q] <= s_axis_tdata;
    if (read) m_axis_tdata <= memory_q[head_q];
    if (!rst_n) begin
      head_q        <= '0;
      tail_q        <= '0;
      level_q       <= '0;
      m_axis_tvalid <= 1'b0;
    end else begin
      if (write) tail_q <= tail_q == Last ? '0 : tail_q + 1'b1;
      if (read) head_q <= head_q == Last ? '0 : head_q + 1'b1;
      if (write && !read) level_q <= level_q + 1'b1;
      if (read && !write) level_q <= level_q - 1'b1;
      if (read) m_axis_tvalid <= 1'b1;
      else if (m_axis_tready) m_axis_tvalid <= 1'b0;
    end
  end

  stream_checker #(
      .WIDTH(Bits)
  ) u_checker (
      .clk,
      .rst_n,
      .tvalid(m_axis_tvalid),
      .tready(m_axis_tready),
      .tdata (m_axis_tdata)
  );

  if (DEPTH == 0) begin : gen_illegal
    $fatal(1, "stream_fifo: DEPTH must be at least 1");
  end
endmodule
