"""Reference bench: an accelerator driven by Python in every clock, as is usual with cocotb.

cocotbext-axi's source and sink are connected to the accelerator's ports, and the clock is a
coroutine. The bench runs the images of ``stream.hex`` once with idle taps, and writes the labels to
``labels.json`` and the wall time from the first clock after reset to the last label to
``seconds.json``.
"""

import json
import time
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

CLOCK_NS = 2


@cocotb.test()
async def driven(dut) -> None:
    """Send all beats, and receive all labels."""
    job = json.loads(Path("job.json").read_text())
    beats = [int(line, 16) for line in Path("stream.hex").read_text().split()]
    dut.cfg_valid.value = 0
    dut.ap_rst_n.value = 0
    Clock(dut.ap_clk, CLOCK_NS, unit="ns", impl="py").start()
    stream = {"clock": dut.ap_clk, "reset": dut.ap_rst_n, "reset_active_level": False}
    source = AxiStreamSource(
        AxiStreamBus.from_prefix(dut, "in0_V"), byte_size=len(dut.in0_V_TDATA), **stream
    )
    sink = AxiStreamSink(
        AxiStreamBus.from_prefix(dut, "out0_V"), byte_size=len(dut.out0_V_TDATA), **stream
    )
    await ClockCycles(dut.ap_clk, 8)
    dut.ap_rst_n.value = 1
    started = time.perf_counter()
    source.send_nowait(beats)
    labels = []
    for _ in range(job["images"]):
        frame = await with_timeout(sink.recv(), CLOCK_NS * job["cycle_limit"], "ns")
        labels += list(frame.tdata)
    Path("seconds.json").write_text(json.dumps(time.perf_counter() - started))
    Path("labels.json").write_text(json.dumps(labels))
