"""Bench of ``stream_fifo``: its beats, and how many of them it holds."""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from sim import streams
from tests.benches import stream_bench


async def run(dut, job: dict) -> dict:
    """Run all beats, and then send them while none is taken, until it is full."""
    out = await stream_bench.run(dut, job)
    return {"beats": out, "waiting": await _capacity(dut, job)}


async def _capacity(dut, job: dict) -> int:
    beats = [streams.pack(beat, job["in_bits"]) for beat in job["beats"]]
    await streams.reset(dut)
    sending = cocotb.start_soon(streams.drive(dut, beats, 0.0, random.Random(0)))
    waiting = 0
    for _ in range(len(beats)):
        await ReadOnly()
        waiting += int(dut.s_axis_tvalid.value and dut.s_axis_tready.value)
        await FallingEdge(dut.clk)
    sending.cancel()
    return waiting
