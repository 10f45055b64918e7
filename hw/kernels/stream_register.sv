// SPDX-License-Identifier: MIT
//
// Output register of a stream: it takes a beat if it is empty or its beat leaves in this clock.
//
// One beat per clock; latency 1 clock. Reset: empty. It does not cut the path from m_axis_tready to
// s_axis_tready. Beats are padded to bytes at the output.

module stream_register #(
    int unsigned WIDTH = 8,  // bits of a beat
    localparam int unsigned Bits = (WIDTH + 7) / 8 * 8
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             s_axis_tvalid,
    output logic             s_axis_tready,
    input  logic [WIDTH-1:0] s_axis_tdata,
    output logic             m_axis_tvalid,
    input  logic             m_axis_tready,
    output logic [ Bits-1:0] m_axis_tdata
);
  logic [WIDTH-1:0] data_q;

  assign s_axis_tready = !m_axis_tvalid || m_axis_tready;
  assign m_axis_tdata  = Bits'(data_q);

  always_ff @(posedge clk) begin
    if (!rst_n) m_axis_tvalid <= 1'b0;
    else if (s_axis_tready) m_axis_tvalid <= s_axis_tvalid;
  end

  always_ff @(posedge clk) begin
    if (s_axis_tvalid && s_axis_tready) data_q <= s_axis_tdata;
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
endmodule
