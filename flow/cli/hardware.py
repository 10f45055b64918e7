"""Commands that show the accelerator of a network."""

import sys
from typing import TYPE_CHECKING

from flow.cli.options import bars, command, console, show
from flow.errors import UserError

if TYPE_CHECKING:
    from flow.experiments.settings import SynthesisSettings
    from flow.fpga.settings import BoardSettings, ExportSettings, FpgaSettings
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


@command("fpga", "flow.fpga.settings:FpgaSettings")
def fpga(settings: "FpgaSettings") -> None:
    """Place and route a network for an ECP5 board. Write the bitstream; show resources and clock.

    Example: noisewalk fpga --model tfc --board ulx3s-85f
    """
    from flow.cli.printing import fpga as printed
    from flow.cli.printing import training
    from flow.fpga import run

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = run.run(settings, progress)
    show(found, printed.show)
    if found["refusal"]:
        raise UserError(found["refusal"])
    if found["netlist"] and any(found["netlist"]["differing"].values()):
        sys.exit(1)


@command("board", "flow.fpga.settings:BoardSettings")
def board(settings: "BoardSettings") -> None:
    """Run a network on a board over its serial port. Compare labels and logits with golden.

    Example: noisewalk board --model tfc --port /dev/ttyUSB0
    """
    from flow.cli.printing import fpga as printed
    from flow.cli.printing import training
    from flow.fpga import run

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = run.run_on_board(settings, progress)
    show(found, printed.show_board)
    if any(found["differing"].values()):
        sys.exit(1)


@command("export", "flow.fpga.settings:ExportSettings")
def export(settings: "ExportSettings") -> None:
    """Write an accelerator with AXI ports as a folder for FuseSoC, Vivado or a simulator.

    Example: noisewalk export --model tfc --to folder
    """
    from flow.cli.printing import fpga as printed
    from flow.cli.printing import training
    from flow.fpga import run

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = run.run_export(settings, progress)
    show(found, printed.show_export)
