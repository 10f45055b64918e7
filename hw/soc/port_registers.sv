// SPDX-License-Identifier: MIT
//
// Registers of an accelerator's port: what software sees of its streams and its taps.
//
// The register file (generated from registers.rdl, which says what each register does) answers on
// AXI4-Lite. `start` is high in the clock in which software asks for a run; once it knows, the
// parent raises `decided` for a clock, and says in `cause` why it refuses, or 0. CONTROL.reset holds
// `accelerator_rst_n` low for 16 clocks, which clears the registers of the taps; `resetting` is high
// from the write on. `accelerator_rst_n` follows `rst_n` a clock later.
// Reset: no noise, no events.

module port_registers #(
    int unsigned TAPS = 1,
    logic [TAPS-1:0][7:0] SITES = '0,  // numbers of the taps
    localparam int unsigned AddressWidth = noise_registers_pkg::NOISE_REGISTERS_MIN_ADDR_WIDTH
) (
    input  logic                    clk,
    input  logic                    rst_n,
    output logic                    irq,
    input  logic                    s_axil_awvalid,
    output logic                    s_axil_awready,
    input  logic [AddressWidth-1:0] s_axil_awaddr,
    input  logic [             2:0] s_axil_awprot,
    input  logic                    s_axil_wvalid,
    output logic                    s_axil_wready,
    input  logic [            31:0] s_axil_wdata,
    input  logic [             3:0] s_axil_wstrb,
    output logic                    s_axil_bvalid,
    input  logic                    s_axil_bready,
    output logic [             1:0] s_axil_bresp,
    input  logic                    s_axil_arvalid,
    output logic                    s_axil_arready,
    input  logic [AddressWidth-1:0] s_axil_araddr,
    input  logic [             2:0] s_axil_arprot,
    output logic                    s_axil_rvalid,
    input  logic                    s_axil_rready,
    output logic [            31:0] s_axil_rdata,
    output logic [             1:0] s_axil_rresp,
    output logic                    accelerator_rst_n,
    output logic                    resetting,
    output logic                    start,
    input  logic                    decided,
    input  logic [             2:0] cause,              // as in ERROR
    output logic [            31:0] image_address,
    output logic [            31:0] result_address,
    output logic [            31:0] images,
    input  logic                    busy,
    input  logic                    done,               // a run ends in this clock
    input  logic [            31:0] images_in,
    input  logic [            31:0] images_out,
    input  logic [            31:0] cycles,
    input  logic [             7:0] label_out,
    output logic                    cfg_valid,
    output logic [             7:0] cfg_site,
    output logic [             3:0] cfg_addr,
    output logic [            31:0] cfg_data,
    input  logic [        TAPS-1:0] cfg_pending,
    input  logic [        TAPS-1:0] cfg_late,
    input  logic [        TAPS-1:0] digest_valid,
    input  logic [  TAPS-1:0][31:0] digest
);
  noise_registers_pkg::noise_registers__in_t  to_registers;
  noise_registers_pkg::noise_registers__out_t registers;

  noise_registers u_registers (
      .clk,
      .rst_n,
      .s_axil_awvalid,
      .s_axil_awready,
      .s_axil_awaddr,
      .s_axil_awprot,
      .s_axil_wvalid,
      .s_axil_wready,
      .s_axil_wdata,
      .s_axil_wstrb,
      .s_axil_bvalid,
      .s_axil_bready,
      .s_axil_bresp,
      .s_axil_arvalid,
      .s_axil_arready,
      .s_axil_araddr,
      .s_axil_arprot,
      .s_axil_rvalid,
      .s_axil_rready,
      .s_axil_rdata,
      .s_axil_rresp,
      .hwif_in (to_registers),
      .hwif_out(registers)
  );

  noise_registers_pkg::tap_registers__in_t taps[TAPS];
  tap_registers #(
      .TAPS(TAPS),
      .SITES(SITES)
  ) u_tap_registers (
      .clk,
      .rst_n,
      .taps_rst_n(accelerator_rst_n),
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

  logic [4:0] resetting_q;
  logic clearing;
  initial accelerator_rst_n = 1'b0;  // before the first clock, too
  assign clearing          = resetting_q != '0 || !accelerator_rst_n;
  assign resetting         = registers.CONTROL.reset.value || clearing;
  assign start             = registers.CONTROL.start.value;
  assign image_address     = registers.IMAGE_ADDRESS.value.value;
  assign result_address    = registers.RESULT_ADDRESS.value.value;
  assign images            = registers.IMAGES.value.value;

  always_ff @(posedge clk) begin
    if (!rst_n) resetting_q <= '0;
    else if (registers.CONTROL.reset.value) resetting_q <= 5'd16;
    else if (resetting_q != '0) resetting_q <= resetting_q - 1;
    // a register of its own, since it goes everywhere
    accelerator_rst_n <= rst_n && resetting_q == '0;
  end

  always_comb begin
    to_registers.STATUS.busy.next       = busy;
    to_registers.STATUS.resetting.next  = clearing;
    to_registers.STATUS.pending.next    = cfg_pending != '0;
    to_registers.IRQ_STATUS.done.hwset  = done;
    to_registers.IRQ_STATUS.error.hwset = decided && cause != '0;
    to_registers.ERROR.cause.next       = cause;
    to_registers.ERROR.cause.we         = decided;
    to_registers.IMAGES_IN.value.next   = images_in;
    to_registers.IMAGES_OUT.value.next  = images_out;
    to_registers.CYCLES.value.next      = cycles;
    to_registers.LABEL.value.next       = label_out;
    to_registers.tap                    = taps;
  end

  assign irq = (registers.IRQ_STATUS.done.value && registers.IRQ_ENABLE.done.value)
      || (registers.IRQ_STATUS.error.value && registers.IRQ_ENABLE.error.value);

  if (TAPS != noise_registers_pkg::NUM_TAPS) begin : gen_illegal
    $fatal(1, "port_registers: the register file was generated for another number of taps");
  end
endmodule
