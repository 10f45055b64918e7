// SPDX-License-Identifier: MIT
//
// Noise on a stream: each element's noise depends only on (seed, site, image, element).
//
//   mul, then add:  v = c + rs((c + o) sm z1) + rs(sa z2)
//   add, then mul:  v = c + n + rs((c + o + n) sm z1)     n = rs(sa z2)
//   drift:          c = rs(g (a + o)) - o, where a = acc << F, and otherwise c = a
//
// F = FRAC, and so many fractional bits have a, c, n, v and the offset o; rs rounds to them. z1 and
// z2 are samples with 12, fresh for each element and image (draws 0 and 1), or with `pattern` the
// same for each channel in every image (draws 2^15 and 2^15 + 1). z2 comes from the normal table,
// or with `loaded` from one that was written before.
//
// sm and sa are registers with 16 fractional bits; when they drift, image n has rs(s sm), rs(s sa).
// s and g are 1 + rate n, with a rate of 32 fractional bits, cut to 16 and held in 0..16.
//
// A tap that repeats uses each beat k times, execution i with draws 2i and 2i + 1, and outputs the
// mean of v, rounded, halves up. With ROUND it is rounded to an integer. Then it saturates to
// OUT_MIN..OUT_MAX. Element e of an image is lane e mod PE of beat e div PE.
//
// Settings are written to a shadow set over the cfg bus and armed by writing START (address 7).
// They take effect before the image of that number, counted from reset; only the tap waits, some
// 15 clocks until its pipeline is empty, and nothing around it drains. cfg_pending is high from
// the write of START until then; the shadow set must not be written meanwhile. A START that is up
// to 2^31 images in the past takes effect at once; IMAGE_BASE stays the number of image START.
//
//   0 SEED_LOW  1 SEED_HIGH  2 IMAGE_BASE  3 SIGMA_ADD  4 SIGMA_MUL
//   5 CONTROL (bit 0 enable, 1 add first, 2 pattern, 3 loaded, 13:8 k - 1)
//   6 GAIN_RATE  7 START  8 SIGMA_RATE  9 TABLE_PLACE  10 TABLE_LOW  11 TABLE_HIGH
//
// TABLE_HIGH stores {TABLE_HIGH, TABLE_LOW} at TABLE_PLACE, which is incremented. The table has no
// shadow: it must be written while no image that uses it is in the pipeline.
//
// Latency 15 clocks, one beat per clock; k + 15 and one beat in k clocks when it repeats. Reset:
// disabled, empty, image 0. Noise advances with the beats, not with the clock. `digest` hashes the
// output stream of each image (stream_digest.sv).
//
// It does not cut the combinational path from m_axis_tready to s_axis_tready.
// Reference: "Walking Noise" (Borras, Klein, Froening, ECML PKDD 2024) for the noise model.

module noise_tap
  import noise_tap_pkg::*;
#(
    int unsigned CHANNELS = 4,  // elements of a pixel
    int unsigned PE = 2,  // elements of a beat, a divisor of CHANNELS
    int unsigned PIXELS = 1,  // pixels of an image
    int unsigned IN_WIDTH = 8,
    bit IN_SIGNED = 1'b1,
    int unsigned FRAC = 8,  // F, 1..12
    bit ROUND = 1'b0,
    bit BIPOLAR = 1'b0,  // with ROUND: levels are -1 and 1 alone, parted at 0; in 1 bit, -1 is 0
    int unsigned OUT_WIDTH = 16,  // at most 32
    bit OUT_SIGNED = 1'b1,
    logic signed [63:0] OUT_MIN = -64'sd32768,
    logic signed [63:0] OUT_MAX = 64'sd32767,
    int unsigned OFFSET_WIDTH = 1,
    logic [CHANNELS*OFFSET_WIDTH-1:0] OFFSETS = '0,  // o << F of each channel, signed
    int unsigned SITE = 0,  // 0..254
    localparam int unsigned InBits = (PE * IN_WIDTH + 7) / 8 * 8,
    localparam int unsigned OutBits = (PE * OUT_WIDTH + 7) / 8 * 8
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               cfg_valid,
    input  logic [        7:0] cfg_site,      // 255: every tap
    input  logic [        3:0] cfg_addr,
    input  logic [       31:0] cfg_data,
    output logic               cfg_pending,
    input  logic               s_axis_tvalid,
    output logic               s_axis_tready,
    input  logic [ InBits-1:0] s_axis_tdata,
    output logic               m_axis_tvalid,
    input  logic               m_axis_tready,
    output logic [OutBits-1:0] m_axis_tdata,
    output logic               digest_valid,
    output logic [       31:0] digest
);
  localparam bit OneBit = BIPOLAR && IN_WIDTH == 1;
  localparam int unsigned Elements = PIXELS * CHANNELS;
  localparam int unsigned Beats = Elements / PE;
  localparam int unsigned Folds = CHANNELS / PE;
  localparam bit Aligned = PE % 4 == 0;
  localparam int unsigned Blocks = Aligned ? PE / 4 : (4 % PE == 0) ? 1 : (PE + 2) / 4 + 1;

  // stages: ten rounds, two for the Gaussian, then scale, multiply, sum
  localparam int unsigned Rounds = 10;
  localparam int unsigned ToLevel = Rounds + 1;
  localparam int unsigned ToScale = Rounds + 2;
  localparam int unsigned ToMultiply = ToScale + 1;
  localparam int unsigned ToSum = ToMultiply + 1;

  function automatic int unsigned larger(input int unsigned a, input int unsigned b);
    return a > b ? a : b;
  endfunction
  // holds g ((acc << F) + o) plus the largest additive noise, 2^32 * 2^15 / 2^(28 - F)
  localparam int unsigned Wide =
      larger(larger(IN_WIDTH + FRAC, OFFSET_WIDTH) + 5, 19 + FRAC) + 3;
  localparam int unsigned GainWidth = 24 + 16;
  localparam int unsigned HalfWidth = Wide + GainWidth - 16 + 1;
  localparam int unsigned SumWidth = Wide + GainWidth - 28 + 2;
  localparam int unsigned TotalWidth = SumWidth + 6;

  // u / k = u ceil(2^(TotalWidth + 6) / k) >> (TotalWidth + 6) for all u in TotalWidth bits
  // (Granlund and Montgomery, "Division by invariant integers using multiplication")
  typedef logic [TotalWidth+6:0] reciprocal_t;
  function automatic reciprocal_t [63:0] reciprocals();
    for (int i = 0; i < 64; i++) begin
      reciprocals[i] = ((reciprocal_t'(1) << (TotalWidth + 6)) + reciprocal_t'(i))
          / (reciprocal_t'(i) + 1);
    end
  endfunction
  localparam reciprocal_t [63:0] Reciprocal = reciprocals();

  settings_t shadow, active;
  logic adds_q, multiplies_q, gains_q, drifts_q, repeats_q;  // what the active settings ask for
  logic mean_valid_q;
  logic [5:0] pass_q, scale_pass_q, multiply_pass_q, sum_pass_q;
  logic [31:0] start, count_q, image_q, beat_q, element_q;
  logic [ToSum-1:0] valid_q;
  logic en, issue, accept, boundary, swap, last_beat, last_pass, sum_last;

  // images that came since the one that the settings were meant for: the count may have wrapped
  logic [31:0] late, first;
  assign late  = count_q - start;
  assign first = shadow.image_base + late;

  assign en = !m_axis_tvalid || m_axis_tready;
  assign last_beat = beat_q == Beats - 1;
  assign last_pass = pass_q == active.repeats;
  assign sum_last = sum_pass_q == active.repeats;
  assign boundary = cfg_pending && beat_q == '0 && pass_q == '0 && $signed(late) >= 0;
  assign swap = boundary && valid_q == '0 && !mean_valid_q;
  assign issue = s_axis_tvalid && en && !boundary;
  assign s_axis_tready = en && !boundary && last_pass;
  assign accept = s_axis_tvalid && s_axis_tready;

  // settings, and the table that may take the normal one's place
  logic load_valid;
  logic [$clog2(2*gaussian_pkg::Entries)-1:0] load_place;
  logic [$bits(gaussian_pkg::Table[0])-1:0] load_entry;
  tap_settings #(
      .SITE(SITE)
  ) u_settings (
      .clk,
      .rst_n,
      .cfg_valid,
      .cfg_site,
      .cfg_addr(address_e'(cfg_addr)),
      .cfg_data,
      .swap,
      .pending(cfg_pending),
      .start,
      .shadow,
      .active,
      .load_valid,
      .load_place,
      .load_entry
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {adds_q, multiplies_q, gains_q, drifts_q, repeats_q} <= '0;
    end else if (swap) begin
      adds_q       <= shadow.enable && shadow.sigma_add != '0;
      multiplies_q <= shadow.enable && shadow.sigma_mul != '0;
      gains_q      <= shadow.enable && shadow.gain_rate != '0;
      drifts_q     <= shadow.enable && (shadow.gain_rate != '0 || shadow.sigma_rate != '0);
      repeats_q    <= shadow.repeats != '0;
    end
  end

  // position
  logic [31:0] channel_q;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      count_q   <= '0;
      image_q   <= '0;
      beat_q    <= '0;
      element_q <= '0;
      channel_q <= '0;
      pass_q    <= '0;
    end else begin
      if (issue) pass_q <= last_pass ? '0 : pass_q + 1;
      if (accept) begin
        beat_q    <= last_beat ? '0 : beat_q + 1;
        element_q <= last_beat ? '0 : element_q + PE;
        channel_q <= channel_q == CHANNELS - PE ? '0 : channel_q + PE;
        if (last_beat) begin
          count_q <= count_q + 1;
          image_q <= image_q + 1;
        end
      end
      if (swap) image_q <= first;
    end
  end

  // drift: rate times image, and what it makes of 1
  logic signed [63:0] gain_change_q, sigma_change_q;
  always_ff @(posedge clk) begin
    if (swap) begin
      gain_change_q  <= 64'(shadow.gain_rate) * $signed({32'd0, first});
      sigma_change_q <= 64'(shadow.sigma_rate) * $signed({32'd0, first});
    end else if (drifts_q && accept && last_beat) begin
      gain_change_q  <= image_q == '1 ? '0 : gain_change_q + 64'(active.gain_rate);
      sigma_change_q <= image_q == '1 ? '0 : sigma_change_q + 64'(active.sigma_rate);
    end
  end

  function automatic logic [19:0] factor(input logic signed [63:0] change);
    logic signed [63:0] share;
    share = (change + (64'sd1 <<< 32)) >>> 16;
    if (share < 0) return '0;
    return share > 64'sh0f_ffff ? 20'hf_ffff : 20'(share);
  endfunction

  // beats that wait for their noise: data, place of the first element among the words, and drift
  localparam int unsigned Depth = 16;
  logic [InBits-1:0] waiting[Depth];
  logic [1:0] waiting_place[Depth];
  logic [1:0][19:0] waiting_factors[Depth];
  logic [3:0] write_q, words_read_q, level_read_q, scale_read_q, read_q;
  logic words_valid;
  assign words_valid = en && valid_q[Rounds-1];

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      valid_q      <= '0;
      mean_valid_q <= 1'b0;
      write_q      <= '0;
      words_read_q <= '0;
      level_read_q <= '0;
      scale_read_q <= '0;
      read_q       <= '0;
    end else if (en) begin
      valid_q <= {valid_q[ToSum-2:0], issue};
      mean_valid_q <= repeats_q && valid_q[ToSum-1] && sum_last;
      if (issue) begin
        waiting[write_q] <= s_axis_tdata;
        waiting_place[write_q] <= Aligned ? '0 : active.pattern ? channel_q[1:0] : element_q[1:0];
        if (drifts_q) waiting_factors[write_q] <= {factor(gain_change_q), factor(sigma_change_q)};
        write_q <= write_q + 1;
      end
      if (valid_q[Rounds-1]) words_read_q <= words_read_q + 1;
      if (valid_q[ToLevel-1]) level_read_q <= level_read_q + 1;
      if (valid_q[ToScale-1]) scale_read_q <= scale_read_q + 1;
      if (valid_q[ToSum-1]) read_q <= read_q + 1;
    end
  end

  // the levels of a beat
  logic [31:0] sigma_add, drifted_add_q;
  logic [23:0] sigma_mul, drifted_mul_q;
  logic [19:0] gain_factor_q;
  assign sigma_add = drifts_q ? drifted_add_q : active.sigma_add;
  assign sigma_mul = drifts_q ? drifted_mul_q : active.sigma_mul;

  always_ff @(posedge clk) begin
    if (en && valid_q[ToLevel-1] && drifts_q) begin
      logic [19:0] share;
      logic [51:0] add;
      logic [43:0] mul;
      share = waiting_factors[level_read_q][0];
      gain_factor_q <= waiting_factors[level_read_q][1];
      add = (52'(active.sigma_add) * 52'(share) + 52'd32768) >> 16;
      mul = (44'(active.sigma_mul) * 44'(share) + 44'd32768) >> 16;
      drifted_add_q <= add[51:32] == '0 ? add[31:0] : '1;
      drifted_mul_q <= mul[43:24] == '0 ? mul[23:0] : '1;
    end
  end

  // samples: draw 0 multiplies, draw 1 adds
  logic [Blocks-1:0][3:0][31:0] words[2];
  logic [PE-1:0][15:0] samples[2];
  for (genvar d = 0; d < 2; d++) begin : gen_draw
    logic uses;
    logic [Blocks-1:0][3:0][31:0] counter;
    assign uses = d == 0 ? multiplies_q : adds_q;
    always_comb begin
      for (int b = 0; b < Blocks; b++) begin
        if (active.pattern) begin
          counter[b] = {32'd0, 16'(SITE), 16'h8000 | 16'(d), 32'd0, (channel_q >> 2) + 32'(b)};
        end else begin
          counter[b] = {
            32'd0, 16'(SITE), 9'd0, pass_q, 1'(d), image_q, (element_q >> 2) + 32'(b)
          };
        end
      end
    end
    philox4x32 #(
        .BLOCKS(Blocks)
    ) u_philox (
        .clk,
        .rst_n,
        .en,
        .key(active.seed),
        .in_valid(issue && uses),
        .counter,
        .words(words[d])
    );
    gaussian #(
        .LANES(PE),
        .WORDS(4 * Blocks),
        .ALIGNED(Aligned),
        .LOADABLE(d == 1)
    ) u_gaussian (
        .clk,
        .en,
        .in_valid(words_valid && uses),
        .row(words[d]),
        .place(waiting_place[words_read_q]),
        .loaded(active.loaded),
        .load_valid,
        .load_place,
        .load_entry,
        .samples(samples[d])
    );
  end

  logic [3:0] multiply_read_q;
  logic [31:0] scale_fold_q, multiply_fold_q;

  function automatic logic signed [Wide-1:0] offset(input logic [31:0] fold, input int l);
    return Wide'($signed(OFFSETS[(fold*PE+l)*OFFSET_WIDTH+:OFFSET_WIDTH]));
  endfunction

  function automatic logic signed [Wide-1:0] widened(input logic [InBits-1:0] data, input int l);
    logic [IN_WIDTH-1:0] acc;
    acc = data[l*IN_WIDTH+:IN_WIDTH];
    if (OneBit) return acc[0] ? Wide'(1) <<< FRAC : -(Wide'(1) <<< FRAC);
    return IN_SIGNED ? Wide'($signed(acc)) <<< FRAC : Wide'(acc) << FRAC;
  endfunction

  function automatic logic [OUT_WIDTH-1:0] limited(input logic signed [SumWidth-1:0] v);
    logic signed [SumWidth-1:0] r;
    if (OneBit) return OUT_WIDTH'(v >= 0);
    if (ROUND && BIPOLAR) return v < 0 ? OUT_WIDTH'(OUT_MIN) : OUT_WIDTH'(OUT_MAX);
    r = ROUND ? (v + (SumWidth'(1) <<< (FRAC - 1))) >>> FRAC : v;
    if (r < SumWidth'(OUT_MIN)) return OUT_WIDTH'(OUT_MIN);
    if (r > SumWidth'(OUT_MAX)) return OUT_WIDTH'(OUT_MAX);
    return OUT_WIDTH'(r);
  endfunction

  // total / k, halves up; ~(~n / k) is what a negative n needs
  function automatic logic signed [SumWidth-1:0] mean(input logic signed [TotalWidth-1:0] total);
    logic signed [TotalWidth:0] n;
    logic [TotalWidth-1:0] u;
    logic [2*TotalWidth+6:0] product;
    n = (TotalWidth + 1)'(total) + ((TotalWidth + 1)'(active.repeats) + 1) / 2;
    u = TotalWidth'(n < 0 ? ~n : n);
    product = (2 * TotalWidth + 7)'(u) * (2 * TotalWidth + 7)'(Reciprocal[active.repeats]);
    u = TotalWidth'(product >> (TotalWidth + 6));
    return SumWidth'(n < 0 ? ~u : u);
  endfunction

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      multiply_read_q <= '0;
      {scale_fold_q, multiply_fold_q} <= '0;
      {scale_pass_q, multiply_pass_q, sum_pass_q} <= '0;
    end else if (en) begin
      if (valid_q[ToScale-1]) begin
        scale_pass_q <= scale_pass_q == active.repeats ? '0 : scale_pass_q + 1;
        if (scale_pass_q == active.repeats) begin
          scale_fold_q <= scale_fold_q == Folds - 1 ? '0 : scale_fold_q + 1;
        end
      end
      if (valid_q[ToMultiply-1]) begin
        multiply_read_q <= multiply_read_q + 1;
        multiply_pass_q <= multiply_pass_q == active.repeats ? '0 : multiply_pass_q + 1;
        if (multiply_pass_q == active.repeats) begin
          multiply_fold_q <= multiply_fold_q == Folds - 1 ? '0 : multiply_fold_q + 1;
        end
      end
      if (valid_q[ToSum-1]) sum_pass_q <= sum_last ? '0 : sum_pass_q + 1;
    end
  end

  logic [PE-1:0][OUT_WIDTH-1:0] data;
  for (genvar l = 0; l < PE; l++) begin : gen_lane
    logic signed [Wide-1:0] added_q, added_at_sum_q, centre_q, centre_at_sum_q;
    logic signed [GainWidth-1:0] gain_q;
    logic signed [SumWidth-1:0] product_q;
    logic signed [TotalWidth-1:0] total_q;
    logic [OUT_WIDTH-1:0] data_q;

    always_ff @(posedge clk) begin
      if (en && valid_q[ToScale-1] && gains_q) begin
        logic signed [Wide+20:0] product;
        product = (Wide + 21)'(widened(waiting[scale_read_q], l) + offset(scale_fold_q, l));
        product = product * $signed((Wide + 21)'({1'b0, gain_factor_q}));
        centre_q <= Wide'((product + (Wide + 21)'(32768)) >>> 16) - offset(scale_fold_q, l);
      end
    end

    always_ff @(posedge clk) begin
      if (en && valid_q[ToScale-1] && adds_q) begin
        logic signed [47:0] scaled;
        scaled = 48'($signed({1'b0, sigma_add})) * 48'($signed(samples[1][l]));
        added_q <= Wide'((scaled + (48'sd1 <<< (27 - FRAC))) >>> (28 - FRAC));
      end
    end

    always_ff @(posedge clk) begin
      if (en && valid_q[ToScale-1] && multiplies_q) begin
        logic signed [GainWidth-1:0] sigma;
        sigma = GainWidth'($signed({1'b0, sigma_mul}));
        gain_q <= sigma * GainWidth'($signed(samples[0][l]));
      end
    end

    always_ff @(posedge clk) begin
      if (en && valid_q[ToMultiply-1] && adds_q) added_at_sum_q <= added_q;
      if (en && valid_q[ToMultiply-1] && gains_q) centre_at_sum_q <= centre_q;
    end

    always_ff @(posedge clk) begin
      if (en && valid_q[ToMultiply-1] && multiplies_q) begin
        logic signed [Wide-1:0] base;
        logic signed [HalfWidth-1:0] low, high;
        base = gains_q ? centre_q : widened(waiting[multiply_read_q], l);
        base = base + offset(multiply_fold_q, l);
        if (active.add_first && adds_q) base = base + added_q;
        // (base gain + 2^27) >> 28 from two halves of the gain: a simulator has 64 bits in a word
        low = HalfWidth'(base) * $signed(HalfWidth'({1'b0, gain_q[15:0]}));
        high = HalfWidth'(base) * HalfWidth'(gain_q >>> 16);
        high = high + ((low + (HalfWidth'(1) <<< 27)) >>> 16);
        product_q <= SumWidth'(high >>> 12);
      end
    end

    always_ff @(posedge clk) begin
      if (en && valid_q[ToSum-1]) begin
        logic signed [SumWidth-1:0] v;
        v = SumWidth'(gains_q ? centre_at_sum_q : widened(waiting[read_q], l));
        if (adds_q) v = v + SumWidth'(added_at_sum_q);
        if (multiplies_q) v = v + product_q;
        if (!repeats_q) data_q <= limited(v);
        else total_q <= sum_pass_q == '0 ? TotalWidth'(v) : total_q + TotalWidth'(v);
      end
      if (en && mean_valid_q) data_q <= limited(mean(total_q));
    end

    assign data[l] = data_q;
  end

  // output register
  assign m_axis_tdata = OutBits'(data);
  always_ff @(posedge clk) begin
    if (!rst_n) m_axis_tvalid <= 1'b0;
    else if (en) m_axis_tvalid <= repeats_q ? mean_valid_q : valid_q[ToSum-1];
  end

  // digest of the output
  stream_digest #(
      .PE(PE),
      .BEATS(Beats),
      .WIDTH(OUT_WIDTH),
      .SIGNED(OUT_SIGNED),
      .BIPOLAR(OneBit)
  ) u_digest (
      .clk,
      .rst_n,
      .taken(m_axis_tvalid && m_axis_tready),
      .data,
      .digest_valid,
      .digest
  );

`ifndef SYNTHESIS
  assert property (@(posedge clk) disable iff (!rst_n)
      m_axis_tvalid && !m_axis_tready |=> m_axis_tvalid && $stable(m_axis_tdata))
  else $error("noise_tap: the output changed before it was taken");
`endif

  if (PE == 0 || CHANNELS % PE != 0) begin : gen_illegal
    $fatal(1, "noise_tap: PE must divide CHANNELS");
  end else if (PIXELS == 0) begin : gen_illegal
    $fatal(1, "noise_tap: an image has at least one pixel");
  end else if (FRAC < 1 || FRAC > 12) begin : gen_illegal
    $fatal(1, "noise_tap: FRAC must be 1 to 12");
  end else if (OUT_WIDTH > 32) begin : gen_illegal
    $fatal(1, "noise_tap: the output has at most 32 bits an element");
  end else if (OneBit && (!ROUND || OUT_WIDTH != 1)) begin : gen_illegal
    $fatal(1, "noise_tap: what comes in 1 bit leaves rounded and in 1 bit");
  end else if (SITE > 254) begin : gen_illegal
    $fatal(1, "noise_tap: SITE must be 0 to 254");
  end
endmodule
