"""Bench of ``duplicator``: one stream to every output's."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout

from sim import streams


async def _collect(dut, count: int, stall: list[float], rng: random.Random) -> list[list[int]]:
    """Take ``count`` beats of each output, which holds ready low with its own probability."""
    width = len(dut.s_axis_tdata)
    beats: list[list[int]] = [[] for _ in stall]
    while any(len(taken) < count for taken in beats):
        ready = sum((rng.random() >= p) << i for i, p in enumerate(stall))
        dut.m_axis_tready.value = ready
        await ReadOnly()
        valid, data = int(dut.m_axis_tvalid.value), int(dut.m_axis_tdata.value)
        for i, taken in enumerate(beats):
            if (valid & ready) >> i & 1:
                taken.append((data >> (i * width)) & ((1 << width) - 1))
        await FallingEdge(dut.clk)
    dut.m_axis_tready.value = 0
    return beats


async def run(dut, job: dict) -> list[list[int]]:
    """Run all beats, the outputs each under stalls of its own, after a reset in mid-stream.

    The reset finds a beat that the first output has taken and the others have not.
    """
    rng = random.Random(3)
    await streams.reset(dut)
    dut.s_axis_tvalid.value = 1
    dut.s_axis_tdata.value = 0
    dut.m_axis_tready.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    await streams.reset(dut)
    cocotb.start_soon(streams.drive(dut, job["beats"], job["idle"], rng))
    count = len(job["beats"])
    out = await with_timeout(_collect(dut, count, job["stall"], rng), 100_000, "ns")
    # nothing is doubled: the input is used up, and no output has more
    for _ in range(5):
        await FallingEdge(dut.clk)
        assert not int(dut.m_axis_tvalid.value)
    return out
