"""cocotb side of ``soc_bench.sv``, which resets the system and waits until its core stops.

``job.json`` in the working folder holds the divider of the serial line, the largest number of
clocks of the run, and the clocks after which the system is reset a second time (0 for no second
reset).

The clock is that of ``bench_main.cpp``, the simulator's main loop.
"""

import json
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer, with_timeout

CLOCK_NS = 2


async def _reset(dut) -> None:
    dut.rst_n.value = 0
    await Timer(10 * CLOCK_NS, unit="ns")
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1


@cocotb.test()
async def runs_to_the_end(dut) -> None:
    """Run the firmware until the core stops."""
    job = json.loads(Path("job.json").read_text())
    dut.divider.value = job["divider"]
    await _reset(dut)
    if job["reset_after"]:
        await Timer(job["reset_after"] * CLOCK_NS, unit="ns")
        await _reset(dut)
    if not dut.done.value:
        await with_timeout(RisingEdge(dut.done), CLOCK_NS * job["cycle_limit"], "ns")
    await Timer(2 * CLOCK_NS, unit="ns")
