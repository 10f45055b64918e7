"""The engine on real clusters of processes: the same results whatever dies in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flow.callbacks import StageClock
from flow.errors import Fatal, UserError
from flow.experiments import hardware_walk
from flow.paths import REPOSITORY
from flow.report import files
from flow.rtl import simulate
from flow.walks.engine.dask import SLURM, DaskExecutor
from flow.walks.engine.engine import SerialExecutor, Task
from flow.walks.loading import prepare_walk
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import HardwareWalkSummary
from flow.walks.walk import Walk
from sim.runner import SimulationError
from tests.helpers.processes import NOISEWALK

OPTIONS = {"model": "tfc-w2a2", "dataset": "digits", "images": 200, "hw_images": 6,
           "cycles": 256, "levels": "8,40", "budget": 0.0, "sites": "fc1.acc,fc3.acc"}  # fmt: skip
POINTS = 2 * 2 * 2 * (1 + 2) + 3 + 2 * 2 + 1
"""2 sites, 2 levels and 2 draws in golden and twice in software; RTL; and those without noise."""


def silent(stage: str, done: int, total: int, images: int = 0) -> None:
    pass


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, results_folder) -> Callable[[Path], Path]:
    """Makes a folder for results; the network and its simulator are compiled."""
    build = results_folder(tmp_path_factory.mktemp("compiled") / "build")
    walk = prepare_walk(
        HardwareWalkSettings(**OPTIONS, draws=2, build=build), StageClock(), silent
    ).walk
    _ = walk.context.designs.whole.simulation
    return lambda folder: results_folder(folder / "build")


def settings(build: Path) -> HardwareWalkSettings:
    return HardwareWalkSettings(**OPTIONS, draws=2, build=build)


def points_of(build: Path) -> dict[str, bytes]:
    """Return what every stored point predicts, by name."""
    found = {}
    for path in (build / "points").rglob("*.npz"):
        with np.load(path) as file:
            found[path.name] = file["predictions"].tobytes()
    return found


def same(one: HardwareWalkSummary, other: HardwareWalkSummary) -> bool:
    """Whether two summaries say the same, folders and what depends on speed left out."""
    drop = {"seconds", "rtl", "report", "command", "accelerator"}
    return one.model_dump(exclude=drop) == other.model_dump(exclude=drop)


@pytest.fixture(scope="module")
def undisturbed(fresh, tmp_path_factory) -> tuple[HardwareWalkSummary, dict[str, bytes]]:
    """What one process finds that nothing disturbs."""
    build = fresh(tmp_path_factory.mktemp("undisturbed"))
    summary = hardware_walk.walk_hw(settings(build), silent)
    points = points_of(build)
    assert len(points) == POINTS and summary.rtl.bit_mismatches == 0
    return summary, points


def until(condition, seconds: float = 120.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Backwards(SerialExecutor):
    """Does calls in the opposite order."""

    def run(self, walk, calls):
        return super().run(walk, calls[::-1])


def test_order_does_not_matter(fresh, undisturbed, tmp_path):
    build = fresh(tmp_path)
    assert same(hardware_walk.walk_hw(settings(build), silent, engine=Backwards()), undisturbed[0])
    assert points_of(build) == undisturbed[1]


@pytest.mark.slow
def test_a_killed_workers_work_goes_to_another(fresh, undisturbed, tmp_path):
    build = fresh(tmp_path)
    killed: list[int] = []

    def kill_one(engine: DaskExecutor) -> None:
        until(lambda: len(points_of(build)) >= 5)
        pids = engine.client.run(os.getpid)
        killed.append(next(iter(pids.values())))
        os.kill(killed[0], signal.SIGKILL)

    with DaskExecutor(2, folder=build) as engine:
        killer = threading.Thread(target=kill_one, args=[engine])
        killer.start()
        summary = hardware_walk.walk_hw(settings(build), silent, engine=engine)
        killer.join()
        assert killed[0] not in engine.client.run(os.getpid).values()
    assert points_of(build) == undisturbed[1] and same(summary, undisturbed[0])


def command_line(build: Path, *more: str) -> list[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    return [*NOISEWALK, "walk-hw", *options, "--draws=2", *more]


def start(build: Path, *more: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    log = (build.parent / "client.log").open("a")
    # what a shell starts in the background ignores Ctrl-C, and so would all that it starts
    listening = ["env", "--default-signal=INT"]
    return subprocess.Popen(
        [*listening, *command_line(build, *more)], cwd=build.parent, env=environment, stdout=log,
        stderr=log, start_new_session=True,
    )  # fmt: skip


def processes_below(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


@pytest.mark.slow
def test_a_killed_client_loses_no_point_and_repeats_none(fresh, undisturbed, tmp_path):
    build = fresh(tmp_path)
    client = start(build, "--jobs=2")
    until(lambda: len(points_of(build)) >= 10)
    workers = processes_below(client.pid)
    client.kill()
    client.wait()
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers), 60)
    left = {path: path.stat().st_mtime_ns for path in (build / "points").rglob("*.npz")}
    assert 10 <= len(left) < POINTS
    folder = build / "walk-hw" / "tfc-w2a2-digits"
    assert files.rewrite(folder) == folder / "report.html"
    early = HardwareWalkSummary.read(folder / "summary.json")
    assert sum(early.progress.done.values()) == len(left) and not early.progress.running
    assert len(pd.read_parquet(folder / "curves.parquet")) == len(left)
    summary = hardware_walk.walk_hw(settings(build), silent)
    assert all(path.stat().st_mtime_ns == when for path, when in left.items())
    assert points_of(build) == undisturbed[1] and same(summary, undisturbed[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "jobs", "status"),
    [
        # Ctrl-C, which a terminal sends to the workers as well
        (lambda client: os.killpg(client.pid, signal.SIGINT), 2, 130),
        (lambda client: client.terminate(), 1, 143),
    ],
    ids=["SIGINT", "SIGTERM"],
)
def test_an_interrupted_client_reports_and_says_how_to_go_on(
    fresh, undisturbed, tmp_path, stop, jobs, status
):
    build = fresh(tmp_path)
    client = start(build, f"--jobs={jobs}")
    until(lambda: len(points_of(build)) >= 10)
    stop(client)
    assert client.wait(60) == status
    said = (tmp_path / "client.log").read_text()
    assert "the same command resumes" in said and "Traceback" not in said, said
    assert 10 <= len(points_of(build)) < POINTS
    folder = build / "walk-hw" / "tfc-w2a2-digits"
    assert f"report: {folder.relative_to(build.parent)}/report.html" in said
    early = HardwareWalkSummary.read(folder / "summary.json")
    rows = len(pd.read_parquet(folder / "curves.parquet"))
    assert not early.complete and sum(early.progress.done.values()) == rows
    # workers finish the point that they are at
    assert 10 <= rows <= len(points_of(build)) and (jobs == 2 or rows == len(points_of(build)))
    assert "refresh" not in (folder / "report.html").read_text()
    assert same(hardware_walk.walk_hw(settings(build), silent), undisturbed[0])


@pytest.mark.slow
def test_two_clients_on_one_folder_do_no_harm(fresh, undisturbed, tmp_path):
    build = fresh(tmp_path)
    client = start(build, "--jobs=1")
    until(lambda: points_of(build))
    summary = hardware_walk.walk_hw(settings(build), silent)
    assert client.wait() == 0, (tmp_path / "client.log").read_text()
    assert points_of(build) == undisturbed[1] and same(summary, undisturbed[0])
    assert not [path for path in build.rglob("*.tmp")]


def dask(*arguments: str, log: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, env=environment, stdout=log.open("w"), stderr=log.open("a"))


@pytest.fixture
def running(tmp_path):
    """A scheduler and a worker that were started by hand; yields the address and both."""
    from distributed.utils import open_port

    address = f"tcp://127.0.0.1:{open_port()}"
    scheduler = dask(
        "scheduler", f"--port={address.rpartition(':')[2]}", "--host=127.0.0.1",
        "--dashboard-address=127.0.0.1:0", log=tmp_path / "scheduler.log",
    )  # fmt: skip
    worker = dask(
        "worker", address, "--nthreads=1", "--no-dashboard", "--death-timeout=60",
        f"--local-directory={tmp_path}", log=tmp_path / "worker.log",
    )  # fmt: skip
    yield address, scheduler, worker
    for process in (worker, scheduler):
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_scheduler_loses_no_point(fresh, undisturbed, tmp_path, running):
    address, scheduler, _ = running
    build = fresh(tmp_path)

    def kill() -> None:
        until(lambda: len(points_of(build)) >= 10)
        scheduler.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with (
        pytest.raises(Fatal, match="run the same command again"),
        DaskExecutor(1, address, folder=build) as engine,
    ):
        hardware_walk.walk_hw(settings(build), silent, engine=engine)
    killer.join()
    left = set(points_of(build))
    assert 10 <= len(left) < POINTS
    assert same(hardware_walk.walk_hw(settings(build), silent), undisturbed[0])
    assert points_of(build) == undisturbed[1]


@pytest.mark.slow
def test_slurm_jobs_are_workers(fresh, undisturbed, tmp_path, monkeypatch):
    """With a stand-in for sbatch that runs the job's script at once."""
    build = fresh(tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sbatch").write_text(
        # as Slurm does: the job is a copy, for the script is deleted once it is submitted
        f"#!/bin/sh\ncp $1 {tmp_path}/job.sh\nsh {tmp_path}/job.sh >{tmp_path}/job.log 2>&1 &\n"
        "echo Submitted batch job 7\n"
    )
    (tools / "scancel").write_text("#!/bin/sh\n")
    for path in tools.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with DaskExecutor(1, SLURM, folder=build) as engine:
        summary = hardware_walk.walk_hw(settings(build), silent, engine=engine)
    assert "#SBATCH --mem=4G" in (tmp_path / "job.sh").read_text()
    assert points_of(build) == undisturbed[1] and same(summary, undisturbed[0])
    assert not list((build / "runs").iterdir())


def test_no_scheduler_and_no_workers_are_one_message(tmp_path):
    with pytest.raises(UserError, match="jobs is 0"):
        DaskExecutor(0)
    with pytest.raises(Fatal, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        _ = DaskExecutor(1, "tcp://127.0.0.1:9", folder=tmp_path).client


def stub(compiled_simulation, path: Path, what: str, when: str):
    """Return a simulator that does something else where its job has a certain text."""
    path.write_text(
        f"#!/bin/sh\nif grep -q '{when}' job.json; then {what}; fi\n"
        f'exec {compiled_simulation.binary} "$@"\n'
    )
    path.chmod(0o755)
    return replace(compiled_simulation, binary=path)


@pytest.mark.parametrize(
    ("what", "said"),
    [("kill -SEGV $$", "status -11"), ("exec sleep 600", "stopped after"), ("exit 0", "no test")],
    ids=["crash", "hang", "silence"],
)
def test_a_simulator_that_fails_is_tried_once_more_and_reported(
    fresh, tmp_path, monkeypatch, what, said
):
    """One point of four fails, and its neighbours in the same process get through."""
    # only the one that hangs has to be waited for
    monkeypatch.setattr(simulate, "START_SECONDS", 15.0 if "sleep" in what else 120.0)
    monkeypatch.setattr(simulate, "CYCLE_SECONDS", 0.0)
    walk = prepare_walk(settings(fresh(tmp_path)), StageClock(), silent).walk
    hardware = walk.context.designs.at("fc1.acc")
    sound = hardware.simulation
    places = [NoisePoint("", 0.0), *(NoisePoint("fc1.acc", sigma) for sigma in (5.0, 6.0, 7.0))]
    bad = walk.context.settings(places[2])["fc1.acc"].sigma_add
    assert bad not in (walk.context.settings(places[n])["fc1.acc"].sigma_add for n in (1, 3))
    hardware.simulation = stub(sound, tmp_path / "stub", what, f", {bad}\\]")
    found = walk.run(walk.wanted([Side.RTL], places, 4))
    assert [point.sigma for point in found.points] == [0.0, 5.0, 7.0]
    (failure,) = found.failures
    assert (failure.site, failure.sigma) == ("fc1.acc", 6.0) and said in failure.message
    script = Path(failure.command.removeprefix("sh "))
    assert script.exists() and str(hardware.simulation.binary) in script.read_text()
    # with a simulator that is sound again the point is measured, and no other
    hardware.simulation = sound
    again = walk.run(walk.wanted([Side.RTL], places, 4))
    assert again.speed.images == 4 and len(again.points) == 4 and not again.failures


def test_a_walk_with_a_failed_point_does_not_agree_there(fresh, undisturbed, tmp_path, monkeypatch):
    build = fresh(tmp_path)
    monkeypatch.setattr(
        "flow.walks.sides.rtl.simulate.simulate", failing_at(simulate.simulate, "fc1.acc")
    )
    found = hardware_walk.walk_hw(settings(build), silent)
    assert {failure.site for failure in found.failures} == {"fc1.acc"}
    assert found["fc1.acc"].verdict == "undecided"
    assert "could not be simulated" in found["fc1.acc"].reason
    assert found["fc3.acc"] == undisturbed[0]["fc3.acc"]
    assert "crashed, hung" in Path(found.report).read_text()


def failing_at(real, site: str):
    def fail(accelerator, simulation, stream, points, workdir, **options):
        if any(site in point for point in points):
            raise SimulationError("it fell over", "sh again.sh")
        return real(accelerator, simulation, stream, points, workdir, **options)

    return fail


def test_nothing_to_simulate_without_noise_is_an_error(fresh, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise SimulationError("it fell over", "sh again.sh")

    monkeypatch.setattr("flow.walks.sides.rtl.simulate.simulate", fail)
    with pytest.raises(SimulationError, match=r"fell over\nagain: sh again\.sh"):
        hardware_walk.walk_hw(settings(fresh(tmp_path)), silent)


def test_a_full_disk_stops_cleanly(fresh, tmp_path):
    """A file system for fewer files than the walk writes; the compiled network lies elsewhere."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    try:
        build = fresh(small)
        with pytest.raises(Fatal, match="what was finished"):
            hardware_walk.walk_hw(settings(build), silent)
        assert not [path for path in build.rglob("*.tmp")]
        kept = points_of(build)
        assert 0 < len(kept) < POINTS
        roomy = tmp_path / "roomy"
        roomy.mkdir()
        again = fresh(roomy)
        shutil.copytree(build / "points", again / "points")
        hardware_walk.walk_hw(settings(again), silent)
        assert kept.items() <= points_of(again).items()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_call_names_its_function():
    assert Task(Walk.measure, None).name == "Walk.measure"
