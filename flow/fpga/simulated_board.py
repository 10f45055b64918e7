"""A simulated board behind a pseudo terminal, which programs open as a serial port."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from flow.compiler.stitch import DATA
from flow.errors import Defect
from flow.fpga.board_system import FILE, BoardSystem
from sim import runner
from sim.runner import RunResult

Faults = Mapping[str, Mapping[int, str]]
"""By way, ``to`` or ``from`` the board: number of a byte → ``flip``, ``lose`` or ``pull``."""
_START_SECONDS = 120.0
_TIME_LIMIT = 3600.0
NO_FAULTS: Faults = {"to": {}, "from": {}}


def build(board: BoardSystem, root: Path) -> runner.Simulation:
    """Compile the bench around a board's top.

    Args:
        board: the board.
        root: folder of simulators.
    """
    bench = Path(runner.__file__).with_name("board_bench.sv")
    return runner.build(
        "board_bench",
        [*board.sources, bench],
        parameters=board.parameters | {"DIVIDER": board.divider},
        defines={"FINN_SIMULATION": 1},
        public=(
            "clk", "rst_n", "cable", "to_valid", "to_ready", "to_data", "from_valid", "from_data",
        ),
        flags=["-Wno-lint", "-Wno-style"],
        main=bench.with_name("bench_main.cpp"),
        root=root,
    )  # fmt: skip


@contextmanager
def running(
    board: BoardSystem, simulation: runner.Simulation, workdir: Path, faults: Faults = NO_FAULTS
) -> Iterator[str]:
    """Run a board, and give the name of its serial port.

    Args:
        board: the board.
        simulation: from `build`.
        workdir: working folder of the simulator.
        faults: what happens to bytes on the cable.

    Raises:
        SimulationError: the simulator failed.
    """
    (workdir / DATA).mkdir(parents=True)
    for path in (board.system.accelerator.folder / DATA).iterdir():
        (workdir / DATA / path.name).symlink_to(path.resolve())
    (workdir / DATA / FILE).write_bytes(board.content)
    (workdir / "faults.json").write_text(json.dumps(faults))
    with ThreadPoolExecutor(1) as pool:
        run: Future[RunResult] = pool.submit(
            simulation.run, "sim.board_bench", workdir=workdir, timeout_s=_TIME_LIMIT
        )
        try:
            yield _port(workdir / "port", run)
        finally:
            (workdir / "stop").touch()
        run.result()


def _port(path: Path, run: Future[RunResult]) -> str:
    """Return the name of the serial port as soon as the simulator has written it."""
    until = time.monotonic() + _START_SECONDS
    while not path.exists():
        if run.done():
            run.result()
        if time.monotonic() > until:
            raise Defect(f"the simulated board did not start within {_START_SECONDS:g} s")
        time.sleep(0.05)
    return path.read_text()
