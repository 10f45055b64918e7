"""Bench of ``adder``: two streams to one."""

import random

import cocotb
from cocotb.triggers import with_timeout

from sim import streams

INPUTS = ("a_axis", "b_axis")


async def run(dut, job: dict) -> list[int]:
    """Run all beats, the inputs each under stalls of its own, after a reset in mid-stream."""
    rng = random.Random(3)
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
    return out
