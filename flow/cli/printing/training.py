"""Training as the command line shows it: how long it will take, a bar, the result."""

import logging
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from flow import data, models
from flow.compiler import pipeline
from flow.errors import UserError
from flow.noise import Noise
from flow.training import checkpoint, trainer
from flow.training.settings import fast_precisions
from flow.training.zoo import zoo_path
from flow.walk.settings import Settings

log = logging.getLogger(__name__)

EPOCHS = 60


def run(
    console: Console,
    *,
    model: str,
    dataset: str,
    noise: str = "",
    sigma: float | None = None,
    sites: str = "",
    epochs: int = EPOCHS,
    batch: int | None = None,
    precision: str = "float32",
    **options: Any,
) -> Path:
    """Train a network and tell about it.

    Args:
        console: where to.
        model: a full or short name.
        dataset: one of the known sets.
        noise: its kind; none when empty.
        sigma: its level; the one of the network's recipe by default.
        sites: as `noise_by_site` takes them; every site of a walk when empty.
        epochs: passes over the training images.
        batch: images a step; as the network's recipe says by default.
        precision: of matrix products.
        options: further arguments of `train.train`.
    """
    settings = _noise(model, noise, sigma, sites)
    seconds = trainer.estimated_seconds(
        model, dataset, epochs, noise=settings, batch=batch, precision=precision
    )
    if precision not in fast_precisions():
        console.print(f"this processor has no products of {precision}: float32 is faster")
    console.print(
        f"training {models.resolve(model)} on {dataset}, {epochs} epochs: "
        f"about {max(1, round(seconds / 60))} min",
        highlight=False,
    )
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("training", total=epochs)

        def tell(progress: trainer.Progress) -> None:
            bars.update(
                task,
                completed=progress.epoch,
                description=f"loss {progress.loss:.3f} accuracy {progress.accuracy:.3f}",
            )

        path = trainer.train(
            model,
            dataset,
            noise=settings,
            epochs=epochs,
            batch=batch,
            precision=precision,
            progress=tell,
            **options,
        )
    metadata = checkpoint.load(path)[1]
    low, high = metadata.interval
    console.print(
        f"accuracy {metadata.accuracy:.4f} [{low:.4f}, {high:.4f}] on {metadata.n} images; {path}",
        highlight=False,
        soft_wrap=True,
    )
    return path


def _noise(
    model: str, kind: str, sigma: float | None, sites: str
) -> Noise | dict[str, Noise] | None:
    """Return the noise of training that the command line asks for."""
    if not kind:
        if sigma is not None or sites:
            raise UserError(
                "a noise level or site was given without its kind: add --noise additive"
            )
        return None
    level = models.recipe(model).sigma if sigma is None else sigma
    if sites:
        return noise_by_site(sites, kind, level)
    if level is None:
        raise _no_level(model)
    return Noise.at(kind, level)


def noise_by_site(text: str, kind: str, sigma: float | None) -> dict[str, Noise]:
    """Read sites with their levels: ``conv0.acc,fc0.acc`` or ``conv0.acc=2,fc0.acc=8``.

    Args:
        text: what the user wrote.
        kind: of noise.
        sigma: the level of sites that have none of their own.

    Raises:
        UserError: no site is named, or one twice, or a level is no number or missing.
    """
    found: dict[str, Noise] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        site, given, level = item.partition("=")
        try:
            number = float(level) if given else sigma
        except ValueError:
            raise UserError(f"'{item}': write a site and its level as conv0.acc=2") from None
        if site in found:
            raise UserError(f"site {site} is named twice: give it one level")
        if number is None:
            raise _no_level(site)
        found[site] = Noise.at(kind, number)
    if not found:
        raise UserError(f"'{text}' names no site: write sites as conv0.acc,fc0.acc=8")
    return found


def _no_level(where: str) -> UserError:
    return UserError(f"no level of the noise was given for {where}: add --sigma, or --sites x=σ")


def ensure_checkpoint(settings: Settings, console: Console) -> None:
    """Train the network of a job, if no checkpoint of it is shipped or was trained before.

    Raises:
        UserError: it cannot be compiled, which is found out before the training.
    """
    noise = settings.training_noise
    if settings.checkpoint or models.is_own(settings.model):
        return
    if zoo_path(settings.model, settings.dataset, noise or None) is None:
        known = data.dataset(settings.dataset)
        pipeline.check(models.build(settings.model, known.image_shape, known.classes))
        run(console, model=settings.model, dataset=settings.dataset, noise=noise)
