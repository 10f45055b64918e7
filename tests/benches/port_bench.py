"""cocotb side of ``accelerator_port.sv``: registers and driver, with memory and accelerator here.

Two taps, images of four bytes, ten classes. Memory and accelerator hold back at random, or never.
"""

import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from flow.soc.driver import Driver, Library
from flow.soc.registers.generated import NoiseRegisters, TapRegisters
from flow.soc.registers.model import RESET, START, RegisterModel
from tests.benches.driver_scenarios import SCENARIOS

CLOCK_NS = 2
TAPS, CLASSES, BEATS, MEMORY_BYTES = 2, 10, 4, 1 << 16
SITES = (3, 5)
WORDS = range(0, 0x200, 4)
"""Offsets that the port's address can name."""
_ON_THE_BUS = (
    "SEED_LOW", "SEED_HIGH", "IMAGE_BASE", "SIGMA_ADD", "SIGMA_MUL", "CONTROL", "GAIN_RATE",
    "START", "SIGMA_RATE", "TABLE_PLACE", "TABLE_LOW", "TABLE_HIGH",
    "ADC_STEP",
)  # fmt: skip
"""A tap's registers, in the order of noise_tap.sv."""


class Surroundings:
    """Memory and accelerator: label of an image is the sum of its bytes, modulo the classes."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.hang = self.pending = False
        self.steady = False
        """Whether memory and accelerator never hold back."""
        self.late = 0
        """Taps, a bit each, whose settings come late in the next clock."""
        self.memory: dict[int, int] = {}
        self.told: list[tuple[int, int, int]] = []
        """What came on the taps' bus."""

    async def run(self) -> None:
        """Answer, clock by clock."""
        dut, rng = self.dut, random.Random(5)
        beats: list[int] = []
        out: list[tuple[str, int]] = []
        read_data = 0
        for name in ("read_data", "digest_valid", "digest", "scores_data", "s_axis_tdata"):
            getattr(dut, name).value = 0
        while True:
            await FallingEdge(dut.clk)
            dut.read_data.value = read_data
            dut.read_ready.value = self.steady or rng.random() < 0.7
            dut.write_ready.value = self.steady or rng.random() < 0.7
            dut.m_axis_tready.value = not self.hang and (self.steady or rng.random() < 0.7)
            dut.cfg_pending.value = 3 * self.pending
            dut.cfg_late.value, self.late = self.late, 0
            kind, value = out[0] if out else ("", 0)
            dut.scores_valid.value = kind == "score"
            dut.scores_data.value = value
            dut.s_axis_tvalid.value = kind == "label"
            dut.s_axis_tdata.value = value & 0xFF
            await ReadOnly()
            if not dut.accelerator_rst_n.value:
                beats, out = [], []
            if dut.cfg_valid.value:
                site, address, data = dut.cfg_site.value, dut.cfg_addr.value, dut.cfg_data.value
                self.told.append((int(site), int(address), int(data)))
            if dut.read_valid.value and dut.read_ready.value:
                read_data = self.memory.get(int(dut.read_address.value), 0x01020304)
            if dut.write_valid.value and dut.write_ready.value:
                self.memory[int(dut.write_address.value)] = int(dut.write_data.value)
            if kind == "score" or (kind == "label" and dut.s_axis_tready.value):
                out.pop(0)
            if dut.m_axis_tvalid.value and dut.m_axis_tready.value:
                beats.append(int(dut.m_axis_tdata.value))
                if len(beats) == BEATS:
                    label = sum(beats) % CLASSES
                    out += [("score", 100 * c + label) for c in range(CLASSES)]
                    out.append(("label", label))
                    beats = []


async def _start(dut) -> tuple[AxiLiteMaster, Surroundings]:
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    surroundings = Surroundings(dut)
    dut.rst_n.value = 0
    master = AxiLiteMaster(
        AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst_n, reset_active_level=False
    )
    cocotb.start_soon(surroundings.run())
    await ClockCycles(dut.clk, 4)
    await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    await FallingEdge(dut.clk)
    return master, surroundings


def _hold_back(master: AxiLiteMaster, seed: int) -> None:
    """Stall every channel at random."""
    rng = random.Random(seed)

    def pauses():
        while True:
            yield rng.random() < 0.5

    for channel in (
        master.write_if.aw_channel,
        master.write_if.w_channel,
        master.write_if.b_channel,
        master.read_if.ar_channel,
        master.read_if.r_channel,
    ):
        channel.set_pause_generator(pauses())


def _model() -> RegisterModel:
    model = RegisterModel(TAPS, 1, CLASSES, MEMORY_BYTES)
    for tap, site in enumerate(SITES):
        model.content[model.registers.tap(tap).offset("SITE")] = site
    return model


async def _read(master: AxiLiteMaster, model: RegisterModel, offset: int) -> None:
    found = await master.read(offset, 4)
    wanted = model.read(offset)
    right = AxiResp.OKAY if model.readable(offset) else AxiResp.SLVERR
    assert found.resp == right, (hex(offset), found)
    assert int.from_bytes(found.data, "little") == wanted, (hex(offset), found, hex(wanted))


async def _write(
    master: AxiLiteMaster, model: RegisterModel, offset: int, value: int, first=0, last=3
) -> None:
    """Write the bytes of a word from the first to the last."""
    content = value.to_bytes(4, "little")[first : last + 1]
    found = await master.write(offset + first, content)
    right = AxiResp.OKAY if model.writable(offset) else AxiResp.SLVERR
    assert found.resp == right, (hex(offset), found)
    model.write(offset, value, sum(1 << byte for byte in range(first, last + 1)))


def _told_of(model: RegisterModel, offset: int) -> tuple[int, int, int]:
    """Return what a tap must be told after its register was written."""
    tap, place = divmod(offset - model.registers.tap(0).base, 0x40)
    names = {register.offset: name for name, register in TapRegisters.REGISTERS.items()}
    return SITES[tap], _ON_THE_BUS.index(names[place]), model.content[offset]


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_register_and_every_hole(dut) -> None:
    """Reset value, then both patterns; an error wherever the map says so."""
    master, _ = await _start(dut)
    model = _model()
    for offset in WORDS:
        await _read(master, model, offset)
        if offset == model.registers.offset("CONTROL"):
            continue
        for pattern in (0xA5A5A5A5, 0x5A5A5A5A):
            await _write(master, model, offset, pattern)
            await _read(master, model, offset)


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def random_accesses_with_random_stalls(dut) -> None:
    """Reads and writes of any bytes anywhere; taps are told what was written to them."""
    master, surroundings = await _start(dut)
    model = _model()
    _hold_back(master, 11)
    rng = random.Random(12)
    wanted = []
    for _ in range(1500):
        offset = rng.choice(WORDS)
        if rng.random() < 0.5:
            await _read(master, model, offset)
            continue
        value = rng.getrandbits(32)
        first, last = sorted(rng.choices(range(4), k=2))
        if offset == model.registers.offset("CONTROL"):
            value &= ~START
        await _write(master, model, offset, value, first, last)
        touched = sum(0xFF << 8 * byte for byte in range(first, last + 1))
        passed_on = model.writable(offset) and not model.places[offset][0].endswith("STATUS")
        if offset >= 0x100 and passed_on and touched & model.places[offset][1].mask:
            wanted.append(_told_of(model, offset))
        if offset == model.registers.offset("CONTROL") and value & RESET and not first:
            await ClockCycles(dut.clk, 20)
        assert bool(dut.irq.value) == model.irq
    await ClockCycles(dut.clk, 5)
    assert surroundings.told == wanted


@cocotb.test(timeout_time=200, timeout_unit="us")
async def events_interrupt_when_they_are_enabled(dut) -> None:
    """A refused start and a finished run, each with and without its enable bit."""
    master, surroundings = await _start(dut)
    at = {name: place.offset for name, place in NoiseRegisters.REGISTERS.items()}

    async def peek(name: str) -> int:
        return int.from_bytes((await master.read(at[name], 4)).data, "little")

    async def poke(name: str, value: int) -> None:
        assert (await master.write(at[name], value.to_bytes(4, "little"))).resp == AxiResp.OKAY

    for enable in (0, 1, 2, 3):
        await poke("IRQ_ENABLE", enable)
        for images, event in ((0, 2), (2, 1)):
            await poke("IMAGES", images)
            await poke("RESULT_ADDRESS", 0x100)
            await poke("CONTROL", START)
            await ClockCycles(dut.clk, 200)
            assert await peek("IRQ_STATUS") == event
            assert bool(dut.irq.value) == bool(enable & event)
            await poke("IRQ_STATUS", 3 ^ event)
            assert await peek("IRQ_STATUS") == event
            await poke("IRQ_STATUS", event)
            assert await peek("IRQ_STATUS") == 0 and not dut.irq.value
    results = [surroundings.memory[0x100 + 4 * word] for word in range(2 * (CLASSES + 1))]
    one = [0, *(100 * c for c in range(CLASSES))]
    assert results == one + one
    # a start while images are inside is refused, and reset empties it
    surroundings.hang = True
    await poke("CONTROL", START)
    await poke("CONTROL", START)
    assert await peek("ERROR") == 1 and await peek("STATUS") & 1
    await poke("CONTROL", RESET)
    assert await peek("STATUS") & 2
    await ClockCycles(dut.clk, 20)
    assert await peek("STATUS") == await peek("IMAGES_IN") == await peek("IMAGES_OUT") == 0


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def no_write_loses_the_end_of_a_run(dut) -> None:
    """IRQ_STATUS is written, with nothing to clear, at every clock around the end of a run."""
    master, surroundings = await _start(dut)
    surroundings.steady = True  # all runs take the same number of clocks
    at = {name: place.offset for name, place in NoiseRegisters.REGISTERS.items()}

    async def poke(name: str, value: int) -> None:
        await master.write(at[name], value.to_bytes(4, "little"))

    await poke("IMAGES", 1)
    await poke("RESULT_ADDRESS", 0x100)
    before, clocks = True, 0
    while before:
        await poke("CONTROL", START)
        while not dut.running_q.value:
            await RisingEdge(dut.clk)
        await ClockCycles(dut.clk, clocks)
        before = bool(dut.running_q.value)
        await poke("IRQ_STATUS", 0)
        while dut.running_q.value:
            await RisingEdge(dut.clk)
        await ClockCycles(dut.clk, 2)
        found = await master.read(at["IRQ_STATUS"], 4)
        assert int.from_bytes(found.data, "little") == 1, f"lost, {clocks} clocks after the start"
        await poke("IRQ_STATUS", 1)
        clocks += 1
    assert clocks > 10


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_start_with_a_reset_is_refused(dut) -> None:
    """The run does not begin, and is not lost in silence."""
    master, surroundings = await _start(dut)
    at = {name: place.offset for name, place in NoiseRegisters.REGISTERS.items()}
    await master.write(at["IMAGES"], (1).to_bytes(4, "little"))
    await master.write(at["CONTROL"], (START | RESET).to_bytes(4, "little"))
    await ClockCycles(dut.clk, 40)
    found = {name: (await master.read(at[name], 4)).data for name in ("IRQ_STATUS", "ERROR")}
    assert {name: int.from_bytes(data, "little") for name, data in found.items()} == {
        "IRQ_STATUS": 2,
        "ERROR": 1,
    }
    assert not surroundings.memory and not dut.running_q.value


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_reset_clears_what_the_taps_registers_hold(dut) -> None:
    """As it clears the taps: neither old settings nor an old digest read back."""
    master, _ = await _start(dut)
    model = _model()
    block = model.registers.tap(1)
    names = [name for name, one in block.REGISTERS.items() if one.writable]
    for name in names:
        await _write(master, model, block.offset(name), 0x55)
    await FallingEdge(dut.clk)
    dut.digest_valid.value, dut.digest.value = 3, 0xDEADBEEF_DEADBEEF
    await FallingEdge(dut.clk)
    dut.digest_valid.value = 0
    found = await master.read(block.offset("DIGEST"), 4)
    assert int.from_bytes(found.data, "little") == 0xDEADBEEF
    await _write(master, model, model.registers.offset("CONTROL"), RESET)
    await ClockCycles(dut.clk, 20)
    for name in (*names, "DIGEST"):
        await _read(master, model, block.offset(name))


class Port:
    """Answers the driver, which runs in a thread, by the simulated port."""

    taps, image_words, classes, memory_bytes = TAPS, 1, CLASSES, MEMORY_BYTES

    def __init__(self, dut, master: AxiLiteMaster, surroundings: Surroundings) -> None:
        self._dut, self._master, self._surroundings = dut, master, surroundings
        self._faulty = False
        self.read = cocotb.task.resume(self._read)
        self.write = cocotb.task.resume(self._write)
        self.wait = cocotb.task.resume(self._wait)

    @property
    def hang(self) -> bool:
        """Whether the accelerator takes nothing."""
        return self._surroundings.hang

    @hang.setter
    def hang(self, value: bool) -> None:
        self._surroundings.hang = value

    @property
    def pending(self) -> bool:
        """Whether no tap takes its settings."""
        return self._surroundings.pending

    @pending.setter
    def pending(self, value: bool) -> None:
        self._surroundings.pending = value

    def settings_come_late(self, tap: int) -> None:
        """Apply settings to a tap whose first image has passed."""
        self._surroundings.late = 1 << tap

    async def _read(self, offset: int) -> int:
        found = await self._master.read(offset, 4)
        self._faulty |= found.resp != AxiResp.OKAY
        return int.from_bytes(found.data, "little")

    async def _write(self, offset: int, value: int) -> None:
        found = await self._master.write(offset, value.to_bytes(4, "little"))
        self._faulty |= found.resp != AxiResp.OKAY

    def fault(self) -> bool:
        """Tell whether an access was answered with an error since this was asked last."""
        faulty, self._faulty = self._faulty, False
        return faulty

    async def _wait(self, clocks: int) -> bool:
        if not self._dut.irq.value:
            await First(RisingEdge(self._dut.irq), ClockCycles(self._dut.clk, clocks))
        return bool(self._dut.irq.value)


@cocotb.test(timeout_time=20000, timeout_unit="us")
async def the_driver_meets_its_scenarios(dut) -> None:
    """As on the model of the registers, but for breakdowns that RTL does not have."""
    master, surroundings = await _start(dut)
    _hold_back(master, 13)
    library = Library(Path(os.environ["DRIVER"]))
    port = Port(dut, master, surroundings)
    for scenario in SCENARIOS:
        dut.rst_n.value = 0
        await ClockCycles(dut.clk, 4)
        await FallingEdge(dut.clk)
        dut.rst_n.value = 1
        await ClockCycles(dut.clk, 4)
        dut._log.info("%s", scenario.__name__)
        await cocotb.task.bridge(scenario)(Driver(library, port), port)
