"""Does robustness that was learned in software arrive in the hardware?

The same noise walks through a network that was trained clean and through its noise-trained
checkpoints, in software and in RTL. Of each site: μ on both sides, and by how much training with
noise raised it. Two networks differ in every image, so the interval of that ratio is put together
from those of both μ, as if they were independent.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flow.callbacks import ProgressCallback, prefixed
from flow.errors import UserError
from flow.experiments import hardware_walk
from flow.experiments.settings import RobustnessSettings
from flow.files import write_json
from flow.noise import CLEAN, KINDS
from flow.statistics.estimate import Estimate
from flow.training.zoo import zoo_path
from flow.walks.engine.engine import Engine
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import HardwareWalkSummary


def trainings(model: str, dataset: str) -> list[str]:
    """Return the kinds of noise that a network's checkpoints were trained with, clean first.

    Raises:
        UserError: there is no clean checkpoint, or none trained with noise.
    """
    found = [kind for kind in KINDS if zoo_path(model, dataset, kind) is not None]
    if not found or zoo_path(model, dataset) is None:
        raise UserError(
            f"{model} on {dataset} needs a clean checkpoint and one trained with noise: train them "
            "with `noisewalk train`"
        )
    return [CLEAN, *found]


def run(
    settings: RobustnessSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Walk every checkpoint, and compare.

    Args:
        settings: settings of the walks, without the noise of the training.
        progress: called with the progress.
        command: the command line.
        engine: runs the work; this process if not given.

    Returns:
        what ``robustness.json`` holds.

    Raises:
        UserError: as for `trainings` and `flow.experiments.hardware_walk.walk_hw`.
    """
    summaries = {}
    for name in trainings(settings.model, settings.dataset):
        out = settings.out and settings.out / name
        trained = {"training_noise": None if name == CLEAN else name, "out": out}
        own = HardwareWalkSettings(**dict(settings) | trained)
        tell_of = partial(prefixed, progress, name)
        summaries[name] = hardware_walk.walk_hw(own, tell_of, command, engine)
    table = compare(summaries)
    folder = settings.out or Path(summaries[CLEAN].report or "").parent
    result = {
        "model": summaries[CLEAN].model,
        "dataset": settings.dataset,
        "noise": settings.noise,
        "images": summaries[CLEAN].images,
        "measure": summaries[CLEAN].measure,
        "clean": {name: list(found.clean["golden"]) for name, found in summaries.items()},
        "verdicts": {name: found.verdict for name, found in summaries.items()},
        "bit_mismatches": {name: found.rtl.bit_mismatches for name, found in summaries.items()},
        "rows": table.to_dict("records"),
        "command": command,
        "folder": str(folder),
    }
    write_json(folder / "robustness.json", result)
    return result


def compare(summaries: Mapping[str, HardwareWalkSummary]) -> pd.DataFrame:
    """Return a row a site and training: μ on both sides, and its ratio to the clean network's.

    Args:
        summaries: summaries of the walks by the noise of the training; one is clean.
    """
    rows = []
    for site, plain in summaries[CLEAN].sites.items():
        for name, summary in summaries.items():
            entry = summary.sites[site]
            row: dict[str, Any] = {"site": site, "training": name, "verdict": entry.verdict}
            # hardware's is there only where the RTL equals golden
            for side, mu, before in (
                ("software", entry.software, plain.software),
                ("hardware", entry.midpoint, plain.midpoint),
            ):
                row[side] = mu and list(mu)
                row[f"{side}_ratio"] = ratio(mu, before) if name != CLEAN else None
            rows.append(row)
    return pd.DataFrame(rows)


def ratio(above: Estimate | None, below: Estimate | None) -> list[float] | None:
    """Return the ratio of two μ with its 95 % interval; None if either is a bound."""
    if above is None or below is None or above.value is None or below.value is None:
        return None
    a, b = np.log(np.array([above, below], dtype=np.float64))
    middle = a[0] - b[0]
    low = middle - np.hypot(a[0] - a[1], b[2] - b[0])
    high = middle + np.hypot(a[2] - a[0], b[0] - b[1])
    return [float(v) for v in np.exp([middle, low, high])]
