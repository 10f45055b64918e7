"""Commands that show the accelerator of a network."""

from typing import TYPE_CHECKING

from flow.cli.options import bars, command, console, show

if TYPE_CHECKING:
    from flow.experiments.settings import SynthesisSettings
    from flow.walks.settings import AcceleratorSettings


@command("compile", "flow.walks.settings:AcceleratorSettings")
def compile_(settings: "AcceleratorSettings") -> None:
    """Compile a network to RTL. Show the accelerator's nodes and the folder of the RTL.

    Example: noisewalk compile --model tfc --fps 100000
    """
    from flow.cli.printing import compile, training

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = compile.run(settings, progress)
    show(found, compile.show)


@command("synth", "flow.experiments.settings:SynthesisSettings")
def synth(settings: "SynthesisSettings") -> None:
    """Count the FPGA resources of each node. Yosys synthesises it, without vendor tools.

    Example: noisewalk synth --model tfc
    """
    from flow.cli.printing import synth, training

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = synth.run(settings, progress)
    show(found, synth.show)
