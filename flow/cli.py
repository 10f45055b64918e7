"""The command line: only this module prints."""

import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from flow.errors import UserError

console = Console()
errors = Console(stderr=True)

_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Tell what goes on.")
def cli(verbose: bool) -> None:
    """Which layer of a quantised network breaks first under noise, in software and in RTL?"""
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    # FINN, Brevitas and torch's exporter tell of every step; ours is what the user asked about
    warnings.filterwarnings("ignore")
    for name in ("finn", "finn_logger", "torch.onnx", "qonnx"):
        logging.getLogger(name).setLevel(logging.ERROR)


@cli.command("walk-hw")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@click.option("--order", default="mul-add", show_default=True, help="Of mixed noise.")
@click.option("--ratio", default=0.5, show_default=True, help="Of mixed noise: additive share.")
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--images", default=None, type=int, help="In software, a point; default: 2000.")
@click.option("--draws", default=None, type=int, help="In software, a point; default: 4 or 1.")
@click.option("--hw-images", default=None, type=int, help="In RTL, a point; default: 128 or 64.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=None, type=int, help="Simulators at a time; default: the cores.")
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--cycles", default=None, type=int, help="Cycles an image, for the folding.")
@click.option("--fps", default=None, type=float, help="Images a second at 200 MHz, likewise.")
@click.option("--folding", default="", help="FINN folding file, in place of such a target.")
@click.option("--mvu", default="lut", show_default=True, help="Matrix-vector unit: lut or dsp.")
def walk_hw(jobs: int | None, **options: Any) -> None:
    """Walk noise through a network in software and in its RTL, and compare.

    Example: noisewalk walk-hw --model tfc --noise additive
    """
    # torch, brevitas and FINN take seconds to import, --help should not
    from flow import job, training_command

    settings = job.Settings(jobs=jobs or len(os.sched_getaffinity(0)), **options)
    training_command.ensure_checkpoint(settings, console)
    with _progress() as bars:
        summary = job.walk_hw(settings, _teller(bars), shlex.join(["noisewalk", *sys.argv[1:]]))
    _print_summary(summary, settings.build / "walk-hw")


@cli.command("train")
@click.option("--model", default="tfc", show_default=True)
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="", help="Kind of noise at every .acc site while training.")
@click.option("--sigma", default=0.0, help="Its level.")
@click.option("--epochs", default=60, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--lr", default=0.02, show_default=True, help="Adam's step size at the start.")
@click.option("--start", default=None, type=_PATH, help="Checkpoint to begin with, to fine-tune.")
@click.option("--precision", default="float32", show_default=True, help="Or bfloat16, if faster.")
@click.option("--out", default=None, type=_PATH, help="Checkpoint file.")
def train(**options: Any) -> None:
    """Train a network, with or without noise; a run that was stopped goes on where it was.

    Example: noisewalk train --model tfc-w2a2 --noise additive --sigma 8
    """
    from flow import training_command

    training_command.run(console, **options)


@cli.command("bench")
@click.option("--model", default="tfc", show_default=True)
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--cycles", default=None, type=int, help="Cycles an image, for the folding.")
@click.option("--fps", default=None, type=float, help="Images a second at 200 MHz, likewise.")
@click.option("--folding", default="", help="FINN folding file, in place of such a target.")
@click.option("--rounds", default=5, show_default=True, help="Rounds behind each median.")
def bench(rounds: int, **options: Any) -> None:
    """Measure the speed of the simulation and of the models, side by side.

    Example: noisewalk bench --model tfc
    """
    from flow import bench as benchmark
    from flow import job

    table = Table(title=f"{options['model']}, medians of {rounds} rounds")
    for name in ("what", "median", "smallest", "largest", "unit"):
        table.add_column(name, justify="left" if name in ("what", "unit") else "right")
    for figure in benchmark.run(job.Settings(**options), rounds):
        found = (figure.median, figure.low, figure.high)
        values = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in found)
        table.add_row(figure.name, *values, figure.unit)
    console.print(table)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _teller(bars: Progress):
    tasks: dict[str, Any] = {}

    def tell(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
            if bars.disable:
                console.print(f"{stage} ...", highlight=False)
        bars.update(tasks[stage], completed=done, total=total)

    return tell


def _print_summary(summary: dict[str, Any], root: Path) -> None:
    images = summary["images"]
    table = Table(title=f"{summary['model']} on {summary['dataset']}, {summary['noise']} noise")
    table.add_column("site")
    for side in (
        f"μ software (n={images['software']})",
        f"μ golden (n={images['golden']})",
        "golden / software",
        f"μ RTL (n={images['rtl']})",
    ):
        table.add_column(side, justify="right")
    table.add_column("verdict")
    for site, entry in summary["sites"].items():
        table.add_row(
            site,
            *(_interval(entry[name]) for name in ("mu_sw", "mu_hw", "ratio", "mu_rtl")),
            entry["verdict"],
        )
    console.print(table)
    l0, rtl = summary["checks"]["L0"], summary["rtl"]
    console.print(
        f"L0: golden = FINN on {l0['tensors']} tensors of {l0['images']} images, "
        f"mismatches: {l0['mismatches']}; golden ≠ Brevitas on {len(l0['labels_differing'])} of "
        f"{l0['labels_compared']} labels",
        highlight=False,
    )
    console.print(
        f"L1: RTL = golden on {rtl['images']} images, bit_mismatches: {rtl['bit_mismatches']}",
        highlight=False,
    )
    console.print(f"verdict: {summary['verdict']}", highlight=False)
    total = summary["seconds"]["total"]
    console.print(f"{total:.0f} s; report: {summary['report']}", highlight=False, soft_wrap=True)


def _interval(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return f"{'>' if value['bound'] == 'above' else '<'} {value['level']:.3g}"
    return f"{value[0]:.3g} [{value[1]:.3g}, {value[2]:.3g}]"


def main() -> None:
    """Run the command line; a user's mistake is one message and status 2."""
    try:
        cli()
    except UserError as error:
        errors.print(f"[bold red]error:[/] {_escaped(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
