// SPDX-License-Identifier: MIT
//
// Two noise taps of different sites on a stream of ones; each tap's output goes to a file:
//
//   samples<i>.txt   one beat a line, hexadecimal, the first element in the lowest bits
//
// With F = 12 fractional bits, an additive level of 1 yields 4096 + z2, a multiplicative 4096 + z1.
// Not synthesizable.

module tap_samples #(
    int unsigned CHANNELS = 64,
    int unsigned PE = 16,
    int unsigned PIXELS = 25
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        run,
    input  logic        cfg_valid,
    input  logic [ 3:0] cfg_addr,
    input  logic [31:0] cfg_data,
    input  logic [31:0] limit,  // beats
    output logic        done
);
  localparam int unsigned OutWidth = 24;
  logic [1:0][31:0] beats_q;

  for (genvar i = 0; i < 2; i++) begin : gen_tap
    logic out_valid;
    logic [PE*OutWidth-1:0] data;
    int file;

    initial file = $fopen($sformatf("samples%0d.txt", i), "w");

    noise_tap #(
        .CHANNELS(CHANNELS),
        .PE(PE),
        .PIXELS(PIXELS),
        .IN_WIDTH(8),
        .FRAC(12),
        .OUT_WIDTH(OutWidth),
        .OUT_MIN(-(1 << (OutWidth - 1))),
        .OUT_MAX((1 << (OutWidth - 1)) - 1),
        .SITE(i)
    ) u_tap (
        .clk,
        .rst_n,
        .cfg_valid,
        .cfg_site(8'hff),
        .cfg_addr,
        .cfg_data,
        .cfg_pending(),
        .cfg_late(),
        .s_axis_tvalid(run),
        .s_axis_tready(),
        .s_axis_tdata({PE{8'd1}}),
        .m_axis_tvalid(out_valid),
        .m_axis_tready(1'b1),
        .m_axis_tdata(data),
        .digest_valid(),
        .digest()
    );

    always_ff @(posedge clk) begin
      if (!rst_n) beats_q[i] <= '0;
      else if (out_valid && beats_q[i] != limit) begin
        $fwrite(file, "%h\n", data);
        beats_q[i] <= beats_q[i] + 1;
      end
    end
    always_ff @(posedge done) $fflush(file);
  end

  assign done = beats_q[0] == limit && beats_q[1] == limit;
endmodule
