// SPDX-License-Identifier: MIT
//
// Planes of a vector's elements, for a unit that takes a few bits at a time:
//
//   out[j][i] = floor(in[i] / 2^(j PLANE_BITS)) mod 2^PLANE_BITS    for each plane j but the last
//   out[PLANES - 1][i] = floor(in[i] / 2^((PLANES - 1) PLANE_BITS))
//
// so that the sum over j of 2^(j PLANE_BITS) out[j] is in. The vector leaves once per plane, the
// lowest plane first. Elements of planes have PLANE_BITS bits, and a sign if those of the vector do.
//
// One beat per clock, of LANES elements; latency 0: the first plane passes while the vector is
// stored, the others are replayed. It takes no beat while it replays. Reset: at a vector's first
// beat. It does not cut the paths from m_axis_tready to s_axis_tready and from the input to the
// output.

module input_planes #(
    int unsigned LANES = 4,
    int unsigned BEATS = 3,  // of a vector
    int unsigned WIDTH = 8,  // bits of an element
    bit SIGNED = 1'b1,
    int unsigned PLANES = 2,
    int unsigned PLANE_BITS = 4,
    localparam int unsigned OutWidth = PLANE_BITS + SIGNED,
    localparam int unsigned InBits = (LANES * WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (LANES * OutWidth + 7) / 8 * 8
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
  localparam int unsigned Place = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam int unsigned Count = PLANES > 1 ? $clog2(PLANES) : 1;

  typedef logic [LANES-1:0][WIDTH-1:0] beat_t;
  typedef logic [LANES-1:0][OutWidth-1:0] planes_t;

  beat_t kept[1<<Place];
  beat_t beat;
  planes_t planes;
  logic [Place-1:0] beat_q;
  logic [Count-1:0] plane_q;
  logic first_plane, last_plane, fire;

  assign first_plane   = plane_q == '0;
  assign last_plane    = plane_q == Count'(PLANES - 1);
  assign s_axis_tready = first_plane && m_axis_tready;
  assign m_axis_tvalid = !first_plane || s_axis_tvalid;
  assign fire          = m_axis_tvalid && m_axis_tready;
  assign m_axis_tdata  = OutBits'(planes);

  // The lowest bits of an element, whose plane is the lowest; an element is negative above WIDTH.
  function automatic logic [OutWidth-1:0] plane_of(input logic [WIDTH-1:0] element);
    logic [WIDTH+OutWidth-1:0] whole;
    whole = SIGNED ? (WIDTH + OutWidth)'($signed(element)) : (WIDTH + OutWidth)'(element);
    whole >>= plane_q * PLANE_BITS;
    // without the sign, which only the last plane has
    if (!last_plane) whole &= (WIDTH + OutWidth)'((1 << PLANE_BITS) - 1);
    return OutWidth'(whole);
  endfunction

  always_comb begin
    beat   = 'x;
    planes = 'x;
    if (m_axis_tvalid) begin
      beat = first_plane ? s_axis_tdata[LANES*WIDTH-1:0] : kept[beat_q];
      for (int lane = 0; lane < LANES; lane++) planes[lane] = plane_of(beat[lane]);
    end
  end

  always_ff @(posedge clk) begin
    if (fire && first_plane) kept[beat_q] <= s_axis_tdata[LANES*WIDTH-1:0];
    if (!rst_n) begin
      beat_q  <= '0;
      plane_q <= '0;
    end else if (fire) begin
      beat_q <= beat_q == Place'(BEATS - 1) ? '0 : beat_q + 1;
      if (beat_q == Place'(BEATS - 1)) plane_q <= last_plane ? '0 : plane_q + 1;
    end
  end

  stream_checker #(
      .WIDTH(OutBits)
  ) u_checker (
      .clk,
      .rst_n,
      .tvalid(m_axis_tvalid),
      .tready(m_axis_tready),
      .tdata (m_axis_tdata)
  );

  if (LANES == 0 || BEATS == 0 || PLANES == 0) begin : gen_illegal
    $fatal(1, "input_planes: there is at least one lane, beat and plane");
  end else if (PLANE_BITS == 0 || (PLANES - 1) * PLANE_BITS >= WIDTH) begin : gen_illegal
    $fatal(1, "input_planes: each plane has at least one bit of an element");
  end
endmodule
