// SPDX-License-Identifier: MIT
//
// Proof of label_select with K = 2: an image gives two indices, which differ.
//
//   count     of the indices that are owed, none is lost or doubled
//   distinct  the second index of an image is not its first

module label_select_top2_proof (
    input logic       clk,
    input logic       run,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  logic rst_n, s_ready, m_valid;
  logic [7:0] m_data, shown_q;
  logic [1:0] beat_q, owed_q;

  proof_reset u_reset (.*);

  label_select #(
      .LABELS(3),
      .PE(1),
      .K(2),
      .IN_WIDTH(3)
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

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      beat_q <= '0;
      owed_q <= '0;
    end else begin
      if (s_valid && s_ready) beat_q <= beat_q == 2'd2 ? '0 : beat_q + 1;
      owed_q <= owed_q + (s_valid && s_ready && beat_q == 2'd2 ? 2'd2 : 2'd0)
          - 2'(m_valid && m_ready);
      if (m_valid && m_ready) shown_q <= m_data;
    end
    if (rst_n) begin
      count : assert (owed_q <= 2'd2 && m_valid == (owed_q != '0));
      distinct : assert (owed_q != 2'd1 || m_data != shown_q);
      beat : assert (dut.beat_q == 32'(beat_q) && beat_q <= 2'd2);
      left : assert (dut.left_q == 32'(owed_q));
      if (owed_q == 2'd2) begin
        differ : assert (dut.out_q[0] != dut.out_q[1]);
      end
      if (beat_q == 2'd2) begin
        places : assert (dut.index_q[0] != dut.index_q[1] && dut.index_q[0] < 8'd2
            && dut.index_q[1] < 8'd2);
      end
      if (beat_q == 2'd1) begin
        first : assert (dut.index_q[0] == '0);
      end
    end
  end
endmodule
