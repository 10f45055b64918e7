"""cocotb bench of ``stream_fifo``: how many beats of ``in.json`` it holds, to ``waiting.json``."""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from sim import streams


@cocotb.test()
async def capacity(dut) -> None:
    """Send beats while none is taken, until it is full."""
    job = json.loads(Path("in.json").read_text())
    beats = [streams.pack(beat, job["in_bits"]) for beat in job["beats"]]
    Clock(dut.clk, 2, unit="ns").start()
    await streams.reset(dut)
    cocotb.start_soon(streams.drive(dut, beats, 0.0, random.Random(0)))
    waiting = 0
    for _ in range(len(beats)):
        await ReadOnly()
        waiting += int(dut.s_axis_tvalid.value and dut.s_axis_tready.value)
        await FallingEdge(dut.clk)
    Path("waiting.json").write_text(json.dumps(waiting))
