"""The command line: only this module prints."""

import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable
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


def _noise_options(command: Callable) -> Callable:
    """Add what may be said of the noise beyond its kind."""
    for option in reversed(
        (
            click.option("--order", default="mul-add", show_default=True, help="Of mixed noise."),
            click.option("--ratio", default=0.5, show_default=True, help="Of it: additive share."),
            click.option("--executions", type=int, help="Of a noisy layer; the mean goes on."),
            click.option("--device", type=int, help="Of a fixed pattern; default: one a draw."),
            click.option("--gain-rate", type=float, help="Of drift, over 1,000 images."),
            click.option("--sigma-rate", type=float, help="Of drift: σ's, likewise, a share."),
            click.option("--samples", type=_PATH, help="Of empirical noise: a file of numbers."),
        )
    ):
        command = option(command)
    return command


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
@_noise_options
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--images", default=None, type=int, help="In software, a point; default: 2000.")
@click.option("--draws", default=None, type=int, help="In software, a point; default: 4 or 1.")
@click.option("--hw-images", default=None, type=int, help="In RTL, a point; default: 128 or 64.")
@click.option(
    "--sites", default="", help="As fc0.acc,fc1.weight,fc1.act; default: every .acc site."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=None, type=int, help="Simulators at a time; default: the cores.")
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--cycles", default=None, type=int, help="Cycles an image, for the folding.")
@click.option("--fps", default=None, type=float, help="Images a second at 200 MHz, likewise.")
@click.option("--folding", default="", help="FINN folding file, in place of such a target.")
@click.option(
    "--budget",
    default=10.0,
    show_default=True,
    help="Minutes for further draws where the verdict is undecided; 0: none.",
)
@click.option("--ablation", is_flag=True, help="At which step from software to RTL μ moves.")
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


@cli.command("walk")
@click.option("--model", required=True, help="Network, such as float-lenet5-bn or tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kinds, commas between.")
@_noise_options
@click.option("--sites", default="", help="With commas between; default: the network's choice.")
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--seeds", default=4, show_default=True, help="Draws of a point; the most if auto.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--precision-of-mu",
    "precision",
    default=0.03,
    show_default=True,
    help="Half width of the 95 % interval, as a share of μ, that ends a search.",
)
@click.option("--budget", default="", help="End in any case after 600s, or so many noisy images.")
@click.option("--images", default=None, type=int, help="Test images at most; default: all.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option(
    "--retrain",
    default=0,
    show_default=True,
    help="Epochs of training with a point's noise before it is measured.",
)
@click.option("--out", default=None, type=_PATH, help="Results folder.")
def walk(**options: Any) -> None:
    """Walk noise through a network in software: the midpoint of each site, and of all at once.

    Example: noisewalk walk --model float-lenet5-bn --dataset cifar10
    """
    from flow import software_job

    settings = software_job.Settings(**options)
    with _progress() as bars:
        found = software_job.walk(settings, _teller(bars), shlex.join(["noisewalk", *sys.argv[1:]]))
    _print_walk(found)


@cli.command("multi-exec")
@click.option("--model", required=True, help="Network, such as float-lenet5-bn or tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@click.option("--ratio", default=0.5, show_default=True, help="Of mixed noise: additive share.")
@click.option("--sigma", default=None, type=float, help="Of one execution; default: 2 global μ.")
@click.option("--budgets", default="1,2,3,5,7,10,20", show_default=True, help="Executions a site.")
@click.option("--draws", default=3, show_default=True, help="Noise draws of a point.")
@click.option("--sites", default="", help="With commas between; default: the network's choice.")
@click.option("--seed", default=0, show_default=True)
@click.option("--images", default=None, type=int, help="Test images at most; default: all.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--out", default=None, type=_PATH, help="Results folder, that of the walk.")
def multi_exec(sigma: float | None, budgets: str, draws: int, **options: Any) -> None:
    """Execute noisy layers several times: spend equal budgets in every way, and compare.

    Walks the network first, unless that is done. A layer's k executions are averaged.

    Example: noisewalk multi-exec --model float-lenet5-bn --dataset cifar10
    """
    from flow import multi_execution, software_job

    walk_settings = software_job.Settings(**options)
    settings = multi_execution.Settings(walk_settings, budgets, sigma, draws)
    with _progress() as bars:
        found = multi_execution.run(
            settings, _teller(bars), shlex.join(["noisewalk", *sys.argv[1:]])
        )
    _print_executions(found)


@cli.command("multi-exec-hw")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@click.option("--repeats", default="1,2,4,8,16,32,64", show_default=True, help="Executions, each.")
@click.option("--sigma", default=None, type=float, help="Of one execution; default: 2 μ, a site.")
@click.option("--images", default=None, type=int, help="In the golden model; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="In RTL; default: 128 or 64.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=None, type=int, help="Simulators at a time; default: the cores.")
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
def multi_exec_hw(jobs: int | None, repeats: str, sigma: float | None, **options: Any) -> None:
    """Repeat noisy executions in hardware: accuracy over cycles per image, golden and RTL.

    Example: noisewalk multi-exec-hw --model tfc --repeats 1,4,16
    """
    from flow import job, training_command
    from flow import repeats as repetition

    settings = job.Settings(jobs=jobs or len(os.sched_getaffinity(0)), **options)
    chosen = repetition.Settings(settings, repeats, sigma)
    training_command.ensure_checkpoint(settings, console)
    with _progress() as bars:
        found = repetition.run(chosen, _teller(bars), shlex.join(["noisewalk", *sys.argv[1:]]))
    images = found["images"]
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['noise']} noise")
    for name in ("site", "σ", "executions", "cycles an image"):
        table.add_column(name, justify="left" if name == "site" else "right")
    table.add_column(f"accuracy golden (n={images['golden']})", justify="right")
    table.add_column(f"accuracy RTL (n={images['rtl']})", justify="right")
    for row in found["rows"]:
        table.add_row(
            row["site"],
            f"{row['sigma']:.3g}",
            str(row["executions"]),
            f"{row['cycles_per_image']:,}",
            *("{:.4f} [{:.4f}, {:.4f}]".format(*row[side]) for side in ("golden", "rtl")),
        )
    console.print(table)
    runs = sum(row["rtl_images"] for row in found["rows"])
    console.print(
        f"L1: RTL = golden on {runs} images, bit_mismatches: {found['bit_mismatches']}",
        highlight=False,
    )
    console.print(f"picture and table: {found['folder']}", highlight=False, soft_wrap=True)


@cli.command("robustness")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise that walks.")
@_noise_options
@click.option("--images", default=None, type=int, help="In software, a point; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="In RTL, a point; default: 128 or 64.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=None, type=int, help="Simulators at a time; default: the cores.")
@click.option("--budget", default=0.0, show_default=True, help="Minutes for further noise draws.")
def robustness(jobs: int | None, **options: Any) -> None:
    """Walk a network's clean and noise-trained checkpoints: does what was learned arrive in RTL?

    Example: noisewalk robustness --model tfc --noise additive
    """
    from flow import job
    from flow import robustness as comparison

    settings = job.Settings(jobs=jobs or len(os.sched_getaffinity(0)), **options)
    with _progress() as bars:
        found = comparison.run(settings, _teller(bars), shlex.join(["noisewalk", *sys.argv[1:]]))
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['noise']} noise")
    table.add_column("site")
    table.add_column("trained with")
    for side in ("software", "golden, RTL-checked"):
        table.add_column(f"μ {side}", justify="right")
        table.add_column("to clean", justify="right")
    table.add_column("verdict")
    for row in found["rows"]:
        cells = (
            _interval(row[key])
            for key in ("software", "software_ratio", "hardware", "hardware_ratio")
        )
        table.add_row(row["site"], row["training"], *cells, row["verdict"])
    console.print(table)
    for name, mismatches in found["bit_mismatches"].items():
        accuracy = "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * v for v in found["accuracy"][name]))
        console.print(
            f"{name}: without noise {accuracy}, bit_mismatches: {mismatches}, verdict: "
            f"{found['verdicts'][name]}",
            highlight=False,
        )
    console.print(f"reports and table: {found['folder']}", highlight=False, soft_wrap=True)


@cli.command("dynamics")
@click.option("--model", required=True, help="Network, such as float-mlp.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive,multiplicative", show_default=True, help="Kinds.")
@click.option("--levels", default="0.25,0.5,1,2,4", show_default=True, help="σ of training.")
@click.option("--epochs", default=10, show_default=True, help="Of each training.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default=None, type=_PATH, help="Results folder.")
def dynamics(**options: Any) -> None:
    """Train at each noise level: what happens to weights, outputs, signal-to-noise, activations?

    Example: noisewalk dynamics --model float-mlp --dataset mnist
    """
    from flow import learning

    settings = learning.Settings(**options)
    with _progress() as bars:
        found = learning.run(settings, _teller(bars), shlex.join(["noisewalk", *sys.argv[1:]]))
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['epochs']} epochs")
    for name in ("noise", "σ", "site", "mean |w|", "output std", "signal / noise", "binarisation"):
        table.add_column(name, justify="left" if name in ("noise", "site") else "right")
    names = ("weight_magnitude", "output_std", "signal_to_noise", "binarisation")
    for row in found["rows"]:
        values = ("–" if row[name] is None else f"{row[name]:.3g}" for name in names)
        table.add_row(row["kind"], f"{row['sigma']:g}", row["site"], *values)
    console.print(table)
    console.print(f"pictures and tables: {found['folder']}", highlight=False, soft_wrap=True)


@cli.command("train")
@click.option("--model", default="tfc", show_default=True)
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="", help="Kind of noise while training.")
@click.option("--sigma", default=None, type=float, help="Its level; default: 8 if quantised.")
@click.option("--sites", default="", help="Where: conv0.acc,fc0.acc=4; default: where a walk goes.")
@click.option("--spread", default=0.0, help="By how much σ changes from step to step, as a share.")
@click.option("--epochs", default=60, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--lr", default=None, type=float, help="Adam's step size at the start.")
@click.option("--batch", default=None, type=int, help="Images a step.")
@click.option("--clamp/--no-clamp", default=None, help="Hold weights in −1..1.")
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


@cli.command("bench-walk")
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
    from flow import bench_walk as benchmark
    from flow.software_job import Settings

    found = benchmark.run(Settings(**options))
    table = Table(title=f"{options['model']}, {found.points} points of {found.images:,} images")
    for name in ("way", "seconds", "times faster"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for way, seconds in (
        (f"a full forward a point ({found.timed} points timed)", found.straightforward),
        ("the same points, ours", found.grid),
        (f"walk, searched levels ({found.searched_images:,} noisy images)", found.searched),
    ):
        table.add_row(way, f"{seconds:.1f}", f"{found.straightforward / seconds:.1f}")
    console.print(table)
    console.print(
        f"accuracies differ beyond 95 % of sampling error at {found.differing} of {found.timed} "
        f"points (5 % would by chance), by {100 * found.largest:.2f} % at most; widest interval of "
        f"μ: ± {100 * found.widest:.1f} %; memory {found.memory:.2f} GB",
        highlight=False,
        soft_wrap=True,
    )


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
    from flow.report import further_sentence, power_sentence

    images = summary["images"]
    table = Table(title=f"{summary['model']} on {summary['dataset']}, {summary['noise']} noise")
    table.add_column("site")
    for column in (
        f"μ software (n={images['software']})",
        f"μ golden (n={images['golden']})",
        "golden / software",
        f"μ RTL (n={images['rtl']})",
    ):
        table.add_column(column, justify="right")
    table.add_column("verdict", no_wrap=True)
    for site, entry in summary["sites"].items():
        table.add_row(
            site,
            *(_interval(entry[name]) for name in ("mu_sw", "mu_hw", "ratio", "mu_rtl")),
            entry["verdict"],
        )
    console.print(table)
    if summary["ablation"]:
        _print_ablation(summary["ablation"])
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
    for said in (power_sentence(summary), further_sentence(summary)):
        console.print(said, highlight=False)
    console.print(f"verdict: {summary['verdict']}", highlight=False)
    total = summary["seconds"]["total"]
    console.print(f"{total:.0f} s; report: {summary['report']}", highlight=False, soft_wrap=True)


def _print_ablation(ablation: dict[str, Any]) -> None:
    table = Table(title="from software to RTL, one step at a time")
    for name in ("site", "step", "μ before", "μ after", "after / before", "moved"):
        table.add_column(name, justify="right" if "/" in name or "μ" in name else "left")
    for site, entry in ablation.items():
        for step in entry["steps"]:
            mu = (_interval(step[name]) for name in ("mu_before", "mu_after"))
            ratio = (
                "–" if step["ratio"] is None else "{:.3f} [{:.3f}, {:.3f}]".format(*step["ratio"])
            )
            table.add_row(site, step["step"], *mu, ratio, "yes" if step["moved"] else "no")
    console.print(table)
    for site, entry in ablation.items():
        console.print(f"{site}: {entry['sentence']}", highlight=False)


def _print_executions(found: dict[str, Any]) -> None:
    means = sorted({row["mean"] for row in found["rows"]})
    table = Table(
        title=f"{found['model']} on {found['dataset']}: accuracy, {found['noise']} noise of "
        f"σ = {found['sigma']:.3g}, n = {found['images']} × {found['draws']}"
    )
    table.add_column("mean executions")
    for mean in means:
        table.add_column(f"{mean:g}", justify="right")
    cells: dict[str, list[str]] = {}
    for row in found["rows"]:
        half = (row["hi"] - row["lo"]) / 2
        cells.setdefault(row["strategy"], []).append(f"{row['accuracy']:.4f} ± {half:.4f}")
    for strategy, values in cells.items():
        table.add_row(strategy, *values)
    console.print(table)
    console.print(f"pictures and tables: {found['folder']}", highlight=False, soft_wrap=True)


def _print_walk(found: dict[str, Any]) -> None:
    accuracy, low, high = (100 * part for part in found["accuracy"]["software"])
    for kind, walked in found["kinds"].items():
        table = Table(title=f"{found['model']} on {found['dataset']}, {kind} noise")
        for name in ("site", "μ", "k", "misfit", "images", "draws", "levels", "ended"):
            table.add_column(name, justify="left" if name in ("site", "ended") else "right")
        for site, entry in walked["sites"].items():
            k = "–" if entry["k_sw"] is None else f"{entry['k_sw']:.2f}"
            misfit = "–" if entry["misfit"] is None else f"{100 * entry['misfit']:.1f} %"
            counts = (str(v) for v in (entry["images"], entry["draws"], len(entry["levels"])))
            table.add_row(site, _interval(entry["mu_sw"]), k, misfit, *counts, entry["ended"])
        console.print(table)
    console.print(
        f"without noise {accuracy:.2f} % [{low:.2f}, {high:.2f}], n={found['images']['software']}; "
        f"{found['images_evaluated']:,} noisy images, {found['seconds']['total']:.0f} s; "
        f"results: {found['folder']}",
        highlight=False,
        soft_wrap=True,
    )


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
