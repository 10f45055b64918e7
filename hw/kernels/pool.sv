// SPDX-License-Identifier: MIT
//
// Pooling: the maximum, or the sum shifted right by SHIFT, of each lane over WINDOW beats.
//
//   out[l] = max(in[l](0) .. in[l](WINDOW - 1))               SUM = 0
//   out[l] = (in[l](0) + ... + in[l](WINDOW - 1)) >> SHIFT    SUM = 1
//
// The stream is that of FINN's Pool: all places of a window for the first PE channels, then for the
// next PE. One beat per clock; latency 1 clock after a window's last beat, which waits until the
// previous window has been accepted. Reset: empty. It does not cut the path from m_axis_tready to
// s_axis_tready.

module pool #(
    int unsigned PE = 2,  // lanes
    int unsigned WINDOW = 4,  // places of a window
    bit SUM = 1'b0,  // sum, not maximum
    int unsigned SHIFT = 0,  // of the sum, to the right, rounding down
    int unsigned IN_WIDTH = 2,
    bit IN_SIGNED = 1'b1,
    int unsigned OUT_WIDTH = 2,  // must hold every result
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic [ InBits-1:0] s_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready,
    output logic [OutBits-1:0] m_axis_tdata
);
  // one bit more than the input, so that signed and unsigned values compare alike
  localparam int unsigned Width = IN_WIDTH + 1 + (SUM ? $clog2(WINDOW) : 0);
  typedef logic signed [Width-1:0] value_t;

  value_t result_q[PE], result[PE];
  logic [PE-1:0][OUT_WIDTH-1:0] out;
  logic [31:0] place_q;
  logic last_place, free, take;

  assign last_place = place_q == WINDOW - 1;
  assign s_axis_tready = !last_place || free;
  assign take = s_axis_tvalid && s_axis_tready;

  function automatic value_t widened(input logic [IN_WIDTH-1:0] raw);
    return IN_SIGNED ? value_t'($signed(raw)) : value_t'({1'b0, raw});
  endfunction

  always_comb begin
    for (int l = 0; l < PE; l++) begin
      result[l] = 'x;
      if (take) begin
        result[l] = widened(s_axis_tdata[l*IN_WIDTH+:IN_WIDTH]);
        if (place_q != '0) begin
          if (SUM) result[l] = result[l] + result_q[l];
          else if (result_q[l] > result[l]) result[l] = result_q[l];
        end
      end
      out[l] = OUT_WIDTH'(result[l] >>> SHIFT);
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      place_q <= '0;
    end else if (take) begin
      place_q  <= last_place ? '0 : place_q + 1;
      result_q <= result;
    end
  end

  stream_register #(
      .WIDTH(PE * OUT_WIDTH)
  ) u_output (
      .clk,
      .rst_n,
      .s_axis_tvalid(s_axis_tvalid && last_place),
      .s_axis_tready(free),
      .s_axis_tdata(out),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata
  );

  if (PE == 0) begin : gen_illegal
    $fatal(1, "pool: PE must be at least 1");
  end else if (WINDOW == 0) begin : gen_illegal
    $fatal(1, "pool: a window has at least one place");
  end else if (!SUM && SHIFT != 0) begin : gen_illegal
    $fatal(1, "pool: only a sum is shifted");
  end
endmodule
