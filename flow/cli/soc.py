"""Commands of a system on chip: a microcontroller that drives the accelerator."""

import sys
from typing import TYPE_CHECKING

from flow.cli.options import bars, command, command_line, console, show

if TYPE_CHECKING:
    from flow.experiments.settings import SocWalkSettings, VoteSettings
    from flow.walks.engine.engine import Engine
    from flow.walks.settings import AcceleratorSettings


@command("soc", "flow.walks.settings:AcceleratorSettings")
def soc(settings: "AcceleratorSettings") -> None:
    """Build a system of accelerator, microcontroller and firmware.

    Example: noisewalk soc --model tfc
    """
    from flow.cli.printing import soc as system
    from flow.cli.printing import training

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = system.make(settings, progress)
    show(found, system.print_system)


@command("walk-soc", "flow.experiments.settings:SocWalkSettings", engine=True)
def walk_soc(settings: "SocWalkSettings", engine: "Engine") -> None:
    """Walk noise by firmware on the simulated system. Compare it with golden and walk-hw.

    Example: noisewalk walk-soc --model tfc
    """
    from flow.cli.printing import soc as system
    from flow.cli.printing import training
    from flow.fpga.board_walk import SimulatedBoard
    from flow.soc import walk

    bench = SimulatedBoard.of(settings) if settings.board else walk.JobInMemory()
    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = walk.run(settings, progress, command_line(), engine, bench)
    show(found, system.print_walk)
    if found["bit_mismatches"] or found["unlike_walk_hw"]:
        sys.exit(1)


@command("vote-soc", "flow.experiments.settings:VoteSettings", engine=True)
def vote_soc(settings: "VoteSettings", engine: "Engine") -> None:
    """Let noisy executions vote on each image. Show accuracy over executions.

    Example: noisewalk vote-soc --model tfc --votes 1,5,17
    """
    from flow.cli.printing import soc as system
    from flow.cli.printing import training
    from flow.soc import voting

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = voting.run(settings, progress, command_line(), engine)
    show(found, system.print_votes)
    if found["unlike_golden"]:
        sys.exit(1)
