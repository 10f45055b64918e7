"""cocotb bench of ``philox_core``: the counters of ``in.json`` to words in ``out.json``.

A key's counters go in one after the other and come out to a sink that stalls.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly


@cocotb.test(timeout_time=100, timeout_unit="us")
async def words(dut) -> None:
    """Encrypt each case's counters, from reset."""
    rng = random.Random(3)
    Clock(dut.clk, 2, unit="ns").start()
    out = []
    for case in json.loads(Path("in.json").read_text()):
        dut.rst_n.value = 0
        dut.in_valid.value = 0
        dut.out_ready.value = 0
        dut.key.value = _packed(case["key"])
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.rst_n.value = 1
        feeding = cocotb.start_soon(_feed(dut, case["counters"]))
        found: list[dict] = []
        while len(found) < len(case["counters"]):
            dut.out_ready.value = int(rng.random() < 0.3)
            await ReadOnly()
            if dut.out_valid.value and dut.out_ready.value:
                value = int(dut.words.value)
                each = [value >> (32 * i) & 0xFFFFFFFF for i in range(4)]
                found.append({"words": each, "tag": int(dut.out_tag.value)})
            await FallingEdge(dut.clk)
        await feeding
        out.append(found)
    Path("out.json").write_text(json.dumps(out))


async def _feed(dut, counters: list[list[int]]) -> None:
    for tag, counter in enumerate(counters):
        dut.counter.value = _packed(counter)
        dut.in_tag.value = tag % 2
        dut.in_valid.value = 1
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(dut.in_ready.value)
            await FallingEdge(dut.clk)
    dut.in_valid.value = 0


def _packed(words: list[int]) -> int:
    return sum(word << (32 * i) for i, word in enumerate(words))
