"""Mapped netlists: an accelerator, and the board's system around it, each synthesised once.

The accelerator is synthesised alone, so that its netlist can be simulated in the accelerator's
place, and is placed as it was simulated. The system leaves it out; both are linked afterwards.
"""

import hashlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow.compiler.accelerator import Accelerator
from flow.compiler.stitch import DATA, TOP
from flow.files import built_once
from flow.rtl import ecp5
from flow.rtl.ecp5 import Cells
from flow.rtl.synthesis import Design, NotSynthesised

FOLDER = "fpga"
"""Folder of netlists and results, by what they depend on, in that of everything that is built."""
RTLIL, VERILOG, JSON = "netlist.il", "netlist.v", "netlist.json"
_NODE = re.compile(rf"u_{TOP}\.u_(\w+_rtl_\d+)(?:_weights)?\.")
_PART = re.compile(r"u_(\w+)\.")
_TOO_DEEP = "call stack exhausted"
"""What Yosys says in WebAssembly if it cannot follow a chain of some hundred gates."""
_MAP, _BALANCE = "synth_ecp5", "opt_balance_tree -logic"
"""Yosys' command that maps a design, and one that makes trees of chains beforehand."""


@dataclass(frozen=True)
class Netlist:
    """A mapped module, in a folder of its own."""

    folder: Path
    top: str
    """Name of the module."""

    @property
    def rtlil(self) -> Path:
        """The netlist, for Yosys."""
        return self.folder / RTLIL


def whole(accelerator: Accelerator) -> Design:
    """Return an accelerator as one design, with its paths cut at each tap and memory of weights."""
    memories = {path.name: path.read_bytes() for path in (accelerator.folder / DATA).iterdir()}
    sources = {path.name: path.read_text() for path in accelerator.sources}
    return Design(TOP, sources, memories, {"PIPELINE": "1'b1"})


def synthesise(design: Design, root: Path, black_boxes: Sequence[str] = ()) -> Netlist:
    """Map a module to ECP5 primitives, or return the netlist of an equal one.

    If a chain of gates is too deep for Yosys, it is made a tree first.

    Args:
        design: the module.
        root: folder of netlists, by content.
        black_boxes: modules that are left out.

    Raises:
        NotSynthesised: Yosys rejects it.
        UserError: Yosys is not installed.
    """
    commands = f"{ecp5.script(design, black_boxes)}; write_rtlil {RTLIL}"
    key = hashlib.sha256(f"{design.key} {commands}".encode()).hexdigest()[:16]
    folder = root / f"{design.top}-{key}"

    def fill(scratch: Path) -> None:
        design.write(scratch)
        try:
            _run_script(commands, scratch)
        except NotSynthesised as error:
            if _TOO_DEEP not in str(error):
                raise
            _run_script(commands.replace(_MAP, f"{_BALANCE}; {_MAP}"), scratch)

    built_once(folder, fill)
    return Netlist(folder, design.top)


def _run_script(commands: str, folder: Path) -> None:
    (folder / "synthesise.ys").write_text(commands.replace("; ", "\n") + "\n")
    ecp5.run(ecp5.YOSYS, ["-q", "synthesise.ys"], folder)


def modelled(netlist: Netlist, root: Path) -> Path:
    """Return a netlist for a simulator, in which Yosys' models stand in the primitives' places.

    Yosys puts them there, since Verilator would make a module for each content of a LUT. Memories
    and multipliers, which Yosys only declares, stay.

    Args:
        netlist: a mapped module.
        root: folder of netlists, by content.

    Raises:
        UserError: Yosys is not installed.
    """
    steps = [
        f"read_rtlil {RTLIL}",
        # the primitives that synthesis declared, with their variants by parameters
        f"delete =* {netlist.top} %d",
        "read_verilog -sv -overwrite +/ecp5/cells_sim.v",
        f"hierarchy -top {netlist.top}",
        "proc",
        "flatten",
        "opt_expr",
        # long names are most of what Verilator and the compiler would read
        "rename -hide",
        "clean -purge",
        f"write_verilog -noattr {VERILOG}",
    ]
    folder = root / f"modelled-{netlist.folder.name}"

    def fill(scratch: Path) -> None:
        shutil.copyfile(netlist.rtlil, scratch / RTLIL)
        ecp5.run(ecp5.YOSYS, ["-q", "-p", "; ".join(steps)], scratch)
        (scratch / RTLIL).unlink()

    built_once(folder, fill)
    return folder / VERILOG


def link(top: str, parts: Iterable[Netlist], folder: Path) -> Path:
    """Join mapped modules to one flat netlist for nextpnr, and return its path.

    Args:
        top: name of the topmost module.
        parts: the modules.
        folder: gets the netlist.
    """
    # the tools see their working folder, and not every other
    reads = []
    for number, part in enumerate(parts):
        shutil.copyfile(part.rtlil, folder / f"{number}.il")
        reads.append(f"read_rtlil {number}.il")
    steps = [f"hierarchy -top {top}", "flatten", "opt_clean -purge", f"write_json {JSON}"]
    # the mapped accelerator takes the place of the black box
    ecp5.run(ecp5.YOSYS, ["-q", "-p", "; ".join([*reads, *steps])], folder)
    return folder / JSON


def cells(netlist: Path, top: str) -> dict[str, Cells]:
    """Count the cells of a linked netlist by node, or by part of the system outside it.

    Args:
        netlist: from `link`.
        top: name of the topmost module.
    """
    counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, cell in json.loads(netlist.read_text())["modules"][top]["cells"].items():
        counts[owner(name)][cell["type"]] += 1
    return {name: Cells.of(found) for name, found in sorted(counts.items())}


def owner(cell: str) -> str:
    """Return the node of a cell, or the part of the system, by the cell's name."""
    if node := _NODE.search(cell):
        return node[1]
    parts = [name for name in _PART.findall(cell) if name != "soc"]
    return parts[0] if parts else "board"


def total(counts: Mapping[str, Cells]) -> Cells:
    """Return the sum over all parts."""
    rows = list(counts.values())
    return Cells(
        **{name: sum(getattr(r, name) for r in rows) for name in Cells.__dataclass_fields__}
    )
