"""Driver and monitor of valid/ready streams with random stalls, for kernel benches."""

import random

from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

CLOCK_NS = 2
"""Clock of the benches of kernels, ns."""


def clock(dut):
    """Return a kernel's clock, under our name or FINN's."""
    return dut.ap_clk if hasattr(dut, "ap_clk") else dut.clk


async def reset(dut, clocks: int = 3, inputs: tuple[str, ...] = ("s_axis",)) -> None:
    """Hold reset for some clocks, with idle streams."""
    reset_n = dut.ap_rst_n if hasattr(dut, "ap_rst_n") else dut.rst_n
    reset_n.value = 0
    for stream in inputs:
        getattr(dut, f"{stream}_tvalid").value = 0
    dut.m_axis_tready.value = 0
    for _ in range(clocks):
        await RisingEdge(clock(dut))
    await FallingEdge(clock(dut))
    reset_n.value = 1


async def drive(
    dut, beats: list[int], idle: float, rng: random.Random, stream: str = "s_axis"
) -> None:
    """Send beats on a stream, idling between beats with probability ``idle`` per clock."""
    valid, ready, data = (getattr(dut, f"{stream}_t{name}") for name in ("valid", "ready", "data"))
    clocked = FallingEdge(clock(dut))
    for beat in beats:
        while rng.random() < idle:
            await clocked
        valid.value = 1
        data.value = beat
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(ready.value)
            await clocked
        valid.value = 0


async def collect(
    dut, count: int, stall: float, rng: random.Random, stream: str = "m_axis"
) -> list[int]:
    """Receive beats from a stream, holding ready low with probability ``stall`` per clock."""
    valid, ready, data = (getattr(dut, f"{stream}_t{name}") for name in ("valid", "ready", "data"))
    clocked = FallingEdge(clock(dut))
    beats: list[int] = []
    while len(beats) < count:
        ready.value = int(rng.random() >= stall)
        await ReadOnly()
        if valid.value and ready.value:
            beats.append(int(data.value))
        await clocked
    ready.value = 0
    return beats


def pack(values: list[int], bits: int) -> int:
    """Pack values into a beat, the first value in the lowest bits."""
    return sum((v & ((1 << bits) - 1)) << (i * bits) for i, v in enumerate(values))


def unpack(beat: int, lanes: int, bits: int, signed: bool) -> list[int]:
    """Return the values that `pack` packed into a beat."""
    values = [(beat >> (i * bits)) & ((1 << bits) - 1) for i in range(lanes)]
    return [v - (v >> (bits - 1) << bits) for v in values] if signed else values
