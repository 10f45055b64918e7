// SPDX-License-Identifier: MIT
//
// Proof of label_select: every image gives the index of its largest value once, in order.

module label_select_proof (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  // compared are 2 value + offset
  localparam int Offsets[4] = '{0, 1, -1, 1};

  logic rst_n, s_ready, m_valid, second_q;
  logic [7:0] m_data, first_q;
  int label;

  proof_reset u_reset (.*);

  label_select #(
      .LABELS(4),
      .PE(2),
      .IN_WIDTH(3),
      .SHIFT(1),
      .OFFSET_WIDTH(2),
      .OFFSETS(8'b01_11_01_00)
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

  function automatic int score(input int i);
    logic [7:0] beat;
    beat = i < 2 && second_q ? first_q : s_data;
    return 2 * int'($signed(beat[3*(i%2)+:3])) + Offsets[i];
  endfunction

  always_comb begin
    label = 0;
    for (int i = 1; i < 4; i++) if (score(i) > score(label)) label = i;
  end

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(s_valid && s_ready && second_q),
      .expected(8'(label)),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      second_q <= 1'b0;
    end else if (s_valid && s_ready) begin
      second_q <= !second_q;
      first_q  <= s_data;
    end
    if (rst_n) begin
      beat : assert (dut.beat_q == 32'(second_q));
      left : assert (dut.left_q == 32'(m_valid));
      if (second_q) begin
        best : assert (int'(dut.index_q[0]) == int'(score(1) > score(0))
            && int'(dut.best_q[0]) == (score(1) > score(0) ? score(1) : score(0)));
      end
    end
  end
endmodule
