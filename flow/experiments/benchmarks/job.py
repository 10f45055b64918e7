"""Speed of a whole job, this version against another revision of the project, in one run.

Each version runs as a command of its own from a clean checkout, so that nothing is shared but the
machine. The first round starts with an empty ``build``, as a fresh clone does after set-up: the
network is compiled and the simulator built. The further rounds have new seeds, so that every point
is measured. The two versions take turns, and so does which one begins.
"""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.errors import UserError
from flow.experiments.benchmarks.measure import Bench, Figure
from flow.experiments.benchmarks.settings import BenchJobSettings
from flow.paths import REPOSITORY
from flow.training.zoo import LOCAL

NOW, BASE = "this version", "base"
_ENTRIES = {"flow/cli/main.py": "flow.cli.main", "flow/cli.py": "flow.cli"}
"""By the file that defines it: module of the command line, the newest first."""
_LAUNCHER = """
import ctypes, os, subprocess, sys
if sys.platform == "linux":
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
status = subprocess.call(sys.argv[1:])
try:
    while True:
        os.wait()
except ChildProcessError:
    sys.exit(status)
"""
"""Runs a command and waits for all its descendants, such as the process that forked its workers:
otherwise their processor time is not counted."""


@dataclass(frozen=True)
class JobRun:
    """Time and results of one run of a job."""

    version: str
    seed: int
    cold: bool
    """Whether it started with an empty build folder."""
    wall: float
    """Seconds."""
    processor: float
    """Seconds of all its processes."""
    memory: float
    """Largest memory of one of its processes, GB."""
    summary: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the fields of a table of runs, and the stages' seconds."""
        kept = {name: value for name, value in vars(self).items() if name != "summary"}
        told = {name: self.summary.get(name) for name in ("verdict", "margin", "seconds")}
        return kept | told


def run(settings: BenchJobSettings, progress: Callable[[str], None]) -> tuple[Bench, list[JobRun]]:
    """Measure a job.

    Args:
        settings: the user's settings.
        progress: called with each finished run in words.

    Returns:
        Seconds, processor seconds and memory of both versions and their ratios, cold and warm, and
        all runs.

    Raises:
        UserError: the project is no git checkout, a revision is unknown, or a run failed.
    """
    folder = settings.build / "bench-job"
    versions = {
        NOW: _checkout("HEAD", folder / "now"),
        BASE: _checkout(settings.base, folder / "base"),
    }
    if LOCAL.is_dir():
        # both versions walk the networks that were trained here
        for checkout in versions.values():
            (checkout / LOCAL).parent.mkdir(exist_ok=True)
            (checkout / LOCAL).symlink_to(LOCAL.resolve())
    words = shlex.split(settings.job)
    runs = []
    for number in range(settings.rounds + 1):
        seed = settings.seed + number
        order = list(versions.items())
        for version, checkout in order if number % 2 else order[::-1]:
            done = _run(version, checkout, [*words, "--seed", str(seed)], seed, cold=not number)
            progress(
                f"{version}, seed {seed}: {done.wall:.0f} s, {done.processor:.0f} processor s, "
                f"{done.memory:.2f} GB"
            )
            runs.append(done)
    return Bench([*_figures(runs, cold=True), *_figures(runs, cold=False)]), runs


def _checkout(revision: str, folder: Path) -> Path:
    """Clone a revision of the project into a folder, without anything that was built."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        ["git", "clone", "--quiet", "--no-checkout", str(REPOSITORY), str(folder)],
        ["git", "-C", str(folder), "checkout", "--quiet", "--detach", _commit(revision)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"cannot check {revision} out: {done.stderr.strip()}")
    return folder


def _commit(revision: str) -> str:
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "--verify", f"{revision}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{revision} is no revision of this project: give one of its git history")
    return done.stdout.strip()


def _run(version: str, checkout: Path, words: Sequence[str], seed: int, *, cold: bool) -> JobRun:
    entry = next((module for file, module in _ENTRIES.items() if (checkout / file).exists()), None)
    if entry is None:
        raise UserError(f"{version} has no command line that this version knows")
    command = [sys.executable, "-c", f"from {entry} import main; main()", *words]
    launched = [sys.executable, "-c", _LAUNCHER, *command]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(launched, cwd=checkout, env=environment, capture_output=True, text=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise UserError(f"{version}: {shlex.join(words)} failed: {done.stderr[-2000:].strip()}")
    found = max((checkout / "build").rglob("summary.json"), key=lambda p: p.stat().st_mtime)
    return JobRun(
        version,
        seed,
        cold,
        wall,
        sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime")),
        after.ru_maxrss / 2**20,
        json.loads(found.read_text()),
    )


def _figures(runs: Sequence[JobRun], *, cold: bool) -> list[Figure]:
    """Return the figures of the cold or of the warm runs, and base : this version."""
    figures = []
    kind = "cold" if cold else "warm"
    for name, unit in (("wall", "s"), ("processor", "s"), ("memory", "GB")):
        values = {
            version: [getattr(r, name) for r in runs if r.version == version and r.cold == cold]
            for version in (BASE, NOW)
        }
        if not values[NOW]:
            continue
        figures += [
            Figure.of(f"{version}, {kind}: {name}", unit, values[version]) for version in values
        ]
        ratios = [base / now for base, now in zip(values[BASE], values[NOW], strict=True)]
        figures.append(Figure.of(f"{BASE} : {NOW}, {kind}: {name}", "ratio", ratios))
    return figures
