// SPDX-License-Identifier: MIT
//
// Proof of result_writer: for every image, the label and then its logits are written once, in order.
//
//   order  the word that is asked to be written is the next one of its image
//   place  at the next address
//   taken  a label is taken in the clock after its image's last word, and counted
//   waits  words of an image are written, and counted, only while its label waits

module result_writer_proof (
    input logic        clk,
    input logic        run,
    input logic        start,
    input logic [31:0] address,
    input logic        scores_valid,
    input logic [ 7:0] scores_data,
    input logic        s_valid,
    input logic [ 7:0] s_data,
    input logic        mem_ready
);
  localparam int unsigned Classes = 4;
  localparam int unsigned Beats = 2;  // of two classes

  logic rst_n, s_ready, mem_valid, held_q, done_q;
  logic [31:0] images_out, mem_address, mem_data, address_q, images_q;
  logic begun_q = 1'b0;  // there is an address
  logic [7:0] label_out, data_q;

  proof_reset u_reset (.*);

  result_writer #(
      .CLASSES(Classes),
      .PE(2),
      .SCORE_WIDTH(4)
  ) dut (
      .clk,
      .rst_n,
      .start,
      .address,
      .images_out,
      .label_out,
      .scores_valid,
      .scores_data,
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tdata(s_data),
      .mem_valid,
      .mem_ready,
      .mem_address,
      .mem_data
  );

  logic [7:0] logits_q[2*Beats];  // of two images
  logic [2:0] waiting_q;  // beats of logits that are not written
  logic [1:0] write_q;
  logic [2:0] word_q;  // of the image: the label, then the logits
  logic image_q;  // which of the two
  logic last, taken_image;
  assign last = mem_valid && mem_ready && word_q == 3'(Classes);
  assign taken_image = image_q ^ done_q;  // the first that was not taken
  logic [3:0] logit;
  assign logit = logits_q[2*image_q+2'((word_q-1)>>1)][4*2'((word_q-1)&3'd1)+:4];

  always_ff @(posedge clk) begin
    held_q <= rst_n && s_valid && !s_ready;
    data_q <= s_data;
    done_q <= rst_n && last;
    if (rst_n && held_q) begin
      source : assume (s_valid && s_data == data_q);
    end
    if (rst_n) begin
      // the label comes behind its logits, of which there are two images' at most
      behind : assume (!s_valid || waiting_q >= 3'(Beats));
      two : assume (!scores_valid || waiting_q < 3'(2 * Beats));
      // a run begins when the last one has ended
      rests : assume (!start || !s_valid);
    end
    if (!rst_n) begin
      {waiting_q, write_q, word_q, image_q} <= '0;
      images_q <= '0;
    end else begin
      waiting_q <= waiting_q + 3'(scores_valid) - (s_valid && s_ready ? 3'(Beats) : 3'd0);
      if (scores_valid) begin
        write_q <= write_q + 1;
        logits_q[write_q] <= scores_data;
      end
      if (mem_valid && mem_ready) begin
        word_q <= word_q == 3'(Classes) ? '0 : word_q + 1;
        image_q <= image_q ^ (word_q == 3'(Classes));
        images_q <= images_q + 32'(word_q == 3'(Classes));
      end
      if (start) address_q <= address;
      if (start) begun_q <= 1'b1;
      if (mem_valid && mem_ready) address_q <= address_q + 4;
    end
  end

  always_ff @(posedge clk) begin
    if (rst_n) begin
      order : assert (!mem_valid
          || mem_data == (word_q == '0 ? 32'(s_data) : 32'($signed(logit))));
      place : assert (!mem_valid || !begun_q || mem_address == address_q);
      taken : assert ((s_valid && s_ready) == done_q && s_ready == done_q
          && images_out == images_q - 32'(done_q));
      bounds : assert (word_q <= 3'(Classes) && waiting_q <= 3'(2 * Beats));
      first : assert (dut.label_next_q == (word_q == '0));
      places : assert (dut.write_q == write_q && dut.read_q == {image_q, word_q > 3'd2}
          && dut.lane_q == (word_q == '0 ? 1'b0 : 1'(word_q - 1)));
      behind_write : assert (2'(waiting_q) == write_q - {taken_image, 1'b0});
      waits : assert ((word_q == '0 && !done_q) || held_q);
      begins : assert (!done_q || word_q == '0);
    end
    // reset keeps it
    addresses : assert (!begun_q || dut.address_q == address_q);
  end

  for (genvar i = 0; i < 2 * Beats; i++) begin : gen_logits
    logic [1:0] behind;  // beats before it that are not written either
    assign behind = 2'(i) - {taken_image, 1'b0};
    always_ff @(posedge clk) begin
      if (rst_n) begin
        // of beats that were written; what the others hold does not matter
        content : assert ({1'b0, behind} >= waiting_q || dut.scores[i] == logits_q[i]);
      end
    end
  end
endmodule
