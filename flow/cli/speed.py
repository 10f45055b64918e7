"""Commands that measure speed."""

from typing import TYPE_CHECKING

from rich.table import Table

from flow.cli.options import command, console, say

if TYPE_CHECKING:
    from flow.experiments.settings import BenchSettings, BenchWalkSettings


@command("bench", "flow.experiments.settings:BenchSettings", json=False)
def bench(settings: "BenchSettings") -> None:
    """Time each stage against its alternatives. The table is stored as JSON.

    Example: noisewalk bench --model tfc
    """
    from flow.experiments.benchmarks import suite

    rounds = settings.rounds
    found = suite.run(settings.hardware, settings.software, rounds)
    table = Table(title=f"{settings.model}, medians of {rounds} rounds")
    for name in ("what", "median", "smallest", "largest", "unit"):
        table.add_column(name, justify="left" if name in ("what", "unit") else "right")
    for figure in found.figures:
        values = (
            f"{v:,.0f}" if v >= 100 else f"{v:.3g}"
            for v in (figure.median, figure.low, figure.high)
        )
        table.add_row(figure.name, *values, figure.unit)
    console.print(table)
    for name, reason in found.unmeasured.items():
        say(f"not measured: {name}: {reason}")
    path = settings.build / "bench" / f"{settings.model}-{settings.dataset}.json"
    found.store(path, model=settings.model, dataset=settings.dataset, rounds=rounds)
    say(f"results: {path}")


@command("bench-walk", "flow.experiments.settings:BenchWalkSettings", json=False)
def bench_walk(settings: "BenchWalkSettings") -> None:
    """Time the walk in software against the direct way.

    The direct way is a full forward pass for each point.

    Example: noisewalk bench-walk --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.experiments.benchmarks import software_walk as benchmark

    walk_tables.print_bench_walk(console, settings.model, benchmark.run(settings))
