"""The ``bench`` command: every speed of the project in one table, measured in one run."""

from collections.abc import Callable

from flow import bench_rtl, bench_walk, scope_bench, software_job
from flow.bench import Bench, Figure
from flow.errors import UserError
from flow.walk.settings import Settings


def run(settings: Settings, walk: software_job.Settings, rounds: int = 5) -> Bench:
    """Measure everything; what this machine cannot measure is told with its reason.

    Args:
        settings: of the simulated network; model, dataset and folding are used.
        walk: of the network that the walk in software is measured on.
        rounds: how often everything is measured.
    """
    parts: dict[str, Callable[[], list[Figure]]] = {
        "simulation and models": lambda: bench_rtl.run(settings, rounds),
        "scope of the simulation": lambda: scope_bench.run(settings, rounds),
        f"walk in software, {walk.model} on {walk.dataset}": lambda: bench_walk.figures(
            [bench_walk.run(walk) for _ in range(rounds)], walk
        ),
    }
    found = Bench(unmeasured=bench_rtl.missing())
    for name, part in parts.items():
        try:
            found.figures += part()
        except UserError as error:
            found.unmeasured[name] = str(error)
    return found
