// SPDX-License-Identifier: MIT
//
// Proof of pool: every window leaves once, in order, as its maximum or its shifted sum.

module pool_proof #(
    bit SUM = 1'b0
) (
    input logic       clk,
    input logic       run,
    input logic       follow,
    input logic       s_valid,
    input logic       m_ready,
    input logic [7:0] s_data
);
  localparam int unsigned Window = 3;

  logic rst_n, s_ready, m_valid;
  logic [7:0] m_data;
  logic [1:0] place_q;
  logic [1:0][3:0] window_q[Window];  // beats of the window so far
  logic [1:0][3:0] results;

  proof_reset u_reset (.*);

  pool #(
      .PE(2),
      .WINDOW(Window),
      .SUM(SUM),
      .SHIFT(SUM ? 1 : 0),
      .IN_WIDTH(3),
      .IN_SIGNED(!SUM),
      .OUT_WIDTH(4)
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

  function automatic int value(input logic [7:0] beat, input int l);
    return SUM ? int'(beat[3*l+:3]) : int'($signed(beat[3*l+:3]));
  endfunction

  // of `places` beats of the window and, if there is one, the beat at the input
  function automatic int result(input int places, input bit more, input int l);
    int found;
    found = SUM ? 0 : -4;
    for (int i = 0; i < Window; i++) begin
      if (i < places) begin
        if (SUM) found += value(window_q[i], l);
        else if (value(window_q[i], l) > found) found = value(window_q[i], l);
      end
    end
    if (more && SUM) found += value(s_data, l);
    if (more && !SUM && value(s_data, l) > found) found = value(s_data, l);
    return found;
  endfunction

  always_comb begin
    for (int l = 0; l < 2; l++) results[l] = 4'(result(Window - 1, 1'b1, l) >>> (SUM ? 1 : 0));
  end

  order_checker u_order (
      .clk,
      .rst_n,
      .follow,
      .put(s_valid && s_ready && place_q == 2'(Window - 1)),
      .expected(results),
      .valid(m_valid),
      .ready(m_ready),
      .data(m_data)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      place_q <= '0;
    end else if (s_valid && s_ready) begin
      place_q <= place_q == 2'(Window - 1) ? '0 : place_q + 1;
      window_q[place_q] <= s_data;
    end
    if (rst_n) begin
      bounds : assert (dut.place_q == 32'(place_q) && place_q < 2'(Window));
    end
  end

  for (genvar l = 0; l < 2; l++) begin : gen_lane
    always_ff @(posedge clk) begin
      if (rst_n && place_q != '0) begin
        partial : assert (int'(dut.result_q[l]) == result(int'(place_q), 1'b0, l));
      end
    end
  end
endmodule
