"""cocotb bench of many variants of kernels: the jobs of ``jobs.json`` to ``results.json``.

A job that fails is told by its traceback and ends its variant's jobs, not those of the others.
"""

import json
import traceback
from importlib import import_module
from pathlib import Path

import cocotb
from cocotb.clock import Clock

from sim import streams


@cocotb.test()
async def every_job(dut) -> None:
    """Run each variant's jobs in its bench one after another, its clock running only then."""
    results = []
    for number, task in enumerate(json.loads(Path("jobs.json").read_text())):
        bench = import_module(f"tests.benches.{task['bench']}")
        variant = getattr(dut, f"variant_{number}")
        clock = Clock(streams.clock(variant), streams.CLOCK_NS, unit="ns")
        clock.start()
        results.append(await _run_all(bench.run, variant, task["jobs"]))
        clock.stop()
    Path("results.json").write_text(json.dumps(results))


async def _run_all(run, variant, jobs: list[dict]) -> list[dict]:
    found: list[dict] = []
    for job in jobs:
        try:
            found.append({"result": await run(variant, job)})
        except Exception:
            return [*found, {"error": traceback.format_exc()}]
    return found
