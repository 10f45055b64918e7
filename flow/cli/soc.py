"""Commands of a system on chip: a microcontroller that drives the accelerator."""

import sys
from typing import TYPE_CHECKING, Any

import click

from flow.cli.options import (
    checkpoint_options,
    console,
    engine_options,
    filed,
    folding_options,
    json_option,
    mvu_option,
    noise_options,
    show,
    typed,
)
from flow.cli.printing.progress_bars import Bars

if TYPE_CHECKING:
    from flow.walk.engine.engine import Engine

_MODEL = click.option("--model", default="tfc", show_default=True, help="Network, or its file.")
_DATASET = click.option("--dataset", default="fashion-mnist", show_default=True)
_NOISE = click.option("--noise", default="additive", show_default=True, help="Kind of noise.")
_SITES = click.option("--sites", default="", help="As fc0.acc,fc1.act; default: every .acc site.")
_SEED = click.option("--seed", default=0, show_default=True)


@click.command("soc")
@_MODEL
@_DATASET
@checkpoint_options
@folding_options
@mvu_option
@json_option
def soc(**options: Any) -> None:
    """Build a network's accelerator with a microcontroller that drives it, and its firmware.

    Example: noisewalk soc --model tfc
    """
    from flow.cli.printing import soc, training
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    training.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = soc.make(settings, tell)
    show(found, soc.print_system)


@click.command("walk-soc")
@_MODEL
@_DATASET
@_NOISE
@noise_options
@click.option("--levels", default="auto", show_default=True, help="σ, with commas between.")
@click.option("--images", default=None, type=int, help="For finding levels; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="Of a point; default: 128 or 64.")
@_SITES
@_SEED
@engine_options
@checkpoint_options
@folding_options
@mvu_option
@json_option
def walk_soc(engine: "Engine", **options: Any) -> None:
    """Walk noise by firmware on the simulated system, and compare with golden and walk-hw.

    Example: noisewalk walk-soc --model tfc
    """
    from flow.cli.printing import soc, training
    from flow.soc import walk
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    training.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = walk.run(settings, tell, typed(), engine)
    show(found, soc.print_walk)
    if found["bit_mismatches"] or found["unlike_walk_hw"]:
        sys.exit(1)


@click.command("vote-soc")
@_MODEL
@_DATASET
@_NOISE
@noise_options
@click.option("--votes", default="1,3,5,9,17", show_default=True, help="Executions at most, each.")
@click.option("--sigma", default=None, type=float, help="Of an execution; default: μ of a site.")
@click.option("--images", default=None, type=int, help="In the golden model; default: 2000.")
@click.option("--hw-images", default=None, type=int, help="On the system; default: 32.")
@_SITES
@_SEED
@engine_options
@checkpoint_options
@json_option
def vote_soc(engine: "Engine", votes: str, sigma: float | None, **options: Any) -> None:
    """Let images vote over noisy executions: accuracy over executions, golden and system.

    Example: noisewalk vote-soc --model tfc --votes 1,5,17
    """
    from flow.cli.printing import soc, training
    from flow.soc import voting
    from flow.walk.settings import Settings

    settings = voting.Settings(Settings(**filed(options)), votes, sigma)
    training.ensure_checkpoint(settings.walk, console)
    with Bars(console) as tell:
        found = voting.run(settings, tell, typed(), engine)
    show(found, soc.print_votes)
    if found["unlike_golden"]:
        sys.exit(1)
