"""Bench of a kernel with one stream in and one out."""

import random

import cocotb
from cocotb.triggers import with_timeout

from sim import streams


async def run(dut, job: dict) -> list[int]:
    """Run all beats under stalls, after a reset in mid-stream; return the beats that came out.

    They must come within ``clocks`` if the job says how many, else at all.
    """
    rng = random.Random(3)
    sent = [streams.pack(beat, job["in_bits"]) for beat in job["beats"]]
    await streams.reset(dut)
    begun = cocotb.start_soon(streams.drive(dut, sent, 0.0, rng))
    await with_timeout(streams.collect(dut, 2, 0.5, rng), 10_000, "ns")
    begun.cancel()
    await streams.reset(dut)
    cocotb.start_soon(streams.drive(dut, sent, job["idle"], rng))
    limit = job.get("clocks", 250_000) * streams.CLOCK_NS
    return await with_timeout(streams.collect(dut, job["count"], job["stall"], rng), limit, "ns")
