// SPDX-License-Identifier: MIT
//
// Start and end of a run.
//
// `asked` is high in the clock in which software asks for a run. It is refused at once while one is
// running, or in a reset; otherwise it is checked for three clocks, with copies of its registers.
// `decided` is high in the clock in which it begins (`start`), or is refused for `cause`, as in the
// register ERROR. `ended` is high in its last clock; `cycles` counts from `start` to there.
// Reset: no run.

module run_control #(
    int unsigned IMAGE_BYTES = 4,  // in memory
    int unsigned RESULT_BYTES = 4,
    int unsigned MEMORY_BYTES = 65536
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        asked,
    input  logic        resetting,
    input  logic [31:0] image_address,
    input  logic [31:0] result_address,
    input  logic [31:0] images,
    output logic        decided,
    output logic [ 2:0] cause,
    output logic        start,
    output logic [31:0] run_image_address,
    output logic [31:0] run_result_address,
    output logic [31:0] run_images,
    input  logic [31:0] images_out,          // since reset
    output logic        running,             // or being checked
    output logic        ended,
    output logic [31:0] cycles               // of the last run
);
  localparam int unsigned SizeBits = $clog2(MEMORY_BYTES + 1);

  logic accepted, checked;
  logic [1:0] outside_q;  // of memory: images, results
  logic [2:0] checking_q;
  logic [31:0] wanted_q;

  assign accepted = asked && !running && !resetting;
  assign checked  = checking_q[2];
  assign start    = checked && run_images != '0 && outside_q == '0;
  assign decided  = checked || (asked && !accepted);
  assign ended    = running && checking_q == '0 && images_out == wanted_q;

  always_comb begin
    if (asked && !accepted) cause = 3'd1;
    else if (run_images == '0) cause = 3'd2;
    else if (outside_q[0]) cause = 3'd3;
    else if (outside_q[1]) cause = 3'd4;
    else cause = 3'd0;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      running    <= 1'b0;
      checking_q <= '0;
      wanted_q   <= '0;
      cycles     <= '0;
    end else begin
      checking_q <= {checking_q[1:0], accepted};
      if (accepted) running <= 1'b1;
      else if (ended || (checked && !start)) running <= 1'b0;
      if (start) begin
        wanted_q <= images_out + run_images;
        cycles   <= '0;
      end else if (running && checking_q == '0 && !ended) begin
        cycles <= cycles + 1;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (accepted) begin
      run_image_address  <= image_address;
      run_result_address <= result_address;
      run_images         <= images;
    end
  end

  // bytes, then whether they end in memory
  for (genvar k = 0; k < 2; k++) begin : gen_outside
    localparam int unsigned Each = k == 0 ? IMAGE_BYTES : RESULT_BYTES;
    localparam int unsigned Most = MEMORY_BYTES / (Each == 0 ? 1 : Each);  // none: illegal, below
    localparam int unsigned CountBits = $clog2(Most + 2);
    logic [31:0] address;
    logic [SizeBits-1:0] bytes_q;
    logic many_q;
    assign address = k == 0 ? run_image_address : run_result_address;
    always_ff @(posedge clk) begin
      many_q       <= run_images > Most;
      bytes_q      <= SizeBits'(run_images[CountBits-1:0]) * SizeBits'(Each);
      outside_q[k] <= many_q || address[1:0] != '0
          || 33'(bytes_q) + 33'(address) > 33'(MEMORY_BYTES);
    end
  end

  if (IMAGE_BYTES == 0 || RESULT_BYTES == 0) begin : gen_illegal
    $fatal(1, "run_control: images and results have at least one byte");
  end
endmodule
