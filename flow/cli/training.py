"""Commands that train networks."""

from typing import TYPE_CHECKING

from flow.cli.options import bars, command, command_line, console, show

if TYPE_CHECKING:
    from flow.experiments.settings import DynamicsSettings
    from flow.training.settings import TrainingOptions


@command("dynamics", "flow.experiments.settings:DynamicsSettings")
def dynamics(settings: "DynamicsSettings") -> None:
    """Train at each noise level. Show how weights, outputs and activations change.

    Example: noisewalk dynamics --model float-mlp --dataset mnist
    """
    from flow.cli.printing import walk_tables
    from flow.experiments import dynamics as experiment

    with bars() as progress:
        found = experiment.run(settings, progress, command_line())
    show(found, walk_tables.print_dynamics)


@command("train", "flow.training.settings:TrainingOptions", json=False)
def train(options: "TrainingOptions") -> None:
    """Train a network, with or without noise. A stopped training resumes.

    Example: noisewalk train --model tfc-w2a2 --noise additive --sigma 8
    """
    from flow.cli.printing import training

    training.run(console, options)
