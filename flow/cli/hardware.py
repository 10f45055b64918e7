"""Commands that show the accelerator a network becomes."""

from typing import Any

import click

from flow.cli.options import (
    checkpoint_options,
    console,
    filed,
    folding_options,
    json_option,
    mvu_option,
    options,
    show,
)
from flow.cli.printing.progress_bars import Bars

accelerator_options = options(
    click.option(
        "--model", default="tfc", show_default=True, help="Network: tfc-w2a2, net.onnx, …"
    ),
    click.option("--dataset", default="fashion-mnist", show_default=True),
    click.option("--sites", default="", help="Further taps, as fc1.act,fc1.weight."),
    checkpoint_options,
    folding_options,
    mvu_option,
)
"""What decides which accelerator a network becomes."""


@click.command("compile")
@accelerator_options
@json_option
def compile_(**options: Any) -> None:
    """Compile a network to an accelerator in RTL: its nodes, and where the RTL lies.

    Example: noisewalk compile --model tfc --fps 100000
    """
    from flow.cli.printing import compile, training
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    training.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = compile.run(settings, tell)
    show(found, compile.show)


@click.command("synth")
@accelerator_options
@click.option("--nodes", default="", help="Names with commas between; default: every node.")
@click.option("--limit", default=600.0, show_default=True, help="Seconds of a synthesis.")
@json_option
def synth(nodes: str, limit: float, **options: Any) -> None:
    """Count what each node takes on an FPGA: LUTs, flip-flops, DSPs, block RAMs; open synthesis.

    Example: noisewalk synth --model tfc
    """
    from flow.cli.printing import synth, training
    from flow.walk.settings import Settings

    settings = Settings(**filed(options))
    training.ensure_checkpoint(settings, console)
    with Bars(console) as tell:
        found = synth.run(settings, nodes, limit, tell)
    show(found, synth.show)
