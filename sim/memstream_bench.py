"""cocotb bench of ``memstream_axi``: as many words as ``in.json`` asks for, to ``out.json``."""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from sim import streams


@cocotb.test(timeout_time=100, timeout_unit="us")
async def words(dut) -> None:
    """Take words under stalls, after a reset in mid-stream."""
    job = json.loads(Path("in.json").read_text())
    rng = random.Random(3)
    Clock(dut.clk, 2, unit="ns").start()
    dut.s_axis_0_tvalid.value = 0
    await _reset(dut)
    await streams.collect(dut, 2, 0.5, rng, "m_axis_0")
    await _reset(dut)
    out = await streams.collect(dut, job["count"], job["stall"], rng, "m_axis_0")
    Path("out.json").write_text(json.dumps(out))


async def _reset(dut) -> None:
    dut.rst.value = 1
    dut.m_axis_0_tready.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
