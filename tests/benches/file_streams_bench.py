"""cocotb side of ``file_streams.sv``: every unit under test in one top, ``clk`` to ``done``.

Three runs, each from a reset: one that the next reset interrupts, one without stalls, one with.
"""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout

CLOCK_NS = 2
INTERRUPTED = 37
"""Clocks of the first run, stalls on."""
LONGEST = 20_000
"""Clocks of a run."""


async def _start(dut, stall: bool) -> None:
    dut.rst_n.value = 0
    dut.stall.value = int(stall)
    await ClockCycles(dut.clk, 3)
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1


@cocotb.test()
async def runs(dut) -> None:
    """Run everything three times."""
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    await _start(dut, True)
    await ClockCycles(dut.clk, INTERRUPTED)
    for stall in (False, True):
        await _start(dut, stall)
        await with_timeout(RisingEdge(dut.done), LONGEST * CLOCK_NS, "ns")
        # what comes behind the last beat is wrong, and must be seen
        await ClockCycles(dut.clk, 20)
