"""Place and route of a netlist on a board's FPGA, and its bitstream."""

import json
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flow.callbacks import ProgressCallback, no_progress
from flow.errors import UserError
from flow.fpga.boards import Board
from flow.fpga.netlist import owner
from flow.rtl import ecp5
from flow.rtl.ecp5 import Cells
from flow.rtl.synthesis import NotSynthesised

BITSTREAM, LOG, CONFIGURATION, PINS = "board.bit", "nextpnr.log", "board.config", "board.lpf"
_MAPPED = re.compile(
    r"_(?:TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|DP16KD|MULT18X18D|TRELLIS_DPR16X4)_.*"
)
"""What Yosys appends to the name of a signal to name a cell."""
_OVERLAP = re.compile(r"overlap: (.*)")
_PERCENT = re.compile(r"=([\d.]+)%")
_ROUTED = re.compile(r"iter=\d+ wires=(\d+) overused=(\d+)")


@dataclass(frozen=True)
class Step:
    """A step of the critical path."""

    name: str
    """Cell that the signal leaves, by the register or signal that it makes."""
    node: str
    ns: float
    """Delay of the cell and of the wire behind it."""


def too_large(needed: Cells, board: Board) -> str:
    """Return why a netlist does not fit on a board, by resource, or nothing if it fits."""
    short = board.capacity.lacking(needed)
    if not short:
        return ""
    return (
        f"the network does not fit on {board.name}: it needs {' and '.join(short)}; choose a "
        "larger board, more cycles, which folds the network into less hardware, or fewer sites"
    )


def too_slow(mhz: float, clock: float) -> str:
    """Return why a netlist cannot run at a clock, or nothing if it can; both in MHz."""
    if mhz >= clock:
        return ""
    return (
        f"the slowest path allows {mhz:.1f} MHz, less than the clock of {clock:g} MHz: "
        f"choose a clock of {math.floor(mhz)} or less, or more placer_seeds"
    )


class Phases:
    """Progress of place and route, from the lines that nextpnr prints.

    Args:
        progress: called with the percentage of cells that the placer has given a place of their
            own, of the kind that has the fewest, and then with the wires that no other net uses as
            well, of those that the nets use.
    """

    def __init__(self, progress: ProgressCallback) -> None:
        self._progress = progress
        progress("place", 0, 100)

    def __call__(self, line: str) -> None:
        """Take a line."""
        if found := _OVERLAP.search(line):
            most = max(map(float, _PERCENT.findall(found[1])), default=0.0)
            self._progress("place", max(0, round(100 - most)), 100)
        elif found := _ROUTED.search(line):
            wires, shared = int(found[1]), int(found[2])
            self._progress("place", 100, 100)
            self._progress("route", wires - shared, wires)


def route(
    netlist: Path,
    board: Board,
    folder: Path,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """Place and route a netlist, and write its bitstream to a folder.

    Args:
        netlist: the linked netlist, JSON.
        board: the board.
        folder: gets ``board.bit``, ``report.json`` and nextpnr's log.
        seed: seed of the placer; 0 for nextpnr's own.
        progress: called with the progress.

    Returns:
        ``seed``, ``mhz``, ``critical_path`` (fields of `Step`), ``used`` and ``available``, by
        nextpnr's names of resources.

    Raises:
        UserError: it does not fit, or a pin does not exist.
    """
    device = [f"--{board.device}", "--package", board.package, "--speed", str(board.speed)]
    # the tools see their working folder, and not every other
    shutil.copyfile(board.pins, folder / PINS)
    if netlist.parent != folder:
        shutil.copyfile(netlist, folder / netlist.name)
    files = ["--lpf", PINS, "--textcfg", CONFIGURATION, "--log", LOG]
    options = [*device, *files, *ecp5.route_options(netlist.name, seed)]
    try:
        ecp5.run(ecp5.NEXTPNR, options, folder, Phases(progress))
    except NotSynthesised as error:
        raise UserError(f"place and route on {board.name} failed: {error}") from error
    progress("route", 1, 1)
    ecp5.run(ecp5.ECPPACK, ["--compress", CONFIGURATION, BITSTREAM], folder)
    (folder / CONFIGURATION).unlink()
    report = json.loads((folder / "report.json").read_text())
    utilization = report["utilization"].items()
    return {
        "seed": seed,
        "mhz": ecp5.frequency(folder),
        "critical_path": [asdict(step) for step in critical_path(report)],
        "used": {name: count["used"] for name, count in utilization if count["used"]},
        "available": {name: count["available"] for name, count in utilization if count["used"]},
    }


def until_met(
    clock: float, seeds: Sequence[int], placed: Callable[[int], Mapping[str, Any]]
) -> dict[str, Any]:
    """Place and route with one seed after the other until a clock is met.

    Args:
        clock: the clock, MHz.
        seeds: seeds of the placer.
        placed: called with a seed; returns the result of `route`.

    Returns:
        the fastest result, with ``seeds``: MHz by each seed that was tried.
    """
    tried: dict[int, Mapping[str, Any]] = {}
    for seed in seeds:
        tried[seed] = placed(seed)
        if tried[seed]["mhz"] >= clock:
            break
    best = max(tried.values(), key=lambda one: float(one["mhz"]))
    return {**best, "seeds": {seed: one["mhz"] for seed, one in tried.items()}}


def critical_path(report: Mapping[str, Any]) -> list[Step]:
    """Return the slowest path between registers of nextpnr's report, without repeated names."""
    inside = [path for path in report["critical_paths"] if "async" not in path["from"] + path["to"]]
    slowest = max(inside, key=lambda path: sum(part["delay"] for part in path["path"]))
    steps: list[Step] = []
    for part in slowest["path"]:
        cell = part["from"]["cell"]
        name = _MAPPED.sub("", cell).rpartition("u_accelerator.")[2].removeprefix("u_soc.")
        if steps and steps[-1].name == name:
            ns = steps[-1].ns + part["delay"]
            steps[-1] = Step(name, steps[-1].node, ns)
        else:
            steps.append(Step(name, owner(cell), part["delay"]))
    return steps
