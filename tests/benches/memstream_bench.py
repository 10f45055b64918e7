"""Bench of ``memstream_axi``: its stream, and its AXI4-Lite port.

It returns as many words of the stream as asked for, taken while the port works; what the port read,
``[data, response]`` for each address; and words of the stream after the port's writes.
"""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout

from sim import streams

CHANNELS = ("aw", "w", "ar")


async def run(dut, job: dict) -> dict[str, list]:
    """Do a job within a time."""
    return await with_timeout(_words(dut, job), 100, "us")


async def _words(dut, job: dict) -> dict[str, list]:
    """Take words under stalls, after a reset in mid-stream; read beside them, then write."""
    rng = random.Random(3)
    dut.s_axis_0_tvalid.value = 0
    for channel in CHANNELS:
        getattr(dut, f"{channel}valid").value = 0
    dut.rready.value = dut.bready.value = 0
    await _reset(dut)
    await streams.collect(dut, 2, 0.5, rng, "m_axis_0")
    await _reset(dut)
    reading = cocotb.start_soon(_read_all(dut, job["reads"], random.Random(4)))
    out: dict[str, list] = {}
    out["words"] = await streams.collect(dut, job["count"], job["stall"], rng, "m_axis_0")
    out["reads"] = await reading
    out["writes"] = [await _write(dut, where, data, rng) for where, data in job["writes"]]
    out["reads_after"] = await _read_all(dut, job["reads"], rng)
    await _reset(dut)
    out["words_after"] = await streams.collect(dut, job["count"], job["stall"], rng, "m_axis_0")
    return out


async def _reset(dut) -> None:
    dut.rst.value = 1
    dut.m_axis_0_tready.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


async def _read_all(dut, addresses: list[int], rng: random.Random) -> list[tuple[int, int]]:
    return [await _read(dut, address, rng) for address in addresses]


async def _read(dut, address: int, rng: random.Random) -> tuple[int, int]:
    """Read an address; return data and response."""
    dut.araddr.value = address
    await _send(dut, "ar")
    await _answer(dut, "r", rng)
    got = int(dut.rdata.value), int(dut.rresp.value)
    await FallingEdge(dut.clk)
    dut.rready.value = 0
    return got


async def _write(dut, address: int, data: int, rng: random.Random) -> int:
    """Write an address, data or address first; return the response."""
    dut.awaddr.value, dut.wdata.value = address, data
    dut.wstrb.value = 15
    first, second = rng.sample(("aw", "w"), 2)
    early = cocotb.start_soon(_send(dut, first))
    for _ in range(rng.randrange(3)):
        await FallingEdge(dut.clk)
    await _send(dut, second)
    await early
    await _answer(dut, "b", rng)
    response = int(dut.bresp.value)
    await FallingEdge(dut.clk)
    dut.bready.value = 0
    return response


async def _send(dut, channel: str) -> None:
    """Hold a channel's valid until it is taken."""
    valid, ready = getattr(dut, f"{channel}valid"), getattr(dut, f"{channel}ready")
    valid.value = 1
    taken = False
    while not taken:
        await ReadOnly()
        taken = bool(ready.value)
        await FallingEdge(dut.clk)
    valid.value = 0


async def _answer(dut, channel: str, rng: random.Random) -> None:
    """Wait for a channel's answer, and be ready for it after a while; it can be read then."""
    valid, ready = getattr(dut, f"{channel}valid"), getattr(dut, f"{channel}ready")
    await ReadOnly()
    while not valid.value:
        await FallingEdge(dut.clk)
        await ReadOnly()
    await FallingEdge(dut.clk)
    for _ in range(rng.randrange(3)):
        await FallingEdge(dut.clk)
    ready.value = 1
    await ReadOnly()
