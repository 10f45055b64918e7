"""The ``walk`` command: where does a network break under noise, in software alone?"""

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flow import data
from flow.callbacks import ProgressCallback
from flow.errors import OptionError
from flow.experiments.settings import SoftwareSettings
from flow.experiments.studies.status import STATE
from flow.files import canonical, replacing, write_json
from flow.models import Network, site_scales
from flow.models.network import chosen_sites
from flow.report.plots import software_walk
from flow.settings import AUTO
from flow.statistics.level_search import Search
from flow.training.checkpoint import Metadata
from flow.training.zoo import TrainedNetwork
from flow.walks import software
from flow.walks.points.curves import curve_table, write_curves
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.point import Point
from flow.walks.points.store import Store
from flow.walks.retraining import Retrained
from flow.walks.software import GLOBAL, Budget, Inference, SoftwareWalk, batch_of

SCALE_IMAGES = 200
"""Images behind the standard deviation of a site, where the search for levels begins."""


def walk(
    settings: SoftwareSettings, progress: ProgressCallback, command: str = ""
) -> dict[str, Any]:
    """Walk a network, and write ``summary.json``, ``curves.parquet`` and two pictures.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it, for the summary.

    Returns:
        what ``summary.json`` holds.

    Raises:
        UserError: something the user can mend; points already measured are kept.
    """
    started = time.monotonic()
    trained = TrainedNetwork.load(settings, settings.images)
    network, metadata, found, inputs = (
        trained.network,
        trained.metadata,
        trained.images,
        trained.inputs,
    )
    sites = chosen_sites(settings.sites, network, network.walk_sites)
    scales = site_scales(network, inputs[:SCALE_IMAGES])
    batch = batch_of(max(values for values, _ in scales.values()))
    identity = {
        "model": network.name,
        "dataset": found.name,
        "checkpoint": trained.digest,
        "retrain": settings.retrain,
    }
    folder = settings.out or settings.build / "walk" / _name(settings, network, metadata)
    _claim(folder, identity)
    budget = Budget(settings.max_noisy_images, settings.max_seconds)
    points: list[Point] = []
    kinds: dict[str, Any] = {}
    loaded = time.monotonic()
    for setting in settings.kinds:
        inference = Inference(network, inputs, setting, batch)
        retrained = Retrained(
            network.name, settings.dataset, trained.checkpoint, settings.retrain, inputs, setting,
            batch,
            folder / "retrained",
        )  # fmt: skip
        one = SoftwareWalk(
            labels=found.labels,
            inputs=inputs,
            sites=sites,
            setting=setting,
            measure=retrained if settings.retrain else inference,
            store=Store(folder / "points"),
            identity=identity | {"batch": batch},
            budget=budget,
        )
        deviations = {site: scales[site][1] for site in sites}
        searches = _searches(settings, setting, deviations, len(found), network.classes)
        one.run(searches, partial(_told, progress, setting.kind, len(searches)))
        points += [point for point in one.points() if point.site or not points]
        kinds[setting.kind] = {
            "unit": "none" if setting.kind == "multiplicative" else network.unit(sites),
            "order": setting.order if setting.kind == "mixed" else None,
            "ratio": setting.ratio if setting.kind == "mixed" else None,
            "options": setting.options,
            "sites": {name: _entry(search) for name, search in searches.items()},
        }
    walked = time.monotonic()
    result = {
        "model": network.name,
        "dataset": found.name,
        "noise": list(kinds),
        "seed": settings.seed,
        "classes": network.classes,
        "images": {"software": len(found)},
        "accuracy": {"software": _clean(points).accuracy(found.labels)},
        "precision": settings.precision_of_mu,
        "max_seconds": settings.max_seconds,
        "max_noisy_images": settings.max_noisy_images,
        "images_evaluated": budget.used,
        "kinds": kinds,
        "retrain": settings.retrain,
        "training_noise": metadata.noise,
        "checkpoint": trained.checkpoint.name,
        "identity": identity,
        "command": command,
        "folder": str(folder),
        "seconds": {
            "load": round(loaded - started, 2),
            "walk": round(walked - loaded, 2),
            "total": round(time.monotonic() - started, 2),
        },
    }
    table = curve_table(points, found.labels)
    write_curves(folder / "curves.parquet", table)
    write_json(folder / "summary.json", result)
    software_walk.write(folder, result, table)
    return result


def _told(progress: ProgressCallback, kind: str, total: int, ended: int) -> None:
    progress(kind, ended, total)


def _name(settings: SoftwareSettings, network: Network, metadata: Metadata) -> str:
    name = f"{network.name}-{data.dataset(settings.dataset).name}"
    if metadata.noise:
        name += f"-trained-{metadata.noise['kind']}"
    return name + (f"-retrained-{settings.retrain}" if settings.retrain else "")


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Make a results folder this network's; one of another network, or of something else, stays.

    Raises:
        UserError: it is another's.
    """
    mark = folder / "network.json"
    if mark.is_file():
        text = mark.read_text(encoding="utf-8")
        if text.strip() != canonical(identity):
            raise OptionError(
                "out",
                f"is {folder}, which holds the results of another network ({text.strip()}), not of "
                f"{canonical(identity)}: give another folder, or remove this one",
            )
        return
    # a study notes a run's state in the folder before the run begins
    if folder.is_file() or (folder.is_dir() and {p.name for p in folder.iterdir()} - {STATE}):
        raise OptionError(
            "out", f"is {folder}, which is something else than a walk's results: give another"
        )
    with replacing(mark) as temporary:
        temporary.write_text(canonical(identity) + "\n", encoding="utf-8")


def _searches(
    settings: SoftwareSettings,
    setting: NoiseSetting,
    deviations: dict[str, float],
    images: int,
    classes: int,
) -> dict[str, Search]:
    """Return the search of each site and of all at once."""
    stages = [*range(software.BLOCK, images, software.BLOCK), images]
    given = () if settings.levels == AUTO else settings.levels
    hints = {site: _hint(setting, deviation) for site, deviation in deviations.items()}
    hints[GLOBAL] = min(hints.values())
    return {
        name: Search(
            guess=1 / classes,
            images=stages[-1:] if settings.retrain else stages,
            draws=settings.seeds,
            precision=settings.precision_of_mu,
            hint=hint,
            given=given,
        )
        for name, hint in hints.items()
    }


def _hint(setting: NoiseSetting, deviation: float) -> float:
    """Return the σ at which a site's noise is about as large as its values."""
    noise = setting.noise(1.0)
    share = math.hypot(noise.sigma_add / max(deviation, 1e-6), noise.sigma_mul)
    return 1 / share if share else 1.0


def _entry(search: Search) -> dict[str, Any]:
    found, wanted = search.midpoint, search.wanted
    return {
        "mu_sw": None if found is None else found.to_json(),
        "k_sw": None if found is None else found.k,
        "misfit": search.misfit,
        "step": found is not None and found.step,
        "devices": None if found is None else found.devices,
        "ended": search.state,
        "images": search.images_used,
        "draws": wanted.draws,
        "levels": list(wanted.levels),
    }


def _clean(points: Sequence[Point]) -> Point:
    """Return the point without noise, on every image it was measured on."""
    return next(point for point in points if not point.site)
