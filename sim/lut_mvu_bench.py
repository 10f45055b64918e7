"""cocotb bench of ``lut_mvu``: vectors and weight beats of ``in.json`` to ``out.json``."""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import with_timeout

from sim import streams


async def _weights(dut, beats: list[int], idle: float, rng: random.Random) -> None:
    """Send the weights over and over, as their memory does."""
    while True:
        await streams.drive(dut, beats, idle, rng, "weights")


@cocotb.test()
async def vectors(dut) -> None:
    """Run all vectors under stalls, after a reset in mid-stream."""
    job = json.loads(Path("in.json").read_text())
    rng = random.Random(8)
    Clock(dut.clk, 2, unit="ns").start()
    beats = [streams.pack(beat, job["in_bits"]) for beat in job["beats"]]
    weights = [int(word, 16) for word in job["weights"]]
    out: list[int] = []
    for count in (job["interrupt"], job["count"]):
        dut.weights_tvalid.value = 0
        await streams.reset(dut)
        tasks = [
            cocotb.start_soon(_weights(dut, weights, job["idle"], rng)),
            cocotb.start_soon(streams.drive(dut, beats, job["idle"], rng)),
        ]
        out = await with_timeout(streams.collect(dut, count, job["stall"], rng), 1, "ms")
        for task in tasks:
            task.cancel()
    values = [streams.unpack(beat, job["pe"], job["out_bits"], True) for beat in out]
    Path("out.json").write_text(json.dumps(values))
