"""Bench of ``noise_tap``: streams random values under one setting after another.

Driver and monitor → what came out, for the model to be held against. The stimulus is images, and
points of register writes; a point's settings are written while the images of the point before are
still inside.
"""

import random

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, with_timeout

from sim import streams


class _Watch:
    """Digests, and how often settings came late, since they were cleared."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.clear()

    def clear(self) -> None:
        self.digests: list[int] = []
        self.late = 0

    async def run(self) -> None:
        clocked, settled = RisingEdge(self.dut.clk), ReadOnly()
        valid, late = self.dut.digest_valid, self.dut.cfg_late
        while True:
            await clocked
            await settled
            self.late += bool(late.value)
            if valid.value:
                self.digests.append(int(self.dut.digest.value))


async def _write(dut, site: int, writes) -> None:
    clocked, addresses, values = FallingEdge(dut.clk), dut.cfg_addr, dut.cfg_data
    for address, data in writes:
        dut.cfg_valid.value = 1
        dut.cfg_site.value = site
        addresses.value = address
        values.value = data
        await clocked
    dut.cfg_valid.value = 0


async def _feed(dut, job, rng: random.Random) -> None:
    await _write(dut, job["site"], job["table"])
    images = [streams.pack(beat, job["in_bits"]) for beat in job["beats"]]
    for index, writes in enumerate(job["points"]):
        await _write(dut, job["site"], writes)
        size = len(images) // len(job["points"])
        beats = images[index * size : (index + 1) * size]
        await streams.drive(dut, beats, job["idle"], rng)
        await FallingEdge(dut.clk)
        assert not dut.cfg_pending.value, "the settings were not taken by their first image"


async def run(dut, job: dict) -> list[dict[str, list]]:
    """Run all points under one condition after another, each from reset."""
    dut.cfg_valid.value = 0
    watch = _Watch(dut)
    watching = cocotb.start_soon(watch.run())
    out = [await _run(dut, job | condition, watch) for condition in job["conditions"]]
    watching.cancel()
    return out


async def _run(dut, job, watch: _Watch) -> dict[str, list]:
    """Run all points, and once more after a reset in mid-stream where there is one."""
    rng = random.Random(job["seed"])
    await streams.reset(dut)
    watch.clear()
    if job["interrupt"]:
        feeding = cocotb.start_soon(_feed(dut, job, rng))
        await with_timeout(streams.collect(dut, job["interrupt"], job["stall"], rng), 200_000, "ns")
        feeding.cancel()
        dut.cfg_valid.value = 0
        await streams.reset(dut)
        watch.clear()
    cocotb.start_soon(_feed(dut, job, rng))
    beats = await with_timeout(
        streams.collect(dut, len(job["beats"]), job["stall"], rng), 2_000_000, "ns"
    )
    for _ in range(3):
        await RisingEdge(dut.clk)
    assert not dut.m_axis_tvalid.value, "more came out than went in"
    size, bits, signed = len(job["beats"][0]), job["out_bits"], job["out_signed"]
    values = [streams.unpack(beat, size, bits, signed) for beat in beats]
    return {"values": values, "digests": watch.digests, "late": watch.late}
