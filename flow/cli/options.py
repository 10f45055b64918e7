"""What the commands share: options, and how results are shown."""

import functools
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

console = Console()

PATH = click.Path(path_type=Path)
BUILD = Path("build")
"""Folder for results."""


def options(*several: Callable[[Callable], Callable]) -> Callable[[Callable], Callable]:
    """Return several options as one decorator, in the order of the help."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(several):
            command = option(command)
        return command

    return decorate


noise_options = options(
    click.option("--order", default="mul-add", show_default=True, help="Of mixed noise."),
    click.option("--ratio", default=0.5, show_default=True, help="Of it: additive share."),
    click.option("--executions", type=int, help="Of a noisy layer; the mean goes on."),
    click.option("--device", type=int, help="Of a fixed pattern; default: one a draw."),
    click.option("--gain-rate", type=float, help="Of drift, over 1,000 images."),
    click.option("--sigma-rate", type=float, help="Of drift: σ's, likewise, a share."),
    click.option("--samples", type=PATH, help="Of empirical noise: a file of numbers."),
)
"""What may be said of the noise beyond its kind."""

checkpoint_options = options(
    click.option("--training-noise", default="", help="Kind the checkpoint was trained with."),
    click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's."),
)
"""Which of a network's checkpoints."""

folding_options = options(
    click.option("--cycles", default=None, type=int, help="Cycles an image, for the folding."),
    click.option("--fps", default=None, type=float, help="Images a second at 200 MHz, likewise."),
    click.option("--folding", default="", help="FINN folding file, in place of such a target."),
)
"""How an accelerator is folded."""

mvu_option = click.option(
    "--mvu", default="lut", show_default=True, help="Matrix-vector unit: lut or dsp."
)


def engine_options(command: Callable) -> Callable:
    """Add what may be said of where the work is done; the command takes an engine."""

    @click.option("--jobs", type=int, help="Worker processes; default: the cores.")
    @click.option("--scheduler", default="", help="Of a Dask cluster: tcp://…, or slurm.")
    @functools.wraps(command)
    def with_engine(*, jobs: int | None, scheduler: str, **options: Any) -> None:
        from flow.walk.engine.dask import Cluster

        workers = len(os.sched_getaffinity(0)) if jobs is None else jobs
        with Cluster(workers, scheduler, tell=say) as engine:
            command(engine=engine, **options)

    return with_engine


def _to_stderr(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    console.stderr = wanted


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_to_stderr,
    help="Print the result as JSON, and all else to stderr.",
)


def show(found: Any, printed: Callable[[Console, Any], None]) -> None:
    """Print a result as the user wants it."""
    if console.stderr:
        click.echo(json.dumps(found, default=str, ensure_ascii=False))
    else:
        printed(console, found)


def typed() -> str:
    """Return what the user typed."""
    return shlex.join(["noisewalk", *sys.argv[1:]])


def say(text: str) -> None:
    """Print a line, as it is."""
    console.print(text, highlight=False, soft_wrap=True)


def filed(given: dict[str, Any]) -> dict[str, Any]:
    """Return options with a network in Python exported to a file, which runs the user's code."""
    from flow.models.qonnx import python_factory

    return python_factory.filed(given, BUILD)
