// SPDX-License-Identifier: MIT
//
// Stream duplicator: each of OUTPUTS streams receives every beat of the input once.
//
//   m_axis[i] = s_axis    for each of OUTPUTS streams
//
// Each output takes a beat when it is ready, before or after the others; the input advances when
// all have it. One beat per clock if all are ready; latency 0. Reset: no output has the beat at the
// input. It stores no beat: outputs that diverge by more than the beat at the input need a FIFO,
// and the paths from tvalid to tvalid and from m_axis_tready to s_axis_tready are not cut.

module duplicator #(
    int unsigned OUTPUTS = 2,
    int unsigned WIDTH = 8,  // bits of a beat
    localparam int unsigned Bits = (WIDTH + 7) / 8 * 8
) (
    input  logic                         clk,
    input  logic                         rst_n,
    input  logic                         s_axis_tvalid,
    output logic                         s_axis_tready,
    input  logic [   Bits-1:0]           s_axis_tdata,
    output logic [OUTPUTS-1:0]           m_axis_tvalid,
    input  logic [OUTPUTS-1:0]           m_axis_tready,
    output logic [OUTPUTS-1:0][Bits-1:0] m_axis_tdata
);
  logic [OUTPUTS-1:0] taken_q;  // outputs that have the beat at the input

  assign m_axis_tvalid = {OUTPUTS{s_axis_tvalid}} & ~taken_q;
  assign m_axis_tdata  = {OUTPUTS{s_axis_tdata}};
  assign s_axis_tready = &(taken_q | m_axis_tready);

  always_ff @(posedge clk) begin
    if (!rst_n) taken_q <= '0;
    else if (s_axis_tvalid) taken_q <= s_axis_tready ? '0 : taken_q | m_axis_tready;
  end

  for (genvar i = 0; i < OUTPUTS; i++) begin : gen_output
    stream_checker #(
        .WIDTH(Bits)
    ) u_checker (
        .clk,
        .rst_n,
        .tvalid(m_axis_tvalid[i]),
        .tready(m_axis_tready[i]),
        .tdata (m_axis_tdata[i])
    );
  end

  if (OUTPUTS == 0) begin : gen_illegal
    $fatal(1, "duplicator: there is at least one output");
  end
endmodule
