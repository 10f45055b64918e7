"""Commands that measure speed."""

from typing import TYPE_CHECKING

from rich.table import Table

from flow.cli.options import command, console, say

if TYPE_CHECKING:
    from flow.experiments.benchmarks.measure import Figure
    from flow.experiments.benchmarks.settings import (
        BenchJobSettings,
        BenchSettings,
        BenchWalkSettings,
    )


@command("bench", "flow.experiments.benchmarks.settings:BenchSettings", json=False)
def bench(settings: "BenchSettings") -> None:
    """Time each stage against its alternatives. The table is stored as JSON.

    Example: noisewalk bench --model tfc
    """
    from flow.experiments.benchmarks import suite

    rounds = settings.rounds
    found = suite.run(settings.hardware, settings.software, rounds)
    _print_figures(f"{settings.model}, medians of {rounds} rounds", found.figures)
    for name, reason in found.unmeasured.items():
        say(f"not measured: {name}: {reason}")
    path = settings.build / "bench" / f"{settings.model}-{settings.dataset}.json"
    found.store(path, model=settings.model, dataset=settings.dataset, rounds=rounds)
    say(f"results: {path}")


def _print_figures(title: str, figures: "list[Figure]") -> None:
    table = Table(title=title)
    for name in ("what", "median", "smallest", "largest", "unit"):
        table.add_column(name, justify="left" if name in ("what", "unit") else "right")
    for figure in figures:
        values = (
            f"{v:,.0f}" if v >= 100 else f"{v:.3g}"
            for v in (figure.median, figure.low, figure.high)
        )
        table.add_row(figure.name, *values, figure.unit)
    console.print(table)


@command("bench-job", "flow.experiments.benchmarks.settings:BenchJobSettings", json=False)
def bench_job(settings: "BenchJobSettings") -> None:
    """Time a whole job of this version against another revision. They run in turns.

    Example: noisewalk bench-job --base v0.1 --job "walk-hw --model tfc"
    """
    from flow.experiments.benchmarks import job

    found, runs = job.run(settings, say)
    _print_figures(f"{settings.job}: {settings.base} against this version", found.figures)
    path = settings.build / "bench-job" / "bench-job.json"
    told = {"job": settings.job, "base": settings.base, "runs": [run.to_json() for run in runs]}
    found.store(path, **told)
    say(f"results: {path}")


@command("bench-walk", "flow.experiments.benchmarks.settings:BenchWalkSettings", json=False)
def bench_walk(settings: "BenchWalkSettings") -> None:
    """Time the walk in software against one full pass per point.

    The direct way is a full forward pass for each point.

    Example: noisewalk bench-walk --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.experiments.benchmarks import software_walk as benchmark

    walk_tables.print_bench_walk(console, settings.model, benchmark.run(settings))
