"""Commands that measure speed."""

from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from flow.cli.options import console, filed, folding_options, say

if TYPE_CHECKING:
    pass


@click.command("bench")
@click.option("--model", default="tfc", show_default=True)
@click.option("--dataset", default="fashion-mnist", show_default=True)
@folding_options
@click.option("--rounds", default=5, show_default=True, help="Rounds behind each median.")
@click.option("--walk-model", default="float-lenet5-bn", show_default=True, help="In software.")
@click.option("--walk-dataset", default="cifar10", show_default=True, help="Of that walk.")
@click.option("--walk-images", default=1000, show_default=True, help="Of that walk.")
def bench(
    rounds: int, walk_model: str, walk_dataset: str, walk_images: int, **options: Any
) -> None:
    """Measure every speed, each way beside its rivals, and store the table as JSON.

    Example: noisewalk bench --model tfc
    """
    from flow.experiments import software_walk
    from flow.experiments.benchmarks import suite
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    walk = software_walk.Settings(walk_model, walk_dataset, images=walk_images, seeds=1)
    found = suite.run(settings, walk, rounds)
    table = Table(title=f"{options['model']}, medians of {rounds} rounds")
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


@click.command("bench-walk")
@click.option("--model", default="float-lenet5-bn", show_default=True)
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--images", default=None, type=int, help="Test images; default: all.")
@click.option("--seeds", default=1, show_default=True, help="Most draws of a point.")
def bench_walk(**options: Any) -> None:
    """Measure the speed of the walk in software against the straightforward way.

    Example: noisewalk bench-walk --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.experiments.benchmarks import software_walk as benchmark
    from flow.experiments.software_walk import Settings

    found = benchmark.run(Settings(**options))
    walk_tables.print_bench_walk(console, options["model"], found)
