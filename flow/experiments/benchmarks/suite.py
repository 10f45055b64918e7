"""The ``bench`` command: every speed of the project in one table, measured in one run."""

from collections.abc import Callable

from flow.errors import UserError
from flow.experiments.benchmarks import draws, rtl, software_walk, subgraph
from flow.experiments.benchmarks.measure import Bench, Figure
from flow.experiments.benchmarks.settings import BenchWalkSettings
from flow.walks.settings import HardwareWalkSettings


def run(settings: HardwareWalkSettings, walk: BenchWalkSettings, rounds: int = 5) -> Bench:
    """Measure everything; what this machine cannot measure is listed with the reason.

    Args:
        settings: settings of the simulated network; only model, dataset and folding matter.
        walk: settings of the walk in software that is measured.
        rounds: how often everything is measured.
    """
    parts: dict[str, Callable[[], list[Figure]]] = {
        "simulation and models": lambda: rtl.run(settings, rounds),
        "drawing samples": lambda: draws.run(rounds),
        "scope of the simulation": lambda: subgraph.run(settings, rounds),
        f"walk in software, {walk.model} on {walk.dataset}": lambda: software_walk.figures(
            [software_walk.run(walk) for _ in range(rounds)], walk
        ),
    }
    found = Bench(unmeasured=rtl.missing())
    for name, part in parts.items():
        try:
            found.figures += part()
        except UserError as error:
            found.unmeasured[name] = str(error)
    return found
