"""Training on the command line: estimated time, progress bar and result."""

import logging
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from flow import data, models
from flow.compiler import pipeline
from flow.errors import OptionError, about
from flow.noise import Noise
from flow.training import checkpoint, trainer
from flow.training.settings import (
    TrainedSettings,
    TrainingOptions,
    TrainingSettings,
    fast_precisions,
)
from flow.training.zoo import zoo_path

log = logging.getLogger(__name__)


def run(console: Console, options: TrainingOptions) -> Path:
    """Train a network, and print its progress and result.

    Args:
        console: console to print to.
        options: the user's options.
    """
    model, dataset, recipe, precision = (
        options.model, options.dataset, options.recipe, options.precision,
    )  # fmt: skip
    noise = _noise(options)
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
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("training", total=epochs)

        def show(progress: trainer.Progress) -> None:
            bars.update(
                task,
                completed=progress.epoch,
                description=f"loss {progress.loss:.3f} accuracy {progress.accuracy:.3f}",
            )

        own = {name: getattr(options, name) for name in TrainingOptions.options()}
        del own["sigma"], own["sites"]
        path = trainer.train(**own | {"noise": noise}, progress=show)
    metadata = checkpoint.load(path)[1]
    low, high = metadata.interval
    console.print(
        f"accuracy {metadata.accuracy:.4f} [{low:.4f}, {high:.4f}] on {metadata.n} images; {path}",
        highlight=False,
        soft_wrap=True,
    )
    return path


def _noise(options: TrainingOptions) -> Noise | dict[str, Noise] | None:
    """Return the noise that the user requests for training."""
    if options.noise is None:
        return None
    level = models.recipe(options.model).sigma if options.sigma is None else options.sigma
    with about("noise"):
        if options.sites is None:
            return Noise.at(options.noise, _level(level, options.model))
        return {
            site: Noise.at(options.noise, _level(level if own is None else own, site))
            for site, own in options.sites.items()
        }


def _level(given: float | None, where: str) -> float:
    if given is None:
        raise OptionError("sigma", f"is not given, and {where} has no noise level of its own")
    return given


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
