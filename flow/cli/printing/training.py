"""Training on the command line: estimated time, progress bar and result."""

import logging

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TimeRemainingColumn

from flow import data, models
from flow.callbacks import no_progress
from flow.compiler import pipeline
from flow.experiments import training
from flow.training import trainer
from flow.training.run import Progress
from flow.training.settings import (
    TrainedSettings,
    TrainingOptions,
    TrainingSettings,
    fast_precisions,
)
from flow.training.zoo import zoo_path

log = logging.getLogger(__name__)


def run(console: Console, options: TrainingOptions) -> None:
    """Train a network, and print its progress and result.

    Args:
        console: console to print to.
        options: the user's options.
    """
    model, dataset, recipe, precision = (
        options.model, options.dataset, options.recipe, options.precision,
    )  # fmt: skip
    noise = training.made_noise(options)
    settings = TrainingSettings.of(model, dataset, noise, options.epochs, options.seed, recipe)
    epochs = settings.epochs
    seconds = trainer.estimated_seconds(
        model, dataset, epochs, recipe=recipe, noise=noise, batch=options.batch,
        precision=precision, device=options.device,
    )  # fmt: skip
    if options.device == "cpu" and precision not in fast_precisions():
        console.print(f"this processor has no {precision} arithmetic: float32 is faster")
    console.print(
        f"training {settings.model} on {dataset}{', by the recipe paper' if recipe else ''}"
        f"{', images in 0..1' if settings.zero_to_one else ''}, {epochs} epochs: "
        f"about {max(1, round(seconds / 60))} min",
        highlight=False,
    )
    columns = (*Bars.get_default_columns()[:-1], TimeRemainingColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("training", total=epochs)

        def show(progress: Progress) -> None:
            bars.update(
                task,
                completed=progress.epoch,
                description=f"loss {progress.loss:.3f} accuracy {progress.accuracy:.3f}",
            )

        found = training.run(options, no_progress, tell=show)
    low, high = found["interval"]
    console.print(
        f"accuracy {found['accuracy']:.4f} [{low:.4f}, {high:.4f}] on {found['n']} images; "
        f"{found['file']}",
        highlight=False,
        soft_wrap=True,
    )


def ensure_checkpoint(settings: TrainedSettings, console: Console) -> None:
    """Train the network of a job, unless a bundled or earlier checkpoint exists.

    Raises:
        UserError: the network cannot be compiled, which is checked before the training.
    """
    noise = settings.training_noise
    if settings.checkpoint or models.is_custom(settings.model):
        return
    if zoo_path(settings.model, settings.dataset, noise) is None:
        known = data.dataset(settings.dataset)
        pipeline.check(models.build(settings.model, known.image_shape, known.classes))
        run(console, TrainingOptions(model=settings.model, dataset=settings.dataset, noise=noise))
