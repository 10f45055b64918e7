"""cocotb side of ``board_bench.sv``: a pseudo terminal in place of the board's serial cable.

It writes the terminal's name to ``port``, and passes bytes on until there is a file ``stop``. The
file ``faults.json`` lists what happens to bytes, counted from 0, on the way ``to`` the board and
``from`` it: ``flip`` a bit, ``lose`` the byte, or pull the cable (``pull``), for both ways, for a
number of clocks.

The clock is that of ``bench_main.cpp``, the simulator's main loop.
"""

import json
import os
import tty
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer

CLOCK_NS = 2
IDLE_CLOCKS = 500
"""Clocks between looks at an idle terminal."""
PULLED_CLOCKS = 20_000


class Way:
    """Bytes that go one way, and what happens to some of them."""

    def __init__(self, dut, faults: dict[str, str]) -> None:
        self._dut, self._faults = dut, {int(place): what for place, what in faults.items()}
        self._count = 0

    def passed(self, byte: int) -> int | None:
        """Return what becomes of a byte; None if it is lost."""
        what = self._faults.get(self._count)
        self._count += 1
        if what == "pull":
            cocotb.start_soon(self._pull())
        return None if what == "lose" else byte ^ 0x10 if what == "flip" else byte

    async def _pull(self) -> None:
        self._dut.cable.value = 0
        await Timer(PULLED_CLOCKS * CLOCK_NS, unit="ns")
        self._dut.cable.value = 1


async def _to_board(dut, terminal: int, way: Way) -> None:
    while True:
        try:
            data = os.read(terminal, 256)
        except BlockingIOError:
            data = b""
        if not data:
            await Timer(IDLE_CLOCKS * CLOCK_NS, unit="ns")
        for sent in data:
            byte = way.passed(sent)
            if byte is None:
                continue
            await FallingEdge(dut.clk)
            if not dut.to_ready.value:
                await RisingEdge(dut.to_ready)
                await FallingEdge(dut.clk)
            dut.to_data.value = byte
            dut.to_valid.value = 1
            await FallingEdge(dut.clk)
            dut.to_valid.value = 0


async def _from_board(dut, terminal: int, way: Way) -> None:
    while True:
        await RisingEdge(dut.from_valid)
        await FallingEdge(dut.clk)
        byte = way.passed(int(dut.from_data.value))
        if byte is not None:
            os.write(terminal, bytes([byte]))


@cocotb.test()
async def passes_bytes_on(dut) -> None:
    """Be the serial cable of a board until there is a file ``stop``."""
    faults = json.loads(Path("faults.json").read_text())
    terminal, port = os.openpty()
    tty.setraw(port)
    os.set_blocking(terminal, False)
    dut.rst_n.value = 0
    dut.cable.value = 1
    dut.to_valid.value = 0
    await Timer(10 * CLOCK_NS, unit="ns")
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    cocotb.start_soon(_to_board(dut, terminal, Way(dut, faults["to"])))
    cocotb.start_soon(_from_board(dut, terminal, Way(dut, faults["from"])))
    Path("port.part").write_text(os.ttyname(port))
    Path("port.part").rename("port")
    owner = os.getppid()
    while not Path("stop").exists() and os.getppid() == owner:
        await Timer(20 * IDLE_CLOCKS * CLOCK_NS, unit="ns")
