"""The ``dynamics`` command: train at each noise level, and see what that did to every layer."""

import time
from dataclasses import asdict
from typing import Any

import pandas as pd

from flow import data, models
from flow.callbacks import ProgressCallback
from flow.experiments.settings import DynamicsSettings
from flow.files import replacing, write_json
from flow.noise import Noise
from flow.report.plots import dynamics
from flow.training import checkpoint
from flow.training.layer_statistics import layer_statistics
from flow.training.trainer import train_once

IMAGES = 1000
"""Test images behind the statistics of a layer."""


def run(
    settings: DynamicsSettings, progress: ProgressCallback, command: str = ""
) -> dict[str, Any]:
    """Train, measure, and write ``dynamics.csv``, ``dynamics.json`` and a picture for each kind.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it, for the summary.

    Returns:
        what ``dynamics.json`` holds.

    Raises:
        UserError: something the user can mend; networks trained are kept.
    """
    started = time.monotonic()
    model = models.resolve(settings.model)
    folder = settings.out or settings.build / "dynamics" / f"{model}-{settings.dataset}"
    known = data.dataset(settings.dataset)
    sites = models.build(model, known.image_shape, known.classes).walk_sites
    images = data.load(settings.dataset, "test", IMAGES)
    levels = [0.0, *(level for level in settings.levels if isinstance(level, float))]
    rows: list[dict[str, Any]] = []
    total = len(settings.kinds) * len(levels)
    for setting in settings.kinds:
        for sigma in levels:
            progress("training", len(rows) // len(sites), total)
            noise: dict[str, Noise] = dict.fromkeys(sites, setting.noise(sigma)) if sigma else {}
            path = train_once(
                folder / "networks", model, settings.dataset, noise, settings.epochs,
                seed=settings.seed,
            )  # fmt: skip
            network, metadata = checkpoint.load(path, model)
            inputs = data.to_input(images.images, network.image_shape)
            rows += [
                {
                    "kind": setting.kind,
                    "sigma": sigma,
                    **asdict(statistics),
                    "accuracy": metadata.accuracy,
                    "noisy_accuracy": metadata.noisy_accuracy,
                    "n": metadata.n,
                }
                for statistics in layer_statistics(network, inputs, noise, seed=settings.seed)
            ]
    progress("training", total, total)
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
