"""cocotb bench of ``philox4x32``: the counters of ``in.json`` to words in ``out.json``."""

import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge


@cocotb.test(timeout_time=100, timeout_unit="us")
async def words(dut) -> None:
    """Feed one counter a clock, with a pause in mid-stream, and take what comes out."""
    cases = json.loads(Path("in.json").read_text())
    Clock(dut.clk, 2, unit="ns").start()
    dut.en.value = 1
    dut.in_valid.value = 0
    dut.rst_n.value = 0
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    out = []
    for case in cases:
        dut.key.value = _packed(case["key"])
        dut.counter.value = _packed(case["counter"])
        dut.in_valid.value = 1
        await FallingEdge(dut.clk)
        dut.in_valid.value = 0
        for clock in range(9):
            if clock == 4:
                dut.en.value = 0
                for _ in range(3):
                    await FallingEdge(dut.clk)
                dut.en.value = 1
            await FallingEdge(dut.clk)
        value = int(dut.words.value)
        out.append([value >> (32 * i) & 0xFFFFFFFF for i in range(4)])
    Path("out.json").write_text(json.dumps(out))


def _packed(words: list[int]) -> int:
    return sum(word << (32 * i) for i, word in enumerate(words))
