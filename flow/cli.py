"""The command line: only this module prints."""

import functools
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from flow.errors import UserError
from flow.hush import hush
from flow.progress import Bars
from sim.runner import SimulationError

if TYPE_CHECKING:
    from flow.doctor import Finding
    from flow.engine import Engine
    from flow.study_status import Status

console = Console()
errors = Console(stderr=True)

_PATH = click.Path(path_type=Path)
_BUILD = Path("build")
"""Folder for results."""


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


def _engine_options(command: Callable) -> Callable:
    """Add what may be said of where the work is done; the command takes an engine."""

    @click.option("--jobs", type=int, help="Worker processes; default: the cores.")
    @click.option("--scheduler", default="", help="Of a Dask cluster: tcp://…, or slurm.")
    @functools.wraps(command)
    def with_engine(*, jobs: int | None, scheduler: str, **options: Any) -> None:
        from flow.engine import Cluster

        workers = len(os.sched_getaffinity(0)) if jobs is None else jobs
        with Cluster(workers, scheduler, tell=_say) as engine:
            command(engine=engine, **options)

    return with_engine


def _to_stderr(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    console.stderr = wanted


_json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_to_stderr,
    help="Print the result as JSON, and all else to stderr.",
)


def _show(found: Any, show: Callable[[Console, Any], None]) -> None:
    """Print a result as the user wants it."""
    if console.stderr:
        click.echo(json.dumps(found, default=str, ensure_ascii=False))
    else:
        show(console, found)


def _command() -> str:
    """Return what the user typed."""
    return shlex.join(["noisewalk", *sys.argv[1:]])


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Tell what goes on.")
def cli(verbose: bool) -> None:
    """Which layer of a quantised network breaks first under noise, in software and in RTL?"""
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    hush()


def _filed(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with a network in Python exported to a file, which runs the user's code."""
    from flow import data
    from flow.models import factory

    if not factory.is_factory(options["model"]):
        return options
    shape = data.dataset(options["dataset"]).image_shape
    return options | {"model": factory.exported(options["model"], shape, _BUILD / "own")}


@cli.command("check")
@click.option("--model", required=True, help="Network: net.onnx, or file.py:factory.")
@click.option("--dataset", required=True, help="A known one, a folder of images, or an .npz.")
def check(**options: Any) -> None:
    """Tell whether a network fits, node by node, and what to change where it does not.

    Example: noisewalk check --model mynet.onnx --dataset myset.npz
    """
    from flow import check_command

    check_command.run(console, **_filed(options))


@cli.command("walk-hw")
@click.option("--model", default="tfc", show_default=True, help="Network: tfc-w2a2, net.onnx, …")
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
@_engine_options
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
@click.option(
    "--scope",
    default="full",
    show_default=True,
    help="What RTL simulates at a noisy site: full, the network; site, what noise can reach.",
)
@_json_option
def walk_hw(engine: "Engine", **options: Any) -> None:
    """Walk noise through a network in software and in its RTL, and compare.

    Example: noisewalk walk-hw --model tfc --noise additive
    """
    # torch, brevitas and FINN take seconds to import, --help should not
    from flow import job, tables, training_command
    from flow.walk_settings import Settings

    settings = Settings(**_filed(options))
    training_command.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        summary = job.walk_hw(settings, tell, _command(), engine)
    _show(summary, tables.print_summary)
    if summary["failures"]:
        sys.exit(1)


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
@_json_option
def walk(**options: Any) -> None:
    """Walk noise through a network in software: the midpoint of each site, and of all at once.

    Example: noisewalk walk --model float-lenet5-bn --dataset cifar10
    """
    from flow import software_job, tables

    settings = software_job.Settings(**_filed(options))
    with Bars(console) as tell:
        found = software_job.walk(settings, tell, _command())
    _show(found, tables.print_walk)


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
@_json_option
def multi_exec(sigma: float | None, budgets: str, draws: int, **options: Any) -> None:
    """Execute noisy layers several times: spend equal budgets in every way, and compare.

    Walks the network first, unless that is done. A layer's k executions are averaged.

    Example: noisewalk multi-exec --model float-lenet5-bn --dataset cifar10
    """
    from flow import multi_execution, software_job, tables

    walk_settings = software_job.Settings(**_filed(options))
    settings = multi_execution.Settings(walk_settings, budgets, sigma, draws)
    with Bars(console) as tell:
        found = multi_execution.run(settings, tell, _command())
    _show(found, tables.print_executions)


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
@_engine_options
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@_json_option
def multi_exec_hw(engine: "Engine", repeats: str, sigma: float | None, **options: Any) -> None:
    """Repeat noisy executions in hardware: accuracy over cycles per image, golden and RTL.

    Example: noisewalk multi-exec-hw --model tfc --repeats 1,4,16
    """
    from flow import repeats as repetition
    from flow import tables, training_command
    from flow.walk_settings import Settings

    settings = Settings(**_filed(options))
    chosen = repetition.Settings(settings, repeats, sigma)
    training_command.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = repetition.run(chosen, tell, _command(), engine)
    _show(found, tables.print_repeats)


@cli.command("soc")
@click.option("--model", default="tfc", show_default=True, help="Network: tfc-w2a2, net.onnx, …")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--cycles", default=None, type=int, help="Cycles an image, for the folding.")
@click.option("--fps", default=None, type=float, help="Images a second at 200 MHz, likewise.")
@click.option("--folding", default="", help="FINN folding file, in place of such a target.")
@click.option("--mvu", default="lut", show_default=True, help="Matrix-vector unit: lut or dsp.")
@_json_option
def soc(**options: Any) -> None:
    """Build a network's accelerator with a microcontroller that drives it, and its firmware.

    Example: noisewalk soc --model tfc
    """
    from flow import training_command
    from flow.soc import command
    from flow.walk_settings import Settings

    settings = Settings(**_filed(options))
    training_command.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = command.make(settings, tell)
    _show(found, command.print_system)


@cli.command("walk-soc")
@click.option("--model", default="tfc", show_default=True, help="Network: tfc-w2a2, net.onnx, …")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@_noise_options
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--images", default=None, type=int, help="For finding levels; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="Of a point; default: 128 or 64.")
@click.option("--sites", default="", help="As fc0.acc,fc1.act; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@_engine_options
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@click.option("--cycles", default=None, type=int, help="Cycles an image, for the folding.")
@click.option("--fps", default=None, type=float, help="Images a second at 200 MHz, likewise.")
@click.option("--folding", default="", help="FINN folding file, in place of such a target.")
@click.option("--mvu", default="lut", show_default=True, help="Matrix-vector unit: lut or dsp.")
@_json_option
def walk_soc(engine: "Engine", **options: Any) -> None:
    """Walk noise by firmware on the simulated system, and compare with golden and walk-hw.

    Example: noisewalk walk-soc --model tfc
    """
    from flow import training_command
    from flow.soc import command, walk
    from flow.walk_settings import Settings

    settings = Settings(**_filed(options))
    training_command.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = walk.run(settings, tell, _command(), engine)
    _show(found, command.print_walk)
    if found["bit_mismatches"] or found["unlike_walk_hw"]:
        sys.exit(1)


@cli.command("vote-soc")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
@_noise_options
@click.option("--votes", default="1,3,5,9,17", show_default=True, help="Executions at most, each.")
@click.option("--sigma", default=None, type=float, help="Of an execution; default: μ of a site.")
@click.option("--images", default=None, type=int, help="In the golden model; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="On the system; default: 32.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@_engine_options
@click.option("--training-noise", default="", help="Kind the checkpoint was trained with.")
@click.option("--checkpoint", default="", help="A checkpoint file in place of the zoo's.")
@_json_option
def vote_soc(engine: "Engine", votes: str, sigma: float | None, **options: Any) -> None:
    """Let images vote over noisy executions: accuracy over executions, golden and system.

    Example: noisewalk vote-soc --model tfc --votes 1,5,17
    """
    from flow import training_command
    from flow.soc import command, voting
    from flow.walk_settings import Settings

    settings = voting.Settings(Settings(**_filed(options)), votes, sigma)
    training_command.ensure_checkpoint(settings.walk, console)
    with Bars(console) as tell:
        found = voting.run(settings, tell, _command(), engine)
    _show(found, command.print_votes)
    if found["unlike_golden"]:
        sys.exit(1)


@cli.command("robustness")
@click.option("--model", default="tfc", show_default=True, help="Network, such as tfc-w2a2.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive", show_default=True, help="Kind of noise that walks.")
@_noise_options
@click.option("--images", default=None, type=int, help="In software, a point; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="In RTL, a point; default: 128 or 64.")
@click.option("--sites", default="", help="With commas between; default: every .acc site.")
@click.option("--seed", default=0, show_default=True)
@_engine_options
@click.option("--budget", default=0.0, show_default=True, help="Minutes for further noise draws.")
@_json_option
def robustness(engine: "Engine", **options: Any) -> None:
    """Walk a network's clean and noise-trained checkpoints: does what was learned arrive in RTL?

    Example: noisewalk robustness --model tfc --noise additive
    """
    from flow import robustness as comparison
    from flow import tables
    from flow.walk_settings import Settings

    settings = Settings(**_filed(options))
    with Bars(console) as tell:
        found = comparison.run(settings, tell, _command(), engine)
    _show(found, tables.print_robustness)


@cli.command("dynamics")
@click.option("--model", required=True, help="Network, such as float-mlp.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive,multiplicative", show_default=True, help="Kinds.")
@click.option("--levels", default="0.25,0.5,1,2,4", show_default=True, help="σ of training.")
@click.option("--epochs", default=10, show_default=True, help="Of each training.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default=None, type=_PATH, help="Results folder.")
@_json_option
def dynamics(**options: Any) -> None:
    """Train at each noise level: what happens to weights, outputs, signal-to-noise, activations?

    Example: noisewalk dynamics --model float-mlp --dataset mnist
    """
    from flow import learning, tables

    settings = learning.Settings(**options)
    with Bars(console) as tell:
        found = learning.run(settings, tell, _command())
    _show(found, tables.print_dynamics)


@cli.group("study")
def study() -> None:
    """Many jobs, named in one YAML file: do them, see how they stand, put them together."""


_STUDY = click.argument("file", type=_PATH)


@study.command("run")
@_STUDY
@_engine_options
def study_run(engine: "Engine", file: Path) -> None:
    """Do the runs of a study that are not done; one that was stopped goes on where it was.

    Example: noisewalk study run studies/digits.yaml
    """
    from flow import study as studies
    from flow import study_report, tables

    found = studies.read(file, _BUILD)
    with Bars(console) as tell:
        failed = studies.run_study(found, tell, engine, lambda run: _say(tables.line_of_run(run)))
    _say(f"report: {study_report.write(found, _BUILD / 'points')}")
    if failed:
        sys.exit(1)


@study.command("status")
@_STUDY
@_json_option
def study_status_(file: Path) -> None:
    """Tell how each run of a study stands, in a second or two, while it runs or after.

    Example: noisewalk study status studies/digits.yaml
    """
    from flow import study_status

    folder = _BUILD / "studies" / file.stem
    runs = study_status.index_of(file, folder)
    if runs is None:
        # new or changed: this needs to know what every command takes
        from flow import study as studies

        runs = studies.read(file, _BUILD).index
    states = study_status.status(runs, folder, _BUILD / "points")
    _show([asdict(state) for state in states], lambda *_: _print_status(states))


def _print_status(states: "Sequence[Status]") -> None:
    table = Table("run", "state", "points stored / planned")
    for state in states:
        counts = (f"{side} {n} / {total}" for side, (n, total) in state.points.items())
        table.add_row(state.name, state.ended, ", ".join(counts) or "–")
    console.print(table)
    for state in states:
        if state.message:
            _say(f"{state.name}: {state.message}")
    _say(f"{sum(state.ended == 'done' for state in states)} of {len(states)} runs done")


@study.command("report")
@_STUDY
def study_report_(file: Path) -> None:
    """Put the finished runs of a study into one table, one picture and one page.

    Example: noisewalk study report studies/digits.yaml
    """
    from flow import study as studies
    from flow import study_report

    _say(f"report: {study_report.write(studies.read(file, _BUILD), _BUILD / 'points')}")


@cli.command("report")
@click.argument("folders", nargs=-1, required=True, type=_PATH)
@click.option("--out", default=None, type=_PATH, help="The page that compares several walks.")
def report(folders: tuple[Path, ...], out: Path | None) -> None:
    """Write the report of a finished walk anew, or one page that compares several.

    Nothing is measured. Of one folder, report.html and the pictures in it are written.

    Example: noisewalk report build/walk-hw/tfc-w2a2-fashion-mnist
    """
    from flow import comparison_page, results

    walks = [results.Finished.read(folder) for folder in folders]
    if len(walks) == 1:
        if out is not None:
            raise UserError("--out is for the page of several walks: give more folders")
        _say(f"report: {results.write_report(walks[0])}")
        return
    page = out or _BUILD / "comparison.html"
    comparison_page.write(page, walks)
    _say(f"report: {page}")


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
@click.option("--walk-model", default="float-lenet5-bn", show_default=True, help="In software.")
@click.option("--walk-dataset", default="cifar10", show_default=True, help="Of that walk.")
@click.option("--walk-images", default=1000, show_default=True, help="Of that walk.")
def bench(
    rounds: int, walk_model: str, walk_dataset: str, walk_images: int, **options: Any
) -> None:
    """Measure every speed, each way beside its rivals, and store the table as JSON.

    Example: noisewalk bench --model tfc
    """
    from flow import bench_all, software_job
    from flow.walk_settings import Settings

    settings = Settings(**_filed(options))
    walk = software_job.Settings(walk_model, walk_dataset, images=walk_images, seeds=1)
    found = bench_all.run(settings, walk, rounds)
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
        _say(f"not measured: {name}: {reason}")
    path = settings.build / "bench" / f"{settings.model}-{settings.dataset}.json"
    found.store(path, model=settings.model, dataset=settings.dataset, rounds=rounds)
    _say(f"results: {path}")


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
    from flow import tables
    from flow.software_job import Settings

    found = benchmark.run(Settings(**options))
    tables.print_bench_walk(console, options["model"], found)


@cli.command("doctor")
@_json_option
def doctor() -> None:
    """Tell what is installed, what is missing, and how to get it; status 1 if it is needed.

    Example: noisewalk doctor
    """
    from flow import doctor as examination

    findings = list(examination.examine())
    lacking = [one.name for one in findings if one.needed and one.missing]
    _show([asdict(one) for one in findings], lambda *_: _print_findings(findings, lacking))
    if lacking:
        sys.exit(1)


def _print_findings(findings: "Sequence[Finding]", lacking: Sequence[str]) -> None:
    table = Table("what", "found", "for", "how to get it")
    for one in findings:
        lack = "[bold red]missing[/]" if one.needed else "not there"
        remedy = one.remedy if one.missing else ""
        table.add_row(one.name, _escaped(one.found) or lack, one.use, remedy)
    console.print(table)
    _say(f"missing: {', '.join(lacking)}" if lacking else "all that is needed is there")


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and options.

    Example: noisewalk completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "noisewalk", "_NOISEWALK_COMPLETE").source())


def main() -> None:
    """Run the command line; a user's mistake is one message and status 2."""
    try:
        cli(prog_name="noisewalk", standalone_mode=False)
    except UserError as error:
        errors.print(f"[bold red]error:[/] {_escaped(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except SimulationError as error:
        errors.print(_escaped(str(error)), highlight=False, soft_wrap=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        errors.print(
            "interrupted: what was finished is kept; the same command goes on where it was"
        )
        sys.exit(130)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
