"""Bench of a kernel that joins several streams to one."""

import random

import cocotb
from cocotb.triggers import with_timeout

from sim import streams

CLOCK_NS = 2


async def run(dut, job: dict) -> list[int]:
    """Run all beats, the inputs each under stalls of its own, after a reset in mid-stream.

    ``job["beats"]`` holds the packed beats of each input by its name; ``clocks`` is the time limit.
    """
    rng = random.Random(3)
    inputs = job["beats"]
    out: list[int] = []
    for count in (2, job["count"]):
        await streams.reset(dut, inputs=tuple(inputs))
        tasks = [
            cocotb.start_soon(streams.drive(dut, beats, job["idle"], rng, name))
            for name, beats in inputs.items()
        ]
        taken = streams.collect(dut, count, job["stall"], rng)
        out = await with_timeout(taken, CLOCK_NS * job["clocks"], "ns")
        for task in tasks:
            task.cancel()
    return out
