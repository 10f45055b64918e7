"""cocotb side of ``tap_samples.sv``, which writes the settings and runs the taps."""

import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout


@cocotb.test()
async def run_taps(dut) -> None:
    """Draw the number of beats in ``in.json``."""
    job = json.loads(Path("in.json").read_text())
    Clock(dut.clk, 2, unit="ns").start()
    dut.run.value = 0
    dut.cfg_valid.value = 0
    dut.limit.value = job["beats"]
    dut.rst_n.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    for address, data in job["writes"]:
        dut.cfg_valid.value = 1
        dut.cfg_addr.value = address
        dut.cfg_data.value = data
        await FallingEdge(dut.clk)
    dut.cfg_valid.value = 0
    dut.run.value = 1
    await with_timeout(RisingEdge(dut.done), 4 * job["beats"] + 1000, "ns")
    await FallingEdge(dut.clk)
