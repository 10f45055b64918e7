"""Measure what the nodes of a compiled accelerator cost in simulation, and fit the folding's model.

``python -m flow.experiments.benchmarks.node_costs FOLDER [NODE …]`` puts the nodes of an
accelerator's folder into one model, each alone between a source and a sink, runs them one after
another in a bare C++ loop, and prints nanoseconds a clock and the coefficients of
``flow.compiler.folding.cost``.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flow.compiler.folding import cost
from sim import runner


def alone(text: str, names: Sequence[str]) -> str:
    """Turn the top of an accelerator into one in which these nodes stand alone.

    Args:
        text: of ``accelerator.sv``.
        names: nodes of one input and one output stream; number n works while ``at_work`` is n.
    """
    widths = {n: w for w, n in re.findall(r"logic (\[\d+:0\]) (\w+)_data;", text)}
    lines = [
        "module nodes (input logic clk, rst_n, input int at_work);",
        "  int at_work_q;",
        "  always_ff @(posedge clk) at_work_q <= at_work;",
    ]
    for number, name in enumerate(names):
        weights = re.search(rf"  \w+_memstream_wrapper u_{name}_weights \(.*?\);\n", text, re.S)
        node = re.search(rf"  \w+ u_{name} \(.*?\n  \);\n", text, re.S)
        if node is None:
            raise SystemExit(f"there is no node {name} in the accelerator")
        body = (weights[0] if weights else "") + node[0]
        stream = re.search(r"\.in0_V_TDATA\((\w+)_data\)", body)
        out = re.search(r"\.out0_V_TDATA\((\w+)_data\)", body)
        assert stream and out
        f, o = f"f{number}", f"o{number}"
        body = re.sub(r"\.(in0_V_T\w+)\(\w+_(\w+)\)", rf".\1({f}_\2)", body)
        body = re.sub(r"\.(out0_V_T\w+)\(\w+_(\w+)\)", rf".\1({o}_\2)", body)
        body = re.sub(r"\.cfg_(valid|site|addr|data)\(\w+\)", r".cfg_\1('0)", body)
        body = re.sub(r"\.(cfg_pending|digest_valid|digest)\(.*?\)(,?\n)", r".\1()\2", body)
        body = re.sub(r"\bap_clk\)", "clk)", body).replace("(ap_rst_n)", "(rst_n)")
        for port in set(re.findall(r"\((w\d+)_data\)", body)):
            lines += [f"  logic {port}_valid, {port}_ready; logic {widths[port]} {port}_data;"]
        lines += [
            f"  logic {f}_valid, {f}_ready, {o}_valid, {o}_ready;",
            f"  logic {widths[stream[1]]} {f}_data; logic {widths[out[1]]} {o}_data;",
            f"  assign {f}_valid = at_work_q == {number};",
            f"  assign {o}_ready = 1'b1;",
            f"  always_ff @(posedge clk) if (!rst_n) {f}_data <= '0;",
            f"    else if ({f}_valid && {f}_ready) {f}_data <= ~{f}_data;",
            body,
        ]
    return "\n".join([*lines, "endmodule", ""])


def measure(folder: Path, names: Sequence[str]) -> tuple[float, list[float]]:
    """Return the nanoseconds of a clock with every node idle, and of each above that at work."""
    manifest = json.loads((folder / "manifest.json").read_text())
    rtl = folder / "rtl"
    main = Path(runner.__file__).with_name("node_costs_main.cpp")
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch) / "nodes.sv"
        top.write_text(alone((rtl / "accelerator.sv").read_text(), names))
        simulation = runner.build(
            "nodes",
            [*(rtl / n for n in manifest["sources"] if n != "accelerator.sv"), top],
            defines={"FINN_SIMULATION": 1},
            # what nobody reads would be left out
            public=[f"o{i}_data" for i in range(len(names))],
            flags=["-Wno-lint", "-Wno-style"],
            main=main,
        )
        (Path(scratch) / "data").symlink_to(folder.resolve() / "data")
        command = [str(simulation.binary), str(len(names))]
        out = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True)
    idle, *busy = map(float, out.stdout.split())
    return idle, [b - idle for b in busy]


def main() -> None:
    """Measure, print and fit."""
    folder, *names = Path(sys.argv[1]), *sys.argv[2:]
    manifest = json.loads((folder / "manifest.json").read_text())
    entries = {node["name"]: node for node in manifest["nodes"]}
    names = names or list(entries)
    idle, busy = measure(folder, names)
    by_kind: dict[str, list[tuple[float, float]]] = {}
    for name, spent in zip(names, busy, strict=True):
        entry = entries[name]
        work = cost.work(entry)
        by_kind.setdefault(cost.kind(entry), []).append((work, spent))
        print(f"{name:40} {work:8.1f} {spent:8.1f} ns")
    each = (idle - cost.CLOCK_NS) / len(names)
    print(f"idle: {idle:.1f} ns, {each:.1f} ns a node")
    for kind, points in by_kind.items():
        work, spent = np.array(points).T
        # relative errors, and nothing costs less than nothing
        fixed, slope = _fit(work, spent)
        print(f'    "{kind}": ({fixed:.1f}, {slope:.3f}),')


def _fit(work: np.ndarray, spent: np.ndarray) -> tuple[float, float]:
    from scipy.optimize import nnls

    weights = 1 / np.maximum(spent, 5.0)
    columns = np.stack([np.ones_like(work), work], 1) * weights[:, None]
    (fixed, slope), _ = nnls(columns, spent * weights)
    return float(fixed), float(slope)


if __name__ == "__main__":
    main()
