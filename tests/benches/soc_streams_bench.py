"""cocotb side of ``image_reader.sv`` and ``result_writer.sv``, each by itself.

``BEATS``, ``BEAT_BYTES`` and ``PE`` in the environment tell the parameters.
"""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

CLOCK_NS = 2
CLASSES, SCORE_BITS = 6, 20
ADDRESS = 0x40


async def _reset(dut) -> None:
    dut.rst_n.value = 0
    dut.start.value = 0
    await ClockCycles(dut.clk, 3)
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1


def _memory(rng: random.Random, images: int, beats: int, size: int) -> tuple[bytes, list[int]]:
    """Return images as they lie in memory, and the beats that must come of them."""
    slot = {1: 1, 2: 2}.get(size, -(-size // 4) * 4)
    content, values = b"", []
    for _ in range(images):
        image = b""
        for _ in range(beats):
            beat = rng.randbytes(size)
            values.append(int.from_bytes(beat, "little"))
            image += beat.ljust(slot, b"\xff")
        content += image + b"\xee" * (-len(image) % 4)
    return content, values


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def images_are_read(dut) -> None:
    """With and without stalls, after a reset in mid-image, and twice the same."""
    if not hasattr(dut, "m_axis_tdata"):
        return
    beats, size = int(os.environ["BEATS"]), int(os.environ["BEAT_BYTES"])
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    for share, images, stop in ((1.0, 3, 0), (0.6, 3, 5), (0.6, 3, 0), (0.6, 3, 0), (0.2, 2, 0)):
        rng = random.Random(7)
        content, values = _memory(rng, images, beats, size)
        await _reset(dut)
        dut.address.value, dut.images.value = ADDRESS, images
        dut.start.value = 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        found: list[int] = []
        coming, held = 0, None
        while len(found) < len(values) and not 0 < stop <= len(found):
            dut.mem_data.value = coming
            dut.mem_ready.value = rng.random() < share
            dut.m_axis_tready.value = rng.random() < share
            await ReadOnly()
            if dut.mem_valid.value and dut.mem_ready.value:
                place = int(dut.mem_address.value) - ADDRESS
                word = content[place : place + 4]
                assert len(word) == 4, "read beyond the images"
                coming = int.from_bytes(word, "little")
            if held is not None:
                assert dut.m_axis_tvalid.value and int(dut.m_axis_tdata.value) == held
            held = None
            if dut.m_axis_tvalid.value:
                if dut.m_axis_tready.value:
                    found.append(int(dut.m_axis_tdata.value))
                else:
                    held = int(dut.m_axis_tdata.value)
            await FallingEdge(dut.clk)
        assert found == values[: len(found)]
        if not stop:
            assert int(dut.images_in.value) == images
            dut.m_axis_tready.value = 1
            await ClockCycles(dut.clk, 10)
            assert not dut.m_axis_tvalid.value and not dut.mem_valid.value


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def results_are_written(dut) -> None:
    """Logits of an image come while those before are written; nothing waits for them."""
    if hasattr(dut, "m_axis_tdata"):
        return
    lanes = int(os.environ["PE"])
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    for share, images, stop in ((1.0, 4, 0), (0.5, 6, 9), (0.5, 6, 0), (0.3, 6, 0)):
        rng = random.Random(3)
        rows = [[rng.getrandbits(SCORE_BITS) for _ in range(CLASSES)] for _ in range(images)]
        labels = [rng.randrange(CLASSES) for _ in range(images)]
        await _reset(dut)
        dut.address.value = ADDRESS
        dut.start.value = 1
        dut.scores_valid.value = dut.s_axis_tvalid.value = dut.mem_ready.value = 0
        await FallingEdge(dut.clk)
        dut.start.value = 0
        scores = [
            sum(row[first + lane] << SCORE_BITS * lane for lane in range(lanes))
            for row in rows
            for first in range(0, CLASSES, lanes)
        ]
        beats = CLASSES // lanes
        written: dict[int, int] = {}
        sent = taken = 0
        while taken < images and not 0 < stop <= len(written):
            # label select holds an image's last beat while a label is still to be taken
            last = sent % beats == beats - 1
            free = sent < len(scores) and (sent // beats == taken or (
                sent // beats == taken + 1 and not last
            ))  # fmt: skip
            offers = free and rng.random() < share
            dut.scores_valid.value = offers
            dut.scores_data.value = scores[sent] if offers else 0
            waiting = sent // beats > taken
            dut.s_axis_tvalid.value = waiting
            dut.s_axis_tdata.value = labels[taken] if waiting else 0
            dut.mem_ready.value = rng.random() < share
            await ReadOnly()
            if dut.mem_valid.value and dut.mem_ready.value:
                written[int(dut.mem_address.value)] = int(dut.mem_data.value)
            sent += offers
            taken += bool(waiting and dut.s_axis_tready.value)
            await FallingEdge(dut.clk)
        if stop:
            continue
        wanted = [
            word
            for label, row in zip(labels, rows, strict=True)
            for word in (label, *(v - ((v >> SCORE_BITS - 1) << SCORE_BITS) for v in row))
        ]
        assert written == {ADDRESS + 4 * i: w & 0xFFFFFFFF for i, w in enumerate(wanted)}
        assert int(dut.images_out.value) == images and int(dut.label_out.value) == labels[-1]
