"""Many variants of a kernel side by side in one simulator, each driven by its own jobs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.compiler.operators import kernel as kernels
from sim.runner import REPOSITORY, build

SHARED = [REPOSITORY / "hw" / source for source in kernels.SHARED]
"""Modules that kernels contain."""

STALLS = ({"idle": 0.0, "stall": 0.0}, {"idle": 0.4, "stall": 0.6})
"""Probabilities, per clock, that a source idles and a sink stalls: neither, and both."""


@dataclass(frozen=True)
class Variant:
    """One set of parameters, an int or a literal each, and the jobs that its bench does with it."""

    parameters: Mapping[str, int | str]
    jobs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Instance:
    """A module that does a variant's jobs in a bench."""

    module: str
    bench: str
    """Module in ``tests.benches`` with a coroutine ``run(dut, job)``."""
    variant: Variant


@dataclass(frozen=True)
class Results:
    """What the bench returned for each job, by variant; a job that failed, in its own words."""

    found: Mapping[Any, Sequence[Mapping[str, Any]]]

    def __getitem__(self, variant: Any) -> list[Any]:
        """Return a variant's results, in the order of its jobs; fail as the first that failed."""
        for number, job in enumerate(self.found[variant]):
            assert "error" not in job, f"job {number} of {variant}: {job['error']}"
        return [job["result"] for job in self.found[variant]]


def simulate(
    kernel: str,
    sources: Sequence[Path],
    bench: str,
    variants: Mapping[Any, Variant],
    workdir: Path,
) -> Results:
    """Build one simulator of all variants of a kernel, and run every job.

    Args:
        kernel: the module.
        sources: its SystemVerilog files, without those that all share.
        bench: module in ``tests.benches`` that does the jobs.
        variants: by a key of the caller's.
        workdir: where the simulation runs; files that a kernel reads lie there.
    """
    instances = [Instance(kernel, bench, one) for one in variants.values()]
    found = run(instances, sources, [f"{kernel}.*"], workdir)
    return Results(dict(zip(variants, found, strict=True)))


def run(
    instances: Sequence[Instance],
    sources: Sequence[Path],
    public: Sequence[str],
    workdir: Path,
    assertions: bool = True,
) -> list[list[dict[str, Any]]]:
    """Build one simulator of instances, run their jobs, and return what each returned for each job.

    Args:
        instances: modules with their jobs.
        sources: SystemVerilog files of the modules, without those that all share.
        public: ports of the modules, as `sim.runner.build` takes them.
        workdir: where the simulation runs; files that a module reads lie there.
        assertions: whether the modules' assertions hold from the start, at which the ports of an
            instance have any values.
    """
    top = workdir / "variants.sv"
    lines = [_text(one, number) for number, one in enumerate(instances)]
    top.write_text("\n".join(["module variants;", *lines, "endmodule", ""]))
    jobs = [{"bench": one.bench, "jobs": one.variant.jobs} for one in instances]
    (workdir / "jobs.json").write_text(json.dumps(jobs))
    files = dict.fromkeys([*SHARED, *sources, top])
    simulation = build("variants", files, public=public, optimise=False, assertions=assertions)
    simulation.run("tests.benches.variants_bench", workdir=workdir, timeout_s=300)
    found: list[list[dict[str, Any]]] = json.loads((workdir / "results.json").read_text())
    return found


def _text(instance: Instance, number: int) -> str:
    """An instance whose ports the bench drives and reads."""
    given = instance.variant.parameters.items()
    parameters = ", ".join(f".{name}({value})" for name, value in given)
    return f"  {instance.module} #({parameters}) variant_{number} ();"
