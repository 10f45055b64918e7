"""The ``dynamics`` command: train at each noise level, and see what that did to every layer."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from flow import data, models
from flow.callbacks import ProgressCallback
from flow.device import find
from flow.experiments.settings import DynamicsSettings
from flow.files import replacing, write_json
from flow.models import Network
from flow.models.network import chosen_sites
from flow.noise import Noise
from flow.report.plots import dynamics
from flow.training import checkpoint
from flow.training.layer_statistics import histograms, layer_statistics
from flow.training.trainer import train_once
from flow.walks.points.noise_setting import NoiseSetting

IMAGES = 1000
"""Number of test images behind the statistics of a layer."""


def run(
    settings: DynamicsSettings, progress: ProgressCallback, command: str = ""
) -> dict[str, Any]:
    """Train, measure, and write ``dynamics`` and ``histograms``: tables, and pictures of each kind.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line, for the summary.

    Returns:
        The content of ``dynamics.json``.

    Raises:
        UserError: something the user can mend; trained networks are kept.
    """
    started = time.monotonic()
    model = models.resolve(settings.model)
    folder = _folder(settings, model)
    known = data.dataset(settings.dataset)
    network = models.build(model, known.image_shape, known.classes)
    sites = chosen_sites(settings.sites, network, network.walk_sites)
    images = data.load(settings.dataset, "test", IMAGES)
    inputs = data.to_input(images.images, network.image_shape)
    rows: list[dict[str, Any]] = []
    counts: list[pd.DataFrame] = []
    trainings = list(_trainings(settings))
    for number, (setting, sigma, seed) in enumerate(trainings):
        progress("training", number, len(trainings))
        noise: dict[str, Noise] = dict.fromkeys(sites, setting.noise(sigma)) if sigma else {}
        path = train_once(
            folder / "networks", model, settings.dataset, noise, settings.epochs, seed=seed,
            recipe=settings.recipe, clamp=settings.clamp, device=find(settings.device),
        )  # fmt: skip
        known_by = {"kind": setting.kind, "sigma": sigma, "seed": seed}
        found, metadata = checkpoint.load(path, model)
        rows += [known_by | row for row in _layer_rows(found, metadata, inputs, noise, seed)]
        counts.append(histograms(found, inputs).assign(**known_by))
    progress("training", len(trainings), len(trainings))
    table = pd.DataFrame(rows)
    result = {
        "model": model,
        "dataset": settings.dataset,
        "recipe": settings.recipe,
        "image_range": [0, 1] if found.zero_to_one else None,
        "clamp": settings.clamp,
        "sites": sites,
        "epochs": settings.epochs,
        "seed": settings.seed,
        "seeds": settings.seeds,
        "images": len(images),
        "rows": table.astype(object).where(table.notna(), None).to_dict("records"),
        "command": command,
        "folder": str(folder),
        "seconds": round(time.monotonic() - started, 2),
    }
    _write(folder, result, table, pd.concat(counts, ignore_index=True))
    return result


def _folder(settings: DynamicsSettings, model: str) -> Path:
    recipe = f"-recipe-{settings.recipe}" if settings.recipe else ""
    name = f"{model}-{settings.dataset}{recipe}"
    return settings.out or settings.build / "dynamics" / name


def _write(
    folder: Path, result: dict[str, Any], table: pd.DataFrame, counted: pd.DataFrame
) -> None:
    """Write tables, summary and pictures."""
    with replacing(folder / "dynamics.csv") as temporary:
        table.to_csv(temporary, index=False)
    with replacing(folder / "histograms.parquet") as temporary:
        counted.to_parquet(temporary, index=False)
    write_json(folder / "dynamics.json", result)
    dynamics.write(folder, result, table, counted)


def _trainings(settings: DynamicsSettings) -> Iterator[tuple[NoiseSetting, float, int]]:
    """Yield kind, σ and seed of every training; those without noise serve every kind."""
    levels = [0.0, *(settings.levels if isinstance(settings.levels, tuple) else ())]
    for setting in settings.kinds:
        for sigma in levels:
            for seed in range(settings.seed, settings.seed + settings.seeds):
                yield setting, sigma, seed


def _layer_rows(
    network: Network,
    metadata: checkpoint.Metadata,
    inputs: Tensor,
    noise: Mapping[str, Noise],
    seed: int,
) -> list[dict[str, Any]]:
    """Return the statistics of each layer of a trained network, with the network's accuracy."""
    return [
        {
            **asdict(statistics),
            "accuracy": metadata.accuracy,
            "noisy_accuracy": metadata.noisy_accuracy,
            "n": metadata.n,
        }
        for statistics in layer_statistics(network, inputs, noise, seed=seed)
    ]
