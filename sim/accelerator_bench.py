"""cocotb side of ``bench.sv``, which runs a list of noise settings over the images in its memory.

It writes the wall time from the first clock after reset to the last result to ``seconds.json``.

``job.json`` in the working folder describes the job: the number of images in ``stream.hex``, and
for each point the register writes of its settings and of the quantile tables that change. Settings
of a point are written while the previous point is still in the pipeline; each tap applies them at
the point's first image. Tables are written when the pipeline is empty.

The clock is that of ``bench_main.cpp``, the simulator's main loop.
"""

import json
import os
import time
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer, with_timeout

CLOCK_NS = 2
DIGEST_CLOCKS = 256
"""Clocks after the last label in which digests of its image may still come."""


@cocotb.test()
async def whole_job(dut) -> None:
    """Run every point of the job."""
    await run_job(dut)


async def run_job(dut) -> None:
    """Run the job's points; a pipeline that stalls ends in a timeout."""
    job, wanted_by = json.loads(Path("job.json").read_text()), os.getppid()
    images = job["images"]
    watchdog_ns = CLOCK_NS * job["cycle_limit"]
    for name in ("load", "cfg_valid", "cfg_site", "cfg_addr", "cfg_data", "limit"):
        getattr(dut, name).value = 0
    dut.rst_n.value = 0
    dut.stall.value = int(job["stall"])
    dut.images.value = images
    await Timer(CLOCK_NS, unit="ns")
    dut.load.value = 1
    await Timer(10 * CLOCK_NS, unit="ns")
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    started = time.perf_counter()
    for index, point in enumerate(job["points"]):
        assert os.getppid() == wanted_by, "the process that wanted the results has died"
        if point["tables"] and not dut.done.value:
            # a table has no shadow set, and images in the pipeline may use it
            await with_timeout(RisingEdge(dut.done), watchdog_ns, "ns")
            await FallingEdge(dut.clk)
        for site, address, data in (*point["tables"], *point["settings"]):
            dut.cfg_valid.value = 1
            dut.cfg_site.value = site
            dut.cfg_addr.value = address
            dut.cfg_data.value = data
            await FallingEdge(dut.clk)
        dut.cfg_valid.value = 0
        await FallingEdge(dut.clk)
        dut.limit.value = (index + 1) * images
        await FallingEdge(dut.clk)
        if dut.pending.value:
            await with_timeout(FallingEdge(dut.pending), watchdog_ns, "ns")
            await FallingEdge(dut.clk)
    if not dut.done.value:
        await with_timeout(RisingEdge(dut.done), watchdog_ns, "ns")
    Path("seconds.json").write_text(json.dumps(time.perf_counter() - started))
    await Timer(DIGEST_CLOCKS * CLOCK_NS, unit="ns")
    assert int(dut.completed.value) == images * len(job["points"])
