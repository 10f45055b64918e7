// SPDX-License-Identifier: MIT
//
// A RISC-V core (picorv32, RV32IM) with memory, a serial port, and an AXI4-Lite bus to peripherals.
//
//   0x00000000  memory, MEMORY_BYTES, which a peripheral may read and write as well
//   0x40000000  serial port: a byte to send; read: bit 0 ready
//   0x40000004  clocks of a bit, 16 bits, at least 1, and 4 to receive
//   0x40000008  byte received: bit 8 there is one, bit 9 one was lost before it; a read takes it
//   0x80000000  AXI4-Lite
//
// Execution begins at 0, interrupts at 16. Interrupt 3: `irq` rises; 4: an access was refused, that
// is, nothing is at its address or AXI4-Lite answers with an error. The memory has one port, given
// to the peripheral's writes, then its reads, then the core. `trap` rises when the core stops: on
// an illegal instruction or ebreak with no handler. Reset: the core starts again, memory stays.

module microcontroller #(
    int unsigned MEMORY_BYTES = 65536,
    string FILE = "",  // words in hexadecimal that the memory holds at start
    bit SHORT_PATHS = 1'b0,  // memory is read through a register; sums, products take more clocks
    int unsigned ADDRESS_WIDTH = 12  // of the AXI4-Lite bus
) (
    input  logic                     clk,
    input  logic                     rst_n,
    output logic                     trap,
    input  logic                     rx,
    output logic                     tx,
    input  logic                     irq,
    input  logic                     read_valid,
    output logic                     read_ready,
    input  logic [             31:0] read_address,
    output logic [             31:0] read_data,
    input  logic                     write_valid,
    output logic                     write_ready,
    input  logic [             31:0] write_address,
    input  logic [             31:0] write_data,
    output logic                     m_axil_awvalid,
    input  logic                     m_axil_awready,
    output logic [ADDRESS_WIDTH-1:0] m_axil_awaddr,
    output logic                     m_axil_wvalid,
    input  logic                     m_axil_wready,
    output logic [             31:0] m_axil_wdata,
    output logic [              3:0] m_axil_wstrb,
    input  logic                     m_axil_bvalid,
    output logic                     m_axil_bready,
    input  logic [              1:0] m_axil_bresp,
    output logic                     m_axil_arvalid,
    input  logic                     m_axil_arready,
    output logic [ADDRESS_WIDTH-1:0] m_axil_araddr,
    input  logic                     m_axil_rvalid,
    output logic                     m_axil_rready,
    input  logic [             31:0] m_axil_rdata,
    input  logic [              1:0] m_axil_rresp
);
  localparam int unsigned Words = MEMORY_BYTES / 4;
  localparam int unsigned WordWidth = $clog2(Words);

  logic valid, ready;
  logic [31:0] address, data;
  logic [3:0] strobe;
  logic [31:0] answer;
  logic to_memory, to_serial, to_bus, to_nothing;

  // an access is over in the clock of `ready`
  assign to_memory  = valid && address < MEMORY_BYTES;
  assign to_serial  = valid && address[31:4] == 28'h400_0000;
  assign to_bus     = valid && address[31] && (address[30:0] >> ADDRESS_WIDTH) == '0;
  assign to_nothing = valid && !to_memory && !to_serial && !to_bus;

  // memory
  logic memory_en, granted, granted_q, memory_ready_q;
  logic [31:0] memory_address, memory_data, memory_read, core_read;
  logic [3:0] memory_write;

  assign write_ready = write_valid;
  assign read_ready  = read_valid && !write_valid;
  assign granted     = to_memory && !granted_q && !memory_ready_q && !write_valid && !read_valid;
  assign memory_en   = write_valid || read_valid || granted;
  assign read_data   = memory_read;

  always_comb begin
    memory_address = address;
    memory_write   = strobe;
    memory_data    = data;
    if (write_valid) begin
      memory_address = write_address;
      memory_write   = '1;
      memory_data    = write_data;
    end else if (read_valid) begin
      memory_address = read_address;
      memory_write   = '0;
    end
  end

  if (SHORT_PATHS) begin : gen_registered
    always_ff @(posedge clk) begin
      granted_q      <= rst_n && granted;
      memory_ready_q <= rst_n && granted_q;
      core_read      <= memory_read;
    end
  end else begin : gen_direct
    assign granted_q = 1'b0;
    assign core_read = memory_read;
    always_ff @(posedge clk) memory_ready_q <= rst_n && granted;
  end

  ram #(
      .WORDS(Words),
      .FILE(FILE)
  ) u_ram (
      .clk,
      .en(memory_en),
      .address(WordWidth'(memory_address >> 2)),
      .write(memory_write),
      .write_data(memory_data),
      .read_data(memory_read)
  );

  // serial port
  logic [15:0] divider_q;
  logic serial_ready, serial_sends, received_valid, received_lost, received_taken;
  logic [7:0] received;

  assign serial_sends   = to_serial && address[3:2] == 2'd0 && strobe[0] && serial_ready;
  assign received_taken = to_serial && address[3:2] == 2'd2 && strobe == '0;

  always_ff @(posedge clk) begin
    if (!rst_n) divider_q <= 16'd1;
    else if (to_serial && address[3:2] == 2'd1 && strobe[1:0] == '1) divider_q <= data[15:0];
  end

  uart_tx u_uart (
      .clk,
      .rst_n,
      .divider(divider_q),
      .valid(serial_sends),
      .ready(serial_ready),
      .data(data[7:0]),
      .tx
  );

  uart_rx u_receiver (
      .clk,
      .rst_n,
      .divider(divider_q),
      .rx,
      .valid(received_valid),
      .lost(received_lost),
      .taken(received_taken),
      .data(received)
  );

  // peripherals
  logic bus_ready, bus_fault;
  logic [31:0] bus_data;

  axi_lite_bridge #(
      .ADDRESS_WIDTH(ADDRESS_WIDTH)
  ) u_bridge (
      .clk,
      .rst_n,
      .valid(to_bus),
      .ready(bus_ready),
      .fault(bus_fault),
      .address(address[ADDRESS_WIDTH-1:0]),
      .write(strobe),
      .write_data(data),
      .read_data(bus_data),
      .m_axil_awvalid,
      .m_axil_awready,
      .m_axil_awaddr,
      .m_axil_wvalid,
      .m_axil_wready,
      .m_axil_wdata,
      .m_axil_wstrb,
      .m_axil_bvalid,
      .m_axil_bready,
      .m_axil_bresp,
      .m_axil_arvalid,
      .m_axil_arready,
      .m_axil_araddr,
      .m_axil_rvalid,
      .m_axil_rready,
      .m_axil_rdata,
      .m_axil_rresp
  );

  // the core
  assign ready = to_memory ? memory_ready_q : to_bus ? bus_ready : valid;
  always_comb begin
    unique case (1'b1)
      to_memory: answer = core_read;
      to_bus: answer = bus_data;
      to_serial: begin
        unique case (address[3:2])
          2'd0: answer = 32'(serial_ready);
          2'd1: answer = 32'(divider_q);
          default: answer = 32'({received_lost, received_valid, received});
        endcase
      end
      default: answer = '0;
    endcase
  end

  logic irq_q;
  always_ff @(posedge clk) irq_q <= rst_n && irq;

  logic [31:0] interrupts;
  assign interrupts = 32'({to_nothing || bus_fault, irq && !irq_q, 3'b000});

  picorv32 #(
      .TWO_STAGE_SHIFT(1'b0),
      .BARREL_SHIFTER(1'b1),
      .TWO_CYCLE_ALU(SHORT_PATHS),
      .TWO_CYCLE_COMPARE(SHORT_PATHS),
      .ENABLE_FAST_MUL(!SHORT_PATHS),
      .ENABLE_MUL(SHORT_PATHS),
      .ENABLE_DIV(1'b1),
      .ENABLE_IRQ(1'b1),
      .ENABLE_IRQ_TIMER(1'b1),
      .PROGADDR_RESET(32'h0),
      .PROGADDR_IRQ(32'h10)
  ) u_core (
      .clk,
      .resetn(rst_n),
      .trap,
      .mem_valid(valid),
      .mem_instr(),
      .mem_ready(ready),
      .mem_addr(address),
      .mem_wdata(data),
      .mem_wstrb(strobe),
      .mem_rdata(answer),
      .mem_la_read(),
      .mem_la_write(),
      .mem_la_addr(),
      .mem_la_wdata(),
      .mem_la_wstrb(),
      .pcpi_valid(),
      .pcpi_insn(),
      .pcpi_rs1(),
      .pcpi_rs2(),
      .pcpi_wr(1'b0),
      .pcpi_rd('0),
      .pcpi_wait(1'b0),
      .pcpi_ready(1'b0),
      .irq(interrupts),
      .eoi(),
      .trace_valid(),
      .trace_data()
  );

  if (MEMORY_BYTES % 4 != 0 || MEMORY_BYTES > 32'h4000_0000) begin : gen_illegal
    $fatal(1, "microcontroller: memory has whole words, and ends below the serial port");
  end
endmodule
