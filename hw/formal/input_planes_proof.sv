// SPDX-License-Identifier: MIT
//
// Proof of input_planes: each plane of each vector leaves once, in order, and the input is taken
// with the first plane.

module input_planes_proof (
    input logic       clk,
    input logic       run,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  logic rst_n, s_ready, m_valid, beat_q, plane_q, waiting_q;
  logic [7:0] m_data, waiting_data_q;
  logic [2:0] values_q[2];  // of the vector
  logic signed [2:0] value;

  proof_reset u_reset (.*);

  input_planes #(
      .LANES(1),
      .BEATS(2),
      .WIDTH(3),
      .SIGNED(1'b1),
      .PLANES(2),
      .PLANE_BITS(2)
  ) dut (
      .clk,
      .rst_n,
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tdata (s_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tdata (m_data)
  );

  assign value = plane_q ? values_q[beat_q] : s_data[2:0];

  always_ff @(posedge clk) begin
    waiting_q      <= rst_n && s_valid && !s_ready;
    waiting_data_q <= s_data;
    if (!rst_n) begin
      {plane_q, beat_q} <= '0;
    end else if (m_valid && m_ready) begin
      {plane_q, beat_q} <= {plane_q, beat_q} + 2'd1;
      if (!plane_q) values_q[beat_q] <= s_data[2:0];
    end
    if (rst_n) begin
      // a stream that is offered stays so
      if (waiting_q) begin
        assume (s_valid && s_data == waiting_data_q);
      end
      place : assert (dut.beat_q == beat_q && dut.plane_q == plane_q);
      valid : assert (m_valid == (plane_q || s_valid));
      taken : assert ((s_valid && s_ready) == (m_valid && m_ready && !plane_q));
      if (m_valid) begin
        data : assert (m_data[2:0] == (plane_q ? {3{value[2]}} : {1'b0, value[1:0]}));
      end
    end
  end

  for (genvar b = 0; b < 2; b++) begin : gen_kept
    always_ff @(posedge clk) begin
      if (rst_n && (plane_q || (beat_q && b == 0))) begin
        kept : assert (dut.kept[b][0] == values_q[b]);
      end
    end
  end
endmodule
