"""Compile SystemVerilog with Verilator and run cocotb benches in the result.

``build`` verilates and compiles a design once per content (sources, parameters, flags, tool
versions) and ``Simulation.run`` runs cocotb test modules in it. It differs from cocotb's own runner
in three ways. Only the signals that the bench names are public, because a public signal cannot be
optimised away. Builds are shared by content and renamed into place, so that processes may race. The
same model can be compiled with another C++ ``main``.
"""

import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

from sim import toolchain, verilated
from sim.recipe import Recipe

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[1]
_AGAIN = "again.sh"
"""Script in the working folder of a run that repeats the run."""


class FolderError(RuntimeError):
    """No simulator can be built in a folder."""


class SimulationError(RuntimeError):
    """A simulator crashed or hung, or a test in it failed.

    Args:
        message: what went wrong, then the end of the log.
        command: the command that repeats the run.
    """

    def __init__(self, message: str, command: str) -> None:
        super().__init__(message, command)
        self.command = command

    def __str__(self) -> str:
        return f"{self.args[0]}\nagain: {self.command}"


@dataclass(frozen=True)
class RunResult:
    """One finished run of a simulation."""

    log: Path
    """Log file with the output of the simulator and the bench."""
    tests: int
    """Number of cocotb tests that ran; all passed."""
    seconds: float
    """Wall time, including the start of Python inside the simulator."""
    again: str
    """Command that repeats the run."""


@dataclass(frozen=True)
class Simulation:
    """A compiled simulator binary."""

    top: str
    """Name of the top module, which is the bench's ``dut``."""
    binary: Path
    randomise: bool
    """Whether registers without a reset start from random values (seeded per run)."""
    design: str
    """Digest of everything it was built from, apart from the machine: what it computes."""

    def run(
        self,
        test_module: str | Sequence[str],
        *,
        workdir: Path,
        env: Mapping[str, str] | None = None,
        plusargs: Mapping[str, int] | None = None,
        timeout_s: float | None = None,
        seed: int = 0,
        tests: str | None = None,
    ) -> RunResult:
        """Run cocotb test modules in this binary.

        Args:
            test_module: importable module name or names; the repository root is on the path.
            workdir: working folder of the run, made if missing; log and results go there.
            env: further environment variables for the bench.
            plusargs: values for ``$value$plusargs``.
            timeout_s: time limit in seconds of wall time, after which the run is killed.
            seed: cocotb's random seed, and that of unreset registers.
            tests: regular expression on test names; all tests if None.

        Raises:
            SimulationError: a test failed, none ran, or the simulator ended early.
        """
        workdir = Path(workdir).resolve()
        workdir.mkdir(parents=True, exist_ok=True)
        results = workdir / "results.xml"
        results.unlink(missing_ok=True)
        variables = _cocotb_environment(self.top, test_module, results, seed)
        if tests is not None:
            variables["COCOTB_TEST_FILTER"] = tests
        variables.update(env or {})
        command = [str(self.binary)]
        if self.randomise:
            command += ["+verilator+rand+reset+2", f"+verilator+seed+{seed % 0x7FFFFFFE + 1}"]
        command += [f"+{name}={value}" for name, value in (plusargs or {}).items()]
        log_path = workdir / "sim.log"
        again = _write_again(workdir / _AGAIN, command, variables)
        start = time.monotonic()
        code = _logged(command, log_path, cwd=workdir, env=variables, timeout_s=timeout_s)
        seconds = time.monotonic() - start
        count, failed = _read_results(results)
        if failed or not count or code:
            what = f"{failed} of {count} tests failed" if count else "no test ran"
            message = f"simulation of {self.top}: {what} {_ending(log_path, code)}"
            raise SimulationError(message, again)
        return RunResult(log_path, count, seconds, again)


def build(
    top: str,
    sources: Iterable[Path | str],
    *,
    parameters: Mapping[str, int | str] | None = None,
    include_dirs: Iterable[Path | str] = (),
    defines: Mapping[str, str | int] | None = None,
    public: Sequence[str] = ("*",),
    traced: Sequence[str] = (),
    optimise: bool = True,
    assertions: bool | None = None,
    flags: Sequence[str] = (),
    main: Path | None = None,
    root: Path = Path("build/sim"),
    jobs: int | None = None,
) -> Simulation:
    """Compile a design, or return the stored binary if nothing that it depends on has changed.

    Args:
        top: top module.
        sources: SystemVerilog files, packages first, and Verilator control files (.vlt).
        parameters: values for the top's parameters; an int, or a string taken as a literal.
        include_dirs: where included files and modules not listed in ``sources`` are found.
        defines: preprocessor macros.
        public: signals the bench may see: ``"signal"`` of the top or ``"module.signal"``, where
            ``*`` matches any characters. Everything else may be optimised away.
        traced: instances, such as ``"bench.u_unit"``, whose own signals ``$dumpvars`` records as
            FST.
        optimise: spend compile time on simulation speed. Without it the build is quick and
            registers that nothing resets start from random values, which is right for kernels.
        assertions: keep SVA and asserts; by default only without ``optimise``.
        flags: further arguments to Verilator.
        main: C++ file with ``main`` to link in place of cocotb's; the model is ``Vtop``, and cocotb
            is linked where ``main`` starts it.
        root: folder of stored builds.
        jobs: parallel compiler processes; by default as many as there are cores.

    Raises:
        FolderError: the path of ``root`` or of Verilator has a space.
        RuntimeError: Verilator or the compiler failed; the message holds the path of the log and
            its end.
    """
    for folder in (Path(root).resolve(), toolchain.verilator_root()):
        if len(str(folder).split()) > 1:
            raise FolderError(
                f"make cannot build a simulator with {folder}, which has a space in its path: "
                "use a folder without"
            )
    recipe = Recipe(
        top=top,
        sources=[Path(source).resolve() for source in sources],
        parameters=parameters or {},
        include_dirs=[Path(folder).resolve() for folder in include_dirs],
        defines=defines or {},
        public=public,
        traced=traced,
        optimise=optimise,
        assertions=not optimise if assertions is None else assertions,
        flags=flags,
        entry=Path(main).resolve() if main else toolchain.cocotb_main(),
    )
    design, content = recipe.digests()
    destination = Path(root).resolve() / f"{top}-{content}"
    simulation = Simulation(top, destination / top, not optimise, design)
    if not simulation.binary.exists():
        _build_once(recipe, destination, jobs)
    return simulation


def _build_once(recipe: Recipe, destination: Path, jobs: int | None) -> None:
    """Build a simulator beside its folder and rename it into place, unless another process did."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix=f".{recipe.top}-", dir=destination.parent))
    lock = FileLock(destination.with_name(f".{destination.name}.lock"))
    try:
        lock.acquire()
        if (destination / recipe.top).exists():
            return
        _compile(recipe, scratch, destination, jobs)
        scratch.rename(destination)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()
    log.info("built %s in %.1f s", destination.name, time.monotonic() - started)


def _compile(recipe: Recipe, scratch: Path, destination: Path, jobs: int | None) -> None:
    """Verilate and compile a design in a folder; where that fails, keep its log."""
    log_path, rules = scratch / "build.log", scratch / "public.vlt"
    rules.write_text(recipe.rules())

    def call(command: Sequence[str]) -> None:
        code = _logged(command, log_path, cwd=scratch, env=toolchain.environment(), add=True)
        if code:
            kept = destination.parent / f"{destination.name}.failed.log"
            shutil.copyfile(log_path, kept)
            raise RuntimeError(f"building {recipe.top} failed {_ending(kept, code)}")

    verilate = recipe.verilate_command(scratch, rules)
    call(verilate)
    make = recipe.make_command(scratch, jobs)
    library = verilated.library_digest(scratch, recipe.library_flags())
    with verilated.library(scratch, destination.parent / f"runtime-{library}") as missing:
        if missing:
            call([*make, *missing])
    if verilated.fits_one_piece(scratch):
        flavour = verilated.library_digest(scratch, recipe.make_flags())
        headers = destination.parent / f"headers-{flavour}"
        with verilated.precompiled(scratch, headers) as missing:
            if missing:
                call([*make, *missing])
        make += verilated.in_one_piece(scratch, recipe.entry, headers)
    make.append(recipe.top)
    call(make)
    _keep_only(scratch, {recipe.top, log_path.name, rules.name})
    (scratch / "command.json").write_text(json.dumps([verilate, make], indent=1))


def run_sim(
    top: str,
    sources: Iterable[Path | str],
    test_module: str,
    *,
    workdir: Path,
    parameters: Mapping[str, int | str] | None = None,
    include_dirs: Iterable[Path | str] = (),
    env: Mapping[str, str] | None = None,
    seed: int = 0,
    timeout_s: float = 300,
    tests: str | None = None,
) -> RunResult:
    """Build a kernel quickly, with assertions, and run its bench; raises as `build` and `run`."""
    simulation = build(
        top, sources, parameters=parameters, include_dirs=include_dirs, optimise=False
    )
    return simulation.run(
        test_module, workdir=workdir, env=env, timeout_s=timeout_s, seed=seed, tests=tests
    )


def _cocotb_environment(
    top: str, test_module: str | Sequence[str], results: Path, seed: int
) -> dict[str, str]:
    from cocotb_tools import config

    modules = test_module if isinstance(test_module, str) else ",".join(test_module)
    search = [str(REPOSITORY), *(p or os.getcwd() for p in sys.path)]
    return {
        **os.environ,
        "GPI_USERS": f"{_libpython()};{config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(search)),
        "COCOTB_TOPLEVEL": top,
        "COCOTB_TEST_MODULES": modules,
        "COCOTB_RESULTS_FILE": str(results),
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "PYGPI_USERS": "sim.quick_cocotb:load",
        "TOPLEVEL_LANG": "verilog",
    }


@cache
def _libpython() -> str | None:
    """Return the path of Python's library, for which the linker's cache is read."""
    from find_libpython import find_libpython

    return find_libpython()


def _keep_only(folder: Path, names: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _logged(
    command: Sequence[str],
    log_path: Path,
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float | None = None,
    add: bool = False,
) -> int:
    """Run a command with all output to a file; return its status, or -1 on timeout."""
    with log_path.open("a" if add else "w") as sink:
        try:
            return subprocess.run(
                command, cwd=cwd, env=dict(env), stdout=sink, stderr=sink, timeout=timeout_s
            ).returncode
        except subprocess.TimeoutExpired:
            sink.write(f"\nstopped after {timeout_s} s\n")
            return -1


def _write_again(script: Path, command: Sequence[str], variables: Mapping[str, str]) -> str:
    """Write a script that repeats a run, and return the command that starts it."""
    changed = {name: v for name, v in variables.items() if os.environ.get(name) != v}
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(changed.items())]
    folder = shlex.quote(str(script.parent))
    script.write_text(f"cd {folder}\n{''.join(exports)}exec {shlex.join(command)}\n")
    return f"sh {shlex.quote(str(script))}"


def _read_results(path: Path) -> tuple[int, int]:
    from cocotb_tools.check_results import get_results

    try:
        return get_results(path)
    except RuntimeError:
        return 0, 0


def _ending(log_path: Path, code: int, lines: int = 25) -> str:
    tail = log_path.read_text(errors="replace").splitlines()[-lines:]
    return f"(status {code}); the end of {log_path}:\n" + "\n".join(tail)
