"""A whole job timed against a revision of this project."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from flow.errors import UserError
from flow.experiments.benchmarks import job
from flow.experiments.benchmarks.settings import BenchJobSettings

JOB = "walk --model tfc --dataset digits --sites fc1.acc --levels 8 --images 50 --seeds 1"


@pytest.mark.slow
def test_a_revision_against_itself(tmp_path: Path) -> None:
    said: list[str] = []
    settings = BenchJobSettings(job=JOB, base="HEAD", rounds=0, build=tmp_path)
    found, runs = job.run(settings, said.append)
    assert [run.version for run in runs] == ["base", "this version"] and len(said) == 2
    assert all(run.cold and run.seed == 1000 for run in runs)
    assert runs[0].summary["kinds"] == runs[1].summary["kinds"]
    figures = {figure.name: figure for figure in found.figures}
    assert len(figures) == 9 and all(figure.median > 0 for figure in figures.values())
    assert 0.2 < figures["base : this version, cold: processor"].median < 5
    assert runs[0].to_json()["seconds"]["total"] <= runs[0].wall


@pytest.mark.slow
def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no revision of this project"):
        job.run(BenchJobSettings(base="no-such-revision", build=tmp_path), print)
    with pytest.raises(UserError, match=r"this version: walk .* failed"):
        job._run("this version", job.REPOSITORY, ["walk", "--model", "nothing"], 0, cold=True)


def test_time_of_what_a_job_leaves_behind_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", job._LAUNCHER, sys.executable, "-c", leave]
    assert subprocess.run(command).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime")) > 0.4
