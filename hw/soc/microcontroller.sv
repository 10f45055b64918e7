// SPDX-License-Identifier: MIT
//
// A RISC-V core (picorv32, RV32IM) with memory, a serial port, and an AXI4-Lite bus to peripherals.
//
//   0x00000000  memory, MEMORY_BYTES, which a peripheral may read and write as well
//   0x40000000  serial port: the registers of serial_port.sv, a word each
//   0x80000000  AXI4-Lite
//
// Execution begins at 0, interrupts at 16. Interrupt 3: `irq` rises; 4: an access was refused, that
// is, nothing is at its address or AXI4-Lite answers with an error. `trap` rises when the core
// stops: on an illegal instruction or ebreak with no handler. Reset: the core starts again, memory
// stays.

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
  logic valid, ready;
  logic [31:0] address, data;
  logic [3:0] strobe;
  logic [31:0] answer, memory_answer, serial_answer, bus_answer;
  logic memory_ready, bus_ready, bus_fault;
  logic to_memory, to_serial, to_bus, to_nothing;

  // an access is over in the clock of `ready`
  assign to_memory  = valid && address < MEMORY_BYTES;
  assign to_serial  = valid && address[31:4] == 28'h400_0000;
  assign to_bus     = valid && address[31] && (address[30:0] >> ADDRESS_WIDTH) == '0;
  assign to_nothing = valid && !to_memory && !to_serial && !to_bus;

  shared_memory #(
      .WORDS(MEMORY_BYTES / 4),
      .FILE(FILE),
      .SHORT_PATHS(SHORT_PATHS)
  ) u_memory (
      .clk,
      .rst_n,
      .core_valid(to_memory),
      .core_ready(memory_ready),
      .core_address(address),
      .core_write(strobe),
      .core_write_data(data),
      .core_read_data(memory_answer),
      .read_valid,
      .read_ready,
      .read_address,
      .read_data,
      .write_valid,
      .write_ready,
      .write_address,
      .write_data
  );

  serial_port u_serial (
      .clk,
      .rst_n,
      .valid(to_serial),
      .place(address[3:2]),
      .write(strobe),
      .write_data(data[15:0]),
      .answer(serial_answer),
      .rx,
      .tx
  );

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
      .read_data(bus_answer),
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

  assign ready = to_memory ? memory_ready : to_bus ? bus_ready : valid;
  always_comb begin
    unique case (1'b1)
      to_memory: answer = memory_answer;
      to_bus: answer = bus_answer;
      to_serial: answer = serial_answer;
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
