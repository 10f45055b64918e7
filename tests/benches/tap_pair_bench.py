"""Bench of ``tap_pair``: settings one after another, while both taps run by themselves."""

from cocotb.triggers import FallingEdge, Timer

from sim.streams import CLOCK_NS

START = 7
LONGEST = 500
"""Periods of 100 clocks in which settings must take effect."""
CATCH_UP = 4000
"""Clocks in which the tap that is behind, by 8 beats at most, takes as many as the other: an image
takes some 140 clocks where its noise drifts."""


async def _wait(dut, clocks: int) -> None:
    """Wait, without a call in each clock."""
    if clocks:
        await Timer(clocks * CLOCK_NS, unit="ns")
    await FallingEdge(dut.clk)


async def _write(dut, writes) -> None:
    for address, data in writes:
        dut.cfg_valid.value = 1
        dut.cfg_addr.value = address
        dut.cfg_data.value = data
        await FallingEdge(dut.clk)
    dut.cfg_valid.value = 0


async def _reset(dut, job: dict) -> None:
    dut.cfg_valid.value = 0
    dut.run.value = 0
    dut.rst_n.value = 0
    dut.idle.value, dut.stall.value = job["idle"], job["stall"]
    await _wait(dut, 3)
    dut.rst_n.value = 1


async def _taken(dut) -> None:
    for _ in range(LONGEST):
        await _wait(dut, 100)
        if not dut.cfg_pending.value:
            return
    raise AssertionError("the settings were never taken")


async def run(dut, job: dict) -> dict[str, int]:
    """Run all settings; return what both taps gave, and the clocks per beat under the last.

    A reset comes in mid-stream, before the setting ``interrupt`` of the job.

    A setting comes with the image in which it takes effect, counted from the one that has begun:
    None for the next that neither tap has begun, while beats run; or an earlier one, while none
    does.
    """
    beats = differing = 0
    await _reset(dut, job)
    await _write(dut, job["table"])
    for number, (writes, ahead) in enumerate(job["settings"]):
        if number == job["interrupt"]:
            beats, differing = int(dut.beats.value), int(dut.differing.value)
            await _reset(dut, job)
        if ahead is not None:
            dut.run.value = 0
            await _wait(dut, CATCH_UP)
            assert dut.entered_q[0].value == dut.entered_q[1].value
        await _write(dut, [one for one in writes if one[0] != START])
        # either tap may be ahead
        entered = max(int(dut.entered_q[tap].value) for tap in range(2))
        image = entered // job["beats_an_image"]
        start = (image + (job["next"] if ahead is None else ahead)) % (1 << 32)
        await _write(dut, [(START, start)])
        dut.run.value = 1
        await _taken(dut)
        await _wait(dut, job["clocks"])
    beats += int(dut.beats.value)
    differing += int(dut.differing.value)
    before = int(dut.beats.value)
    await _wait(dut, job["measured"])
    rate = job["measured"] / max(1, int(dut.beats.value) - before)
    return {"beats": beats, "differing": differing, "clocks_a_beat": rate}
