"""cocotb bench of ``adder``: two streams of ``in.json`` to ``out.json``."""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import with_timeout

from sim import streams

INPUTS = ("a_axis", "b_axis")


@cocotb.test()
async def sums(dut) -> None:
    """Run all beats, the inputs each under stalls of its own, after a reset in mid-stream."""
    job = json.loads(Path("in.json").read_text())
    rng = random.Random(3)
    Clock(dut.clk, 2, unit="ns").start()
    beats = {
        name: [streams.pack(beat, bits) for beat in job[name]]
        for name, bits in zip(INPUTS, job["in_bits"], strict=True)
    }
    out: list[int] = []
    for count in (2, len(beats["a_axis"])):
        await streams.reset(dut, inputs=INPUTS)
        tasks = [
            cocotb.start_soon(streams.drive(dut, beats[name], job["idle"], rng, name))
            for name in INPUTS
        ]
        out = await with_timeout(streams.collect(dut, count, job["stall"], rng), 100_000, "ns")
        for task in tasks:
            task.cancel()
    Path("out.json").write_text(json.dumps(out))
