"""The system: an accelerator's port, generated for it, a microcontroller and its firmware."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flow import hdl, paths
from flow.compiler.accelerator import Accelerator
from flow.errors import UserError
from flow.files import built_once
from flow.soc import firmware
from flow.soc.firmware import Firmware
from flow.soc.registers import description
from sim import runner

HW = paths.HW / "soc"
MOST_CLASSES = 256
"""Largest number of classes that firmware counts votes for, and whose labels are bytes."""
MEMORY_BYTES = 1 << 20
"""Size of the microcontroller's memory, bytes."""
MODULES = (
    "ram",
    "uart_tx",
    "uart_rx",
    "shared_memory",
    "serial_port",
    "axi_lite_bridge",
    "image_reader",
    "result_writer",
    "tap_registers",
    "run_control",
    "port_registers",
    "accelerator_port",
    "microcontroller",
    "soc",
)
"""Modules of ``hw/soc`` in the system."""


def core_source() -> Path:
    """Return the RISC-V core's source."""
    import pythondata_cpu_picorv32

    return Path(pythondata_cpu_picorv32.data_location) / "picorv32.v"


@dataclass(frozen=True)
class Port:
    """What the ports and registers around an accelerator follow from."""

    accelerator: Accelerator

    @property
    def beat_bits(self) -> int:
        """Width of a beat of the input stream, bits; whole bytes."""
        stream = self.accelerator.manifest["input"]
        return 8 * -(-stream["bits"] * stream["elements_a_beat"] // 8)

    @property
    def beats_of_word(self) -> int:
        """Beats of the input stream that share a word of memory."""
        return {8: 4, 16: 2}.get(self.beat_bits, 1)

    @property
    def words_of_beat(self) -> int:
        """Words of memory that a beat takes, one where several share it."""
        return -(-self.beat_bits // 32)

    @property
    def image_words(self) -> int:
        """Words of an image in memory."""
        beats = self.accelerator.manifest["input"]["beats"]
        return -(-beats * self.words_of_beat // self.beats_of_word)

    @property
    def classes(self) -> int:
        """Number of classes, each with a logit in a result.

        Raises:
            UserError: two classes share one score, or a byte does not hold every label.
        """
        if self.accelerator.manifest["nodes"][-1]["folded_input"][-2:] == [1, 1]:
            raise UserError(
                "the network gives one score, which the microcontroller system does not take: give "
                "it two, one for each class"
            )
        classes: int = self.accelerator.manifest["classes"]
        if classes > MOST_CLASSES:
            raise UserError(
                f"the network has {classes} classes, and labels of the microcontroller system are "
                f"bytes: give it at most {MOST_CLASSES}, or simulate it by walk-hw"
            )
        return classes

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the modules around it."""
        manifest = self.accelerator.manifest
        last = manifest["nodes"][-1]
        numbers = [site["number"] for site in manifest["sites"]]
        return {
            "TAPS": len(numbers),
            "SITES": hdl.packed(numbers, 8),
            "IN_BITS": self.beat_bits,
            "BEATS": manifest["input"]["beats"],
            "CLASSES": self.classes,
            "PE": last["PE"],
            "SCORE_WIDTH": _type_bits(last["input_type"]),
            "LABEL_BITS": 8 * -(-_type_bits(last["output_type"]) // 8),
        }


@dataclass(frozen=True)
class System(Port):
    """A built system, in a folder of its own: ``rtl/``, ``data`` and ``firmware/``."""

    folder: Path
    firmware: Firmware
    memory_bytes: int = MEMORY_BYTES
    """Size of the microcontroller's memory."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the top, ``soc``."""
        return super().parameters | {"MEMORY_BYTES": self.memory_bytes}

    @property
    def sources(self) -> list[Path]:
        """HDL in compile order."""
        return [*self._sources()]

    def _sources(self) -> Iterator[Path]:
        yield from (self.folder / "rtl" / f"{description.MODULE}{end}.sv" for end in ("_pkg", ""))
        yield from self.accelerator.sources
        yield core_source()
        yield from (HW / f"{name}.sv" for name in MODULES)


def build(accelerator: Accelerator, root: Path = Path("build/soc")) -> System:
    """Generate what the system of an accelerator has of its own, and compile the firmware.

    Args:
        accelerator: a compiled network.
        root: gets a folder named by all that this depends on; one that is there is taken.

    Raises:
        UserError: the cross compiler is missing, or the firmware does not fit into memory.
    """
    digest = hashlib.sha256(f"{accelerator.folder.name} {version('peakrdl-regblock')}".encode())
    sources = [
        Path(firmware.__file__),
        Path(description.__file__),
        *sorted(firmware.SOURCES.glob("*.*")),
    ]
    for path in (description.DESCRIPTION, *sources):
        digest.update(path.name.encode() + path.read_bytes())
    folder = root / f"{accelerator.folder.name}-{digest.hexdigest()[:8]}"

    def fill(scratch: Path) -> None:
        (scratch / "rtl").mkdir()
        made = System(accelerator, scratch, firmware.build(scratch / "firmware"))
        taps = len(accelerator.manifest["sites"])
        description.write_verilog(scratch / "rtl", taps, made.image_words, made.classes)

    built_once(folder, fill)
    return System(accelerator, folder, firmware.read(folder / "firmware"))


def gather(system: System) -> None:
    """Put every source and memory file of a system into its folder, for other tools."""
    for source in system.sources:
        if source.parent != system.folder / "rtl":
            shutil.copyfile(source, system.folder / "rtl" / source.name)
    shutil.copytree(system.accelerator.folder / "data", system.folder / "data", dirs_exist_ok=True)


def simulator(system: System, **options: Any) -> runner.Simulation:
    """Compile the bench around a system; nothing is done when nothing changed.

    Args:
        system: what to simulate.
        options: passed on to ``sim.runner.build``.
    """
    bench = Path(runner.__file__).with_name("soc_bench.sv")
    options = {"main": bench.with_name("bench_main.cpp")} | options
    return runner.build(
        "soc_bench",
        [*system.sources, bench],
        parameters=system.parameters,
        defines={"FINN_SIMULATION": 1},
        public=("clk", "rst_n", "divider", "done"),
        flags=["-Wno-lint", "-Wno-style"],
        **options,
    )


def _type_bits(name: str) -> int:
    from qonnx.core.datatype import DataType

    return DataType[name].bitwidth()
