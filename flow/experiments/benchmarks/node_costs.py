"""Measure the simulation time of each node of an accelerator, and fit the folding's model.

``python -m flow.experiments.benchmarks.node_costs FOLDER [NODE …]`` puts the nodes of an
accelerator's folder into one model, each alone between a source and a sink, runs them one after
another in a bare C++ loop, and prints nanoseconds a clock and the coefficients of
``flow.compiler.folding.cost``.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.accelerator import Accelerator
from flow.compiler.folding import cost
from flow.compiler.folding.cost import Entry
from flow.compiler.stitch import DATA, TOP, Node, Stream
from flow.errors import UserError, unknown
from flow.golden.units import UNITS
from sim import runner


@dataclass(frozen=True)
class Nodes:
    """The values of ``nodes.sv.j2``."""

    nodes: Sequence[Node]
    """Nodes in the order of their numbers."""


def top_text(entries: Sequence[Entry]) -> str:
    """Return a top in which nodes stand alone; number n works while ``at_work`` is n.

    Args:
        entries: the manifest's entries of nodes with one input and one output stream.
    """
    nodes = [_alone(number, entry) for number, entry in enumerate(entries)]
    return hdl.render(__file__, "nodes.sv.j2", Nodes(nodes))


def _alone(number: int, entry: Entry) -> Node:
    """Return a node between two streams of its own."""
    kind = cost.kind(entry)
    taken = _beat_bits(entry["folded_input"][-1], entry["input_type"])
    given = _beat_bits(entry["folded_output"][-1], entry["output_type"])
    weights = None
    if kind in UNITS:
        bits = _beat_bits(entry["PE"] * entry["SIMD"], entry["weight_type"])
        weights = Stream(f"{entry['name']}_weights", bits)
    return Node(
        name=entry["name"],
        module=entry["name"],
        kind=kind,
        inputs=[Stream(f"source{number}", taken)],
        outputs=[Stream(f"sink{number}", given)],
        weights=weights,
        tap=number if kind == "NoiseTap" else None,
    )


def _beat_bits(elements: int, datatype: str) -> int:
    """Return the bits of a beat, whole bytes."""
    return 8 * -(-elements * DataType[datatype].bitwidth() // 8)


def chosen(manifest: Mapping[str, Any], names: Sequence[str]) -> list[Entry]:
    """Return the manifest's entries of some nodes, or of all that have one stream on each side.

    Raises:
        UserError: there is no such node, or it has more streams.
    """
    entries = {entry["name"]: entry for entry in manifest["nodes"]}
    streams = {name for entry in entries.values() for name in entry["outputs"]}
    streams.add(manifest["nodes"][0]["inputs"][0])
    single = [
        name
        for name, entry in entries.items()
        if len(entry["outputs"]) == len(streams.intersection(entry["inputs"])) == 1
    ]
    for name in names:
        if name not in entries:
            raise unknown("node", name, entries)
        if name not in single:
            raise UserError(
                f"node {name} has several streams: choose among those with one on each side, "
                f"{', '.join(single)}"
            )
    return [entries[name] for name in names or single]


def measure(accelerator: Accelerator, entries: Sequence[Entry]) -> tuple[float, list[float]]:
    """Return nanoseconds per clock with all nodes idle, and what each active node adds."""
    main = Path(runner.__file__).with_name("node_costs_main.cpp")
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch) / "nodes.sv"
        top.write_text(top_text(entries))
        simulation = runner.build(
            "nodes",
            [*(path for path in accelerator.sources if path.stem != TOP), top],
            defines={"FINN_SIMULATION": 1},
            # outputs that nothing reads would be optimised away
            public=[f"sink{i}_data" for i in range(len(entries))],
            flags=["-Wno-lint", "-Wno-style"],
            main=main,
        )
        (Path(scratch) / DATA).symlink_to(accelerator.folder.resolve() / DATA)
        command = [str(simulation.binary), str(len(entries))]
        out = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True)
    idle, *busy = map(float, out.stdout.split())
    return idle, [b - idle for b in busy]


def main() -> None:
    """Measure, print and fit."""
    accelerator = Accelerator.open(Path(sys.argv[1]))
    entries = chosen(accelerator.manifest, sys.argv[2:])
    idle, busy = measure(accelerator, entries)
    by_kind: dict[str, list[tuple[float, float]]] = {}
    for entry, spent in zip(entries, busy, strict=True):
        work = cost.work(entry)
        by_kind.setdefault(cost.kind(entry), []).append((work, spent))
        print(f"{entry['name']:40} {work:8.1f} {spent:8.1f} ns")
    each = (idle - cost.CLOCK_NS) / len(entries)
    print(f"idle: {idle:.1f} ns, {each:.1f} ns per node")
    for kind, points in by_kind.items():
        work, spent = np.array(points).T
        # relative errors, and no negative costs
        fixed, slope = _fit(work, spent)
        print(f'    "{kind}": ({fixed:.1f}, {slope:.3f}),')


def _fit(work: np.ndarray, spent: np.ndarray) -> tuple[float, float]:
    from scipy.optimize import nnls

    weights = 1 / np.maximum(spent, 5.0)
    columns = np.stack([np.ones_like(work), work], 1) * weights[:, None]
    (fixed, slope), _ = nnls(columns, spent * weights)
    return float(fixed), float(slope)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
