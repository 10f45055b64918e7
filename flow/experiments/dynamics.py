"""The ``dynamics`` command: train at each noise level, and see what that did to every layer."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from flow import data, models
from flow.callbacks import ProgressCallback
from flow.data.sets import ImageSet
from flow.device import find
from flow.experiments.settings import DynamicsSettings
from flow.files import replacing, write_json
from flow.models import Network
from flow.noise import Noise
from flow.report.plots import dynamics
from flow.training import checkpoint
from flow.training.layer_statistics import layer_statistics
from flow.training.trainer import train_once

IMAGES = 1000
"""Number of test images behind the statistics of a layer."""


def run(
    settings: DynamicsSettings, progress: ProgressCallback, command: str = ""
) -> dict[str, Any]:
    """Train, measure, and write ``dynamics.csv``, ``dynamics.json`` and a picture for each kind.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it, for the summary.

    Returns:
        The content of ``dynamics.json``.

    Raises:
        UserError: something the user can mend; trained networks are kept.
    """
    started = time.monotonic()
    model = models.resolve(settings.model)
    folder = settings.out or settings.build / "dynamics" / f"{model}-{settings.dataset}"
    known = data.dataset(settings.dataset)
    sites = models.build(model, known.image_shape, known.classes).walk_sites
    images = data.load(settings.dataset, "test", IMAGES)
    levels = [0.0, *(settings.levels if isinstance(settings.levels, tuple) else ())]
    runs = [(setting, sigma) for setting in settings.kinds for sigma in levels]
    rows: list[dict[str, Any]] = []
    for number, (setting, sigma) in enumerate(runs):
        progress("training", number, len(runs))
        noise: dict[str, Noise] = dict.fromkeys(sites, setting.noise(sigma)) if sigma else {}
        path = train_once(
            folder / "networks", model, settings.dataset, noise, settings.epochs,
            seed=settings.seed, device=find(settings.device),
        )  # fmt: skip
        known_by = {"kind": setting.kind, "sigma": sigma}
        found = _layer_rows(checkpoint.load(path, model), images, noise, settings.seed)
        rows += [known_by | row for row in found]
    progress("training", len(runs), len(runs))
    table = pd.DataFrame(rows)
    result = {
        "model": model,
        "dataset": settings.dataset,
        "epochs": settings.epochs,
        "seed": settings.seed,
        "images": len(images),
        "rows": table.astype(object).where(table.notna(), None).to_dict("records"),
        "command": command,
        "folder": str(folder),
        "seconds": round(time.monotonic() - started, 2),
    }
    with replacing(folder / "dynamics.csv") as temporary:
        table.to_csv(temporary, index=False)
    write_json(folder / "dynamics.json", result)
    dynamics.write(folder, result, table)
    return result


def _layer_rows(
    trained: tuple[Network, checkpoint.Metadata],
    images: ImageSet,
    noise: Mapping[str, Noise],
    seed: int,
) -> list[dict[str, Any]]:
    """Return the statistics of each layer of a trained network, with the network's accuracy."""
    network, metadata = trained
    inputs = data.to_input(images.images, network.image_shape)
    return [
        {
            **asdict(statistics),
            "accuracy": metadata.accuracy,
            "noisy_accuracy": metadata.noisy_accuracy,
            "n": metadata.n,
        }
        for statistics in layer_statistics(network, inputs, noise, seed=seed)
    ]
