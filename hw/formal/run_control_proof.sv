// SPDX-License-Identifier: MIT
//
// Proof of run_control: a run begins if its images and results lie in memory, and is refused with
// the reason otherwise.
//
//   begins   a run that is not refused at once begins three clocks later, or is refused
//   reason   a refusal has the reason that its registers had
//   busy     while a run is going on, or a reset, another one is refused at once
//   silent   nothing begins and nothing is refused that was not asked for
//   ends     a run ends with its last image

module run_control_proof #(
    int unsigned IMAGE_BYTES = 12,
    int unsigned RESULT_BYTES = 8,
    int unsigned MEMORY_BYTES = 100
) (
    input logic        clk,
    input logic        run,
    input logic        asked,
    input logic        resetting,
    input logic [31:0] image_address,
    input logic [31:0] result_address,
    input logic [31:0] images,
    input logic [31:0] images_out
);
  logic rst_n, decided, start, running, ended;
  logic [2:0] cause;
  logic [31:0] run_image_address, run_result_address, run_images, cycles;

  proof_reset u_reset (.*);

  run_control #(
      .IMAGE_BYTES(IMAGE_BYTES),
      .RESULT_BYTES(RESULT_BYTES),
      .MEMORY_BYTES(MEMORY_BYTES)
  ) dut (
      .clk,
      .rst_n,
      .asked,
      .resetting,
      .image_address,
      .result_address,
      .images,
      .decided,
      .cause,
      .start,
      .run_image_address,
      .run_result_address,
      .run_images,
      .images_out,
      .running,
      .ended,
      .cycles
  );

  // the run, as it was asked for
  logic busy_q, going_q, accepted;
  logic [2:0] age_q;
  logic [31:0] images_q, from_q, to_q, last_q;
  logic [2:0] expected;

  function automatic logic outside(input logic [31:0] address, input int unsigned each);
    return address[1:0] != '0
        || 64'(images_q) * 64'(each) + 64'(address) > 64'(MEMORY_BYTES);
  endfunction

  assign accepted = asked && !busy_q && !resetting;
  always_comb begin
    if (images_q == '0) expected = 3'd2;
    else if (outside(from_q, IMAGE_BYTES)) expected = 3'd3;
    else if (outside(to_q, RESULT_BYTES)) expected = 3'd4;
    else expected = 3'd0;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {busy_q, going_q, age_q} <= '0;
    end else begin
      age_q <= {age_q[1:0], accepted};
      if (accepted) begin
        busy_q   <= 1'b1;
        images_q <= images;
        from_q   <= image_address;
        to_q     <= result_address;
      end
      if (age_q[2] && expected != '0) busy_q <= 1'b0;
      if (age_q[2] && expected == '0) begin
        going_q <= 1'b1;
        last_q  <= images_out + images_q;
      end
      if (going_q && images_out == last_q) {busy_q, going_q} <= '0;
    end
  end

  always_ff @(posedge clk) begin
    if (rst_n) begin
      begins : assert (!age_q[2] || (decided && start == (expected == '0)));
      reason : assert (!age_q[2] || asked || cause == expected);
      busy : assert (!asked || accepted || (decided && cause == 3'd1));
      silent : assert ((!decided || age_q[2] || (asked && !accepted)) && (!start || age_q[2]));
      ends : assert (ended == (going_q && images_out == last_q) && running == busy_q);
      // what links the module to the model
      copies : assert (!busy_q
          || {run_images, run_image_address, run_result_address} == {images_q, from_q, to_q});
      stages : assert (dut.checking_q == age_q && $onehot0(age_q) && (age_q == '0 || !going_q)
          && (busy_q == (going_q || age_q != '0)) && (!going_q || dut.wanted_q == last_q));
      sizes : assert (!(age_q[1] || age_q[2]) || ((dut.gen_outside[0].many_q
          || dut.gen_outside[0].bytes_q == images_q * IMAGE_BYTES)
          && (dut.gen_outside[1].many_q || dut.gen_outside[1].bytes_q == images_q * RESULT_BYTES)
          && dut.gen_outside[0].many_q == (images_q > MEMORY_BYTES / IMAGE_BYTES)
          && dut.gen_outside[1].many_q == (images_q > MEMORY_BYTES / RESULT_BYTES)));
      ranges : assert (!age_q[2]
          || dut.outside_q == {outside(to_q, RESULT_BYTES), outside(from_q, IMAGE_BYTES)});
    end
  end
endmodule
