"""Commands that train networks."""

from typing import TYPE_CHECKING, Any

import click

from flow.cli.options import PATH, console, json_option, show, typed
from flow.cli.printing.progress_bars import Bars

if TYPE_CHECKING:
    pass


@click.command("dynamics")
@click.option("--model", required=True, help="Network, such as float-mlp.")
@click.option("--dataset", default="fashion-mnist", show_default=True)
@click.option("--noise", default="additive,multiplicative", show_default=True, help="Kinds.")
@click.option("--levels", default="0.25,0.5,1,2,4", show_default=True, help="σ of training.")
@click.option("--epochs", default=10, show_default=True, help="Of each training.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default=None, type=PATH, help="Results folder.")
@json_option
def dynamics(**options: Any) -> None:
    """Train at each noise level: what happens to weights, outputs, signal-to-noise, activations?

    Example: noisewalk dynamics --model float-mlp --dataset mnist
    """
    from flow.cli.printing import walk_tables
    from flow.experiments import dynamics

    settings = dynamics.Settings(**options)
    with Bars(console) as tell:
        found = dynamics.run(settings, tell, typed())
    show(found, walk_tables.print_dynamics)


@click.command("train")
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
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Shift and mirror images; default: by set.",
)
@click.option("--start", default=None, type=PATH, help="Checkpoint to begin with, to fine-tune.")
@click.option("--precision", default="float32", show_default=True, help="Or bfloat16, if faster.")
@click.option("--out", default=None, type=PATH, help="Checkpoint file.")
def train(**options: Any) -> None:
    """Train a network, with or without noise; a run that was stopped goes on where it was.

    Example: noisewalk train --model tfc-w2a2 --noise additive --sigma 8
    """
    from flow.cli.printing import training

    training.run(console, **options)
