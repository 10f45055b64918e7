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
        bench: module in ``tests.benches`` with a coroutine ``run(dut, job)``.
        variants: by a key of the caller's.
        workdir: where the simulation runs; files that a kernel reads lie there.
    """
    top = workdir / "variants.sv"
    lines = [_instance(kernel, number, one) for number, one in enumerate(variants.values())]
    top.write_text("\n".join(["module variants;", *lines, "endmodule", ""]))
    jobs = [one.jobs for one in variants.values()]
    (workdir / "jobs.json").write_text(json.dumps({"bench": bench, "jobs": jobs}))
    simulation = build(
        "variants", dict.fromkeys([*SHARED, *sources, top]), public=(f"{kernel}.*",), optimise=False
    )
    simulation.run("tests.benches.variants_bench", workdir=workdir, timeout_s=300)
    found = json.loads((workdir / "results.json").read_text())
    return Results(dict(zip(variants, found, strict=True)))


def _instance(kernel: str, number: int, variant: Variant) -> str:
    """An instance whose ports the bench drives and reads."""
    parameters = ", ".join(f".{name}({value})" for name, value in variant.parameters.items())
    return f"  {kernel} #({parameters}) variant_{number} ();"
