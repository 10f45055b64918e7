"""Commands that walk noise through a network, and the check whether it fits."""

import sys
from typing import TYPE_CHECKING

from flow.cli.options import bars, command, command_line, console, show, started_clock

if TYPE_CHECKING:
    from flow.experiments.budget.settings import BudgetSettings
    from flow.experiments.settings import (
        CheckSettings,
        MultiExecutionSettings,
        RepeatSettings,
        RobustnessSettings,
        SoftwareWalkSettings,
    )
    from flow.walks.engine.engine import Engine
    from flow.walks.settings import HardwareWalkSettings


@command("check", "flow.experiments.settings:CheckSettings", json=False)
def check(settings: "CheckSettings") -> None:
    """Check whether a network fits the hardware. List each node that does not fit.

    Example: noisewalk check --model mynet.onnx
    """
    from flow.cli.printing import check as printing

    printing.run(console, settings)


@command("walk-hw", "flow.walks.settings:HardwareWalkSettings", engine=True)
def walk_hw(settings: "HardwareWalkSettings", engine: "Engine") -> None:
    """Walk noise through a network in software and RTL. Compare the two at each site.

    Example: noisewalk walk-hw --model tfc --noise additive
    """
    # imported here because torch, brevitas and FINN take seconds, which --help should not
    from flow.cli.printing import training, walk_tables
    from flow.cli.printing.preliminary import PreliminaryPrinter
    from flow.experiments import hardware_walk

    clock = started_clock()
    with clock.stage("train"):
        training.ensure_checkpoint(settings, console)
    if settings.walks_bits:
        from flow.cli.printing.bits import print_bits
        from flow.experiments import bits_walk

        with bars() as progress:
            found = bits_walk.walk_hw(settings, progress, command_line(), engine, clock)
        show(found, print_bits)
        sys.exit(1 if found.failures else 0)
    with bars() as progress:
        summary = hardware_walk.walk_hw(
            settings, progress, command_line(), engine, clock, tell=PreliminaryPrinter(console)
        )
    show(summary, walk_tables.print_summary)
    if summary.failures:
        sys.exit(1)


@command("walk", "flow.experiments.settings:SoftwareWalkSettings")
def walk(settings: "SoftwareWalkSettings") -> None:
    """Walk noise through a network in software. Find the midpoint of each site and of all together.

    Example: noisewalk walk --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.cli.printing.preliminary import PreliminaryPrinter
    from flow.experiments import software_walk

    if settings.walks_bits:
        from flow.cli.printing.bits import print_bits
        from flow.experiments import bits_walk

        with bars() as progress:
            walked = bits_walk.walk(settings, progress, command_line(), started_clock())
        return show(walked, print_bits)
    with bars() as progress:
        found = software_walk.walk(
            settings, progress, command_line(), started_clock(), PreliminaryPrinter(console)
        )
    show(found, walk_tables.print_walk)


@command("multi-exec", "flow.experiments.settings:MultiExecutionSettings")
def multi_exec(settings: "MultiExecutionSettings") -> None:
    """Compare ways to distribute a budget of repeated executions over the sites.

    The network is walked first, unless a walk exists. A layer's k executions are averaged.

    Example: noisewalk multi-exec --model float-lenet5-bn --dataset cifar10
    """
    from flow.cli.printing import walk_tables
    from flow.experiments import multi_execution

    with bars() as progress:
        found = multi_execution.run(settings, progress, command_line())
    show(found, walk_tables.print_executions)


@command("multi-exec-hw", "flow.experiments.settings:RepeatSettings", engine=True)
def multi_exec_hw(settings: "RepeatSettings", engine: "Engine") -> None:
    """Repeat noisy executions in hardware. Show accuracy over cycles per image.

    Example: noisewalk multi-exec-hw --model tfc --repeats 1,4,16
    """
    from flow.cli.printing import training, walk_tables
    from flow.experiments import repeats

    training.ensure_checkpoint(settings, console)
    with bars() as progress:
        found = repeats.run(settings, progress, command_line(), engine)
    show(found, walk_tables.print_repeats)


@command("budget", "flow.experiments.budget.settings:BudgetSettings", engine=True)
def budget(settings: "BudgetSettings", engine: "Engine") -> None:
    """Find the cheapest noise, ADC bits or executions for an accuracy. Confirm the plan in RTL.

    Example: noisewalk budget --model cnv --loss 1
    """
    from flow.cli.printing import budget as printing
    from flow.cli.printing import training
    from flow.experiments.budget import run

    clock = started_clock()
    with clock.stage("train"):
        training.ensure_checkpoint(settings, console)
    with bars() as progress:
        summary = run.run(settings, progress, command_line(), engine, clock)
    show(summary, printing.print_summary)
    if summary.proof.differing:
        sys.exit(1)


@command("robustness", "flow.experiments.settings:RobustnessSettings", engine=True)
def robustness(settings: "RobustnessSettings", engine: "Engine") -> None:
    """Compare clean and noise-trained checkpoints. Each is walked in software and in RTL.

    Example: noisewalk robustness --model tfc --noise additive
    """
    from flow.cli.printing import walk_tables
    from flow.experiments.studies import robustness as comparison

    with bars() as progress:
        found = comparison.run(settings, progress, command_line(), engine)
    show(found, walk_tables.print_robustness)
