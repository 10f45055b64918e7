// SPDX-License-Identifier: MIT
//
// Proof of tap_registers, for one tap: a setting that is written is passed on once, two clocks
// later, and reads back.
//
//   passed    the picked setting's write appears with its site, address and content
//   silent    nothing appears that was not written
//   answered  an access is answered in the next clock, and no other
//   held      the picked setting reads as it was written, or as 0 since the taps' reset

module tap_registers_proof (
    input logic                                       clk,
    input logic                                       run,
    input logic                                       taps_run,
    input logic                                [ 3:0] picked,
    input noise_registers_pkg::noise_registers__out_t registers,
    input logic                                       cfg_pending,
    input logic                                       cfg_late,
    input logic                                       digest_valid,
    input logic                                [31:0] digest
);
  localparam logic [7:0] Site = 8'd9;

  logic rst_n, taps_rst_n, cfg_valid;
  logic [7:0] cfg_site;
  logic [3:0] cfg_addr;
  logic [31:0] cfg_data;
  noise_registers_pkg::tap_registers__in_t taps[1];

  proof_reset u_reset (.*);
  assign taps_rst_n = rst_n && taps_run;

  tap_registers #(
      .TAPS(1),
      .SITES(Site)
  ) dut (
      .clk,
      .rst_n,
      .taps_rst_n,
      .registers,
      .taps,
      .cfg_valid,
      .cfg_site,
      .cfg_addr,
      .cfg_data,
      .cfg_pending,
      .cfg_late,
      .digest_valid,
      .digest
  );

  logic started_q = 1'b0;
  logic asked_q, write_q, ours_q, touched, told_q, ours_told_q;
  logic [3:0] place_q;
  logic [31:0] data_q, enabled_q, fields, content_q, next, next_q;

  // the bits that the picked setting has, by name
  always_comb begin
    fields = '1;
    if (dut.requests[0][place_q] && registers.tap[0].SIGMA_MUL.req) fields = 32'h00ff_ffff;
    if (dut.requests[0][place_q] && registers.tap[0].CONTROL.req) fields = 32'h001f_3f0f;
  end

  logic [31:0] fields_q;
  assign touched = asked_q && write_q && (enabled_q & fields_q) != '0;
  assign next = (content_q & ~enabled_q) | (data_q & enabled_q & fields_q);

  always_ff @(posedge clk) begin
    picks : assume (place_q < 4'd13 || !started_q);
    single : assume ($onehot0(dut.requests[0]));
    started_q <= 1'b1;
    place_q   <= started_q ? place_q : picked;
    asked_q   <= rst_n && dut.requests[0] != '0;
    ours_q    <= rst_n && dut.requests[0][place_q];
    write_q   <= registers.tap[0].CONTROL.req_is_wr;
    data_q    <= registers.tap[0].CONTROL.wr_data;
    enabled_q <= registers.tap[0].CONTROL.wr_biten;
    fields_q  <= fields;
    next_q    <= next;
    told_q      <= rst_n && dut.writes;
    ours_told_q <= rst_n && ours_q && touched;
    if (!taps_rst_n) content_q <= '0;
    else if (ours_q && touched) content_q <= next;
    if (started_q && rst_n) begin
      silent : assert (cfg_valid == told_q);
      passed : assert (!ours_told_q
          || (cfg_valid && {cfg_site, cfg_addr, cfg_data} == {Site, place_q, next_q}));
      answered : assert ({taps[0].SEED_LOW.rd_ack, taps[0].SEED_LOW.wr_ack}
          == {asked_q && !write_q, asked_q && write_q});
      held : assert (!ours_q || taps[0].START.rd_data == content_q);
    end
    // what links the module to the model
    if (started_q) begin
      stage : assert (dut.asked_q == asked_q && dut.write_q == write_q && dut.data_q == data_q
          && dut.enabled_q == enabled_q && (!ours_q || dut.asked_q));
      place : assert (!asked_q || (dut.tap_q == '0
          && ours_q == (dut.setting_q == place_q)));
      memory : assert ((dut.written_q[{1'b0, place_q}] ? dut.memory[{1'b0, place_q}] : '0)
          == content_q);
    end
  end
endmodule
