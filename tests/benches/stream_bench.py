"""cocotb bench of a kernel with one stream in and one out: ``in.json`` to ``out.json``."""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import with_timeout

from sim import streams


@cocotb.test()
async def beats(dut) -> None:
    """Run all beats under stalls, after a reset in mid-stream."""
    job = json.loads(Path("in.json").read_text())
    rng = random.Random(3)
    Clock(streams.clock(dut), 2, unit="ns").start()
    sent = [streams.pack(beat, job["in_bits"]) for beat in job["beats"]]
    await streams.reset(dut)
    begun = cocotb.start_soon(streams.drive(dut, sent, 0.0, rng))
    await with_timeout(streams.collect(dut, 2, 0.5, rng), 10_000, "ns")
    begun.cancel()
    await streams.reset(dut)
    cocotb.start_soon(streams.drive(dut, sent, job["idle"], rng))
    out = await with_timeout(streams.collect(dut, job["count"], job["stall"], rng), 500_000, "ns")
    Path("out.json").write_text(json.dumps(out))
