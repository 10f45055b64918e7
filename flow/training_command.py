"""Training as the command line shows it: how long it will take, a bar, the result."""

import logging
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from flow import checkpoint, compile, data, models, train
from flow.errors import UserError
from flow.job import Settings
from flow.noise import Noise

log = logging.getLogger(__name__)

EPOCHS = 60
NOISE_LEVEL = 8.0
"""σ of noise-trained networks of the zoo, in the unit of the accumulators."""


def run(
    console: Console,
    *,
    model: str,
    dataset: str,
    noise: str = "",
    sigma: float = 0.0,
    epochs: int = EPOCHS,
    seed: int = 0,
    lr: float = train.LR,
    start: Path | None = None,
    precision: str = "float32",
    out: Path | None = None,
) -> Path:
    """Train a network and tell about it; the arguments are those of `train.train`."""
    if sigma and not noise:
        raise UserError("a noise level was given without its kind: add --noise additive")
    settings = Noise.at(noise, sigma or NOISE_LEVEL) if noise else None
    seconds = train.estimated_seconds(model, dataset, epochs, noise=settings, precision=precision)
    console.print(
        f"training {models.resolve(model)} on {dataset}, {epochs} epochs: "
        f"about {max(1, round(seconds / 60))} min",
        highlight=False,
    )
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("training", total=epochs)

        def tell(progress: train.Progress) -> None:
            bars.update(
                task,
                completed=progress.epoch,
                description=f"loss {progress.loss:.3f} accuracy {progress.accuracy:.3f}",
            )

        path = train.train(
            model,
            dataset,
            noise=settings,
            epochs=epochs,
            seed=seed,
            lr=lr,
            start=start,
            precision=precision,
            out=out,
            progress=tell,
        )
    metadata = checkpoint.load(path)[1]
    low, high = metadata.interval
    console.print(
        f"accuracy {metadata.accuracy:.4f} [{low:.4f}, {high:.4f}] on {metadata.n} images; {path}",
        highlight=False,
        soft_wrap=True,
    )
    return path


def ensure_checkpoint(settings: Settings, console: Console) -> None:
    """Train the network of a job, if no checkpoint of it is shipped or was trained before.

    Raises:
        UserError: it cannot be compiled, which is found out before the training.
    """
    noise = settings.training_noise
    if settings.checkpoint:
        return
    if checkpoint.zoo_path(settings.model, settings.dataset, noise or None) is None:
        known = data.dataset(settings.dataset)
        compile.check(models.build(settings.model, known.image_shape, known.classes))
        run(console, model=settings.model, dataset=settings.dataset, noise=noise)
