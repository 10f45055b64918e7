// SPDX-License-Identifier: MIT
//
// The registers of the taps: what software wrote to them, in one memory, and their state.
//
// `registers` and `taps` are what the register file (registers.rdl) asks and is told. Settings, its
// external registers, lie in a memory of a word each; what was not written since `taps_rst_n` reads
// as 0. An access is answered a clock after the file asks; a write is passed on to the taps in the
// clock after that, with the register's whole content. Reset: idle, all 0.

module tap_registers #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0  // numbers of the taps
) (
    input  logic                                      clk,
    input  logic                                      rst_n,
    input  logic                                      taps_rst_n,
    input  noise_registers_pkg::noise_registers__out_t registers,
    output noise_registers_pkg::tap_registers__in_t    taps[TAPS],
    output logic                                      cfg_valid,
    output logic [7:0]                                cfg_site,
    output logic [3:0]                                cfg_addr,
    output logic [31:0]                               cfg_data,
    input  logic [TAPS-1:0]                           cfg_pending,
    input  logic [TAPS-1:0]                           cfg_late,
    input  logic [TAPS-1:0]                           digest_valid,
    input  logic [TAPS-1:0][31:0]                     digest
);
  localparam int unsigned Settings = 13;
  localparam int unsigned TapBits = TAPS > 1 ? $clog2(TAPS) : 1;
  localparam int unsigned Words = 16 << TapBits;

  // which setting is asked for, in the order of the addresses of tap_settings.sv
  logic [TAPS-1:0][Settings-1:0] requests;
  logic asked, asked_q, write_q, writes;
  logic [TapBits-1:0] tap, tap_q;
  logic [3:0] setting, setting_q;
  for (genvar t = 0; t < TAPS; t++) begin : gen_requests
    assign requests[t] = {
      registers.tap[t].ADC_STEP.req,
      registers.tap[t].TABLE_HIGH.req,
      registers.tap[t].TABLE_LOW.req,
      registers.tap[t].TABLE_PLACE.req,
      registers.tap[t].SIGMA_RATE.req,
      registers.tap[t].START.req,
      registers.tap[t].GAIN_RATE.req,
      registers.tap[t].CONTROL.req,
      registers.tap[t].SIGMA_MUL.req,
      registers.tap[t].SIGMA_ADD.req,
      registers.tap[t].IMAGE_BASE.req,
      registers.tap[t].SEED_HIGH.req,
      registers.tap[t].SEED_LOW.req
    };
  end
  // taps first, then settings: synthesis makes a chain of each loop
  logic [Settings-1:0] of_any_tap;
  always_comb begin
    {tap, setting, of_any_tap} = '0;
    for (int t = 0; t < TAPS; t++) begin
      of_any_tap |= requests[t];
      if (|requests[t]) tap |= TapBits'(t);
    end
    for (int s = 0; s < Settings; s++) if (of_any_tap[s]) setting |= 4'(s);
    asked = |of_any_tap;
  end

  // the access, a clock later; the file gives every register the same data
  logic [31:0] data_q, enabled_q, fields, content, next;
  logic reads, wrote;
  always_ff @(posedge clk) begin
    asked_q   <= rst_n && asked;
    tap_q     <= tap;
    setting_q <= setting;
    write_q   <= registers.tap[0].CONTROL.req_is_wr;
    data_q    <= registers.tap[0].CONTROL.wr_data;
    enabled_q <= registers.tap[0].CONTROL.wr_biten;
  end

  assign reads = asked_q && !write_q;
  assign wrote = asked_q && write_q;

  always_comb begin
    unique case (setting_q)
      4'd4:    fields = 32'h00ff_ffff;  // SIGMA_MUL
      4'd5:    fields = 32'h001f_3f0f;  // CONTROL
      default: fields = '1;
    endcase
  end

  logic [31:0] memory[Words];
  logic [Words-1:0] written_q;
  assign content = written_q[{tap_q, setting_q}] ? memory[{tap_q, setting_q}] : '0;
  assign next    = (content & ~enabled_q) | (data_q & enabled_q & fields);
  assign writes  = wrote && (enabled_q & fields) != '0;
  always_ff @(posedge clk) begin
    if (writes) memory[{tap_q, setting_q}] <= next;
    if (!taps_rst_n) written_q <= '0;
    else if (writes) written_q[{tap_q, setting_q}] <= 1'b1;
  end

  always_ff @(posedge clk) begin
    cfg_valid <= rst_n && writes;
    cfg_site  <= SITES[tap_q];
    cfg_addr  <= setting_q;
    cfg_data  <= next;
  end

  // state, and the answer, which every setting gives
  for (genvar t = 0; t < TAPS; t++) begin : gen_answers
    always_comb begin
      taps[t].taps_rst_n = taps_rst_n;
      taps[t].SITE.value.next = SITES[t];
      taps[t].STATUS.pending.next = cfg_pending[t];
      taps[t].STATUS.late.hwset = cfg_late[t];
      taps[t].DIGEST.value = '{next: digest[t], we: digest_valid[t]};
      taps[t].SEED_LOW = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].SEED_HIGH = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].IMAGE_BASE = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].SIGMA_ADD = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].SIGMA_MUL = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].CONTROL = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].GAIN_RATE = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].SIGMA_RATE = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].START = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].TABLE_PLACE = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].TABLE_LOW = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].TABLE_HIGH = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
      taps[t].ADC_STEP = '{rd_ack: reads, rd_data: content, wr_ack: wrote};
    end
  end
endmodule
