"""The system on a board: microcontroller and accelerator, fed over a serial line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow import hdl, paths
from flow.compiler.accelerator import Accelerator
from flow.compiler.stitch import DATA
from flow.compiler.stitch import TOP as ACCELERATOR
from flow.rtl.synthesis import Design
from flow.soc import firmware, system
from flow.soc.system import System

TOP = "board"
PORTS = ("clk", "rst_n", "rx", "tx", "led")
MEMORY_BYTES = 1 << 16
"""Size of the microcontroller's memory on a board, bytes; 32 block RAMs of an ECP5."""
BAUD = 460_800
"""Bits per second on the serial line."""
FILE = "firmware.hex"
SOURCES = (
    paths.HW / "soc" / "reset_synchroniser.sv",
    paths.HW / "boards" / "board.sv",
)


@dataclass(frozen=True)
class _Header:
    ports: str
    """Text of the accelerator up to its last port."""


@dataclass(frozen=True)
class BoardSystem:
    """The system of an accelerator on a board."""

    system: System
    divider: int
    """Clocks of a bit on the serial line."""
    content: bytes
    """What the memory holds at start: the firmware, words in hexadecimal."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the top."""
        sizes = {"MEMORY_BYTES": MEMORY_BYTES, "FILE": f'"{DATA}/{FILE}"'}
        return self.system.parameters | sizes

    @property
    def sources(self) -> list[Path]:
        """HDL in compile order."""
        return [*self.system.sources, *SOURCES]

    def around_accelerator(self) -> Design:
        """Return the system as a design in which the accelerator has ports and no content."""
        inside = {path.name for path in self.system.accelerator.sources}
        sources = {p.name: p.read_text() for p in self.sources if p.name not in inside}
        header = self.system.accelerator.sources[-1].read_text().partition(");")[0]
        ports = re.sub(r"#\(.*?\n\) \(", "(", header, count=1, flags=re.DOTALL)
        stub = hdl.render(__file__, "ports_only.sv.j2", _Header(ports))
        sources = {f"{ACCELERATOR}.sv": stub} | sources
        return Design(TOP, sources, {FILE: self.content}, self.parameters)


def build(system_of: System, divider: int, folder: Path) -> BoardSystem:
    """Compile the firmware of a system on a board.

    Args:
        system_of: the system.
        divider: clocks of a bit on the serial line.
        folder: gets the firmware.

    Raises:
        UserError: the cross compiler is missing.
    """
    macros = {"DIVIDER": divider, "MEMORY_BYTES": MEMORY_BYTES}
    built = firmware.build(folder, units=firmware.BOARD, defines=macros)
    words = "".join(f"{word:08x}\n" for word in built.words.tolist())
    return BoardSystem(system_of, divider, words.encode())


def of_accelerator(accelerator: Accelerator, mhz: float, build_folder: Path) -> BoardSystem:
    """Return the system of an accelerator on a board.

    Args:
        accelerator: the accelerator.
        mhz: frequency of the board's clock.
        build_folder: folder of everything that is built.
    """
    divider = round(1e6 * mhz / BAUD)
    made = system.build(accelerator, build_folder / "soc")
    return build(made, divider, made.folder / f"board-{divider}")
