"""The system on a board: microcontroller and accelerator, fed over a serial line."""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flow import hdl, paths
from flow.compiler.accelerator import Accelerator
from flow.compiler.stitch import DATA
from flow.compiler.stitch import TOP as ACCELERATOR
from flow.errors import about
from flow.fpga.boards import Board
from flow.fpga.pll import Pll
from flow.rtl.synthesis import Design
from flow.soc import firmware, system
from flow.soc.system import System

TOP = "board"
MEMORY_BYTES = 1 << 16
"""Size of the microcontroller's memory on a board, bytes; 32 block RAMs of an ECP5."""
BAUD = 460_800
"""Bits per second on the serial line."""
FILE = "firmware.hex"
SOURCES = (
    paths.HW / "soc" / "reset_synchroniser.sv",
    paths.HW / "boards" / "clock_generator.sv",
    paths.HW / "boards" / "board.sv",
)
_PLL = Path(__file__).with_name("templates") / "EHXPLLL.sv"


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
    pll: Pll | None = None
    """What makes the clock; None if it is the board's own."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the top."""
        dividers = asdict(self.pll) if self.pll else {}
        content = {"FILE": f'"{DATA}/{FILE}"'}
        return self.system.parameters | content | {n.upper(): v for n, v in dividers.items()}

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
        stubs = {f"{ACCELERATOR}.sv": hdl.render(__file__, "ports_only.sv.j2", _Header(ports))}
        if self.pll:
            stubs[_PLL.name] = _PLL.read_text()
        sources = stubs | sources
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
    on_board = replace(system_of, firmware=built, memory_bytes=MEMORY_BYTES)
    return BoardSystem(on_board, divider, words.encode())


def of_accelerator(
    accelerator: Accelerator, board: Board, clock: float, build_folder: Path
) -> BoardSystem:
    """Return the system of an accelerator on a board.

    Args:
        accelerator: the accelerator.
        board: the board.
        clock: frequency of the system, MHz; a PLL makes it if it is not the board's.
        build_folder: folder of everything that is built.

    Raises:
        UserError: the PLL does not make it, or the cross compiler is missing.
    """
    divider = round(1e6 * clock / BAUD)
    made = system.build(accelerator, build_folder / "soc")
    built = build(made, divider, made.folder / f"board-{divider}")
    return replace(built, pll=pll_of(board, clock))


def pll_of(board: Board, clock: float) -> Pll | None:
    """Return what makes a clock in MHz on a board, or None if it is its own; else OptionError."""
    with about("clock"):
        return None if clock == board.mhz else Pll.of(board.mhz, clock)
