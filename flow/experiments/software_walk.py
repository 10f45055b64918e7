"""The ``walk`` command: where does a network break under noise, in software alone?"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flow import data, models
from flow.errors import UserError
from flow.files import canonical, replacing, write_summary
from flow.models import Network, site_scales
from flow.models.network import chosen_sites
from flow.report.plots import software_walk
from flow.statistics.level_search import Search
from flow.training import checkpoint
from flow.training.checkpoint import Metadata
from flow.training.zoo import find_checkpoint, load_trained
from flow.walk import software
from flow.walk.levels import parse_levels
from flow.walk.points.curves import curve_table, write_curves
from flow.walk.points.noise_setting import NoiseChoice, Setting
from flow.walk.points.point import Point
from flow.walk.points.store import Store
from flow.walk.retraining import Retrained
from flow.walk.software import GLOBAL, Budget, Inference, SoftwareWalk, batch_of

Report = Callable[[str, int, int], None]
"""Called with a stage's name, the steps done and the steps in all."""

SCALE_IMAGES = 200
"""Images behind the standard deviation of a site, where the search for levels begins."""


@dataclass(frozen=True)
class Settings(NoiseChoice):
    """What the user may choose."""

    model: str
    dataset: str = "fashion-mnist"
    noise: str = "additive"
    """Kinds, with commas between."""
    sites: str = ""
    """Names with commas between; the network's own choice when empty."""
    levels: str = "auto"
    """σ with commas between, or ``auto``: searched for, as `flow.statistics.level_search` says."""
    seeds: int = 4
    """Noise draws of a point: so many with given levels, at most so many with ``auto``."""
    precision: float = 0.03
    """Half width of μ's 95 % interval that ends a search, as a share of μ."""
    budget: str = ""
    """Where the walk ends in any case: ``600s`` of time, or a number of noisy images."""
    images: int | None = None
    """Test images of a point, at most; all when not given."""
    checkpoint: str = ""
    """A checkpoint file in place of the zoo's."""
    training_noise: str = ""
    """Kind of noise the checkpoint was trained with; clean when empty."""
    retrain: int = 0
    """Epochs of training, with a point's noise, before the point is measured; 0 for none."""
    out: Path | None = None
    """Results folder; one below `build` named by network and set when not given."""
    build: Path = field(default_factory=lambda: Path("build"))

    def __post_init__(self) -> None:
        models.resolve(self.model)
        data.dataset(self.dataset)
        if self.retrain and models.is_own(self.model):
            raise UserError("only networks of this program are trained: leave out the retraining")
        _ = self.kinds, self.limits
        for name, least in (("seeds", 1), ("retrain", 0), ("images", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} is {value}: give {least} or more")
        if not 0 < self.precision < 1:
            raise UserError(f"the precision is {self.precision}: give a share of μ, such as 0.03")
        parse_levels(self.levels)

    @property
    def kinds(self) -> list[Setting]:
        """The noise of each kind asked for."""
        names = [name.strip() for name in self.noise.split(",")]
        if len(set(names)) < len(names):
            raise UserError(f"noise is {self.noise}: name each kind once")
        return self.of_kinds(names)

    @property
    def limits(self) -> dict[str, Any]:
        """The budget, as `Budget` takes it."""
        text = self.budget.strip()
        if not text:
            return {}
        name = "seconds" if text.endswith("s") else "images"
        try:
            value = float(text.removesuffix("s"))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise UserError(
                f"the budget is '{text}': give seconds such as 600s, or a number of images above 0"
            )
        return {name: value if name == "seconds" else int(value)}


def walk(settings: Settings, tell: Report, command: str = "") -> dict[str, Any]:
    """Walk a network, and write ``summary.json``, ``curves.parquet`` and two pictures.

    Args:
        settings: the user's choice.
        tell: told about progress.
        command: how the user asked for it, for the summary.

    Returns:
        what ``summary.json`` holds.

    Raises:
        UserError: something the user can mend; points already measured are kept.
    """
    started = time.monotonic()
    path = find_checkpoint(
        settings.model, settings.dataset, settings.training_noise, settings.checkpoint
    )
    network, metadata = load_trained(path, settings.model, settings.dataset)
    found = data.load(settings.dataset, "test", settings.images)
    if settings.images is not None and len(found) < settings.images:
        raise UserError(
            f"{settings.images} images were asked for, {found.source} has {len(found)}: ask for "
            "fewer"
        )
    sites = chosen_sites(settings.sites, network, network.walk_sites)
    inputs = data.to_input(found.images, network.image_shape)
    scales = site_scales(network, inputs[:SCALE_IMAGES])
    batch = batch_of(max(values for values, _ in scales.values()))
    identity = {
        "model": network.name,
        "dataset": found.name,
        "checkpoint": checkpoint.digest_of(path),
        "retrain": settings.retrain,
    }
    folder = settings.out or settings.build / "walk" / _name(settings, network, metadata)
    _claim(folder, identity)
    budget = Budget(**settings.limits)
    points: list[Point] = []
    kinds: dict[str, Any] = {}
    loaded = time.monotonic()
    for setting in settings.kinds:
        inference = Inference(network, inputs, setting, batch)
        retrained = Retrained(
            network.name, settings.dataset, path, settings.retrain, inputs, setting, batch,
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
        one.run(searches, partial(_told, tell, setting.kind, len(searches)))
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
        "precision": settings.precision,
        "budget": settings.budget or None,
        "images_evaluated": budget.used,
        "kinds": kinds,
        "retrain": settings.retrain,
        "training_noise": metadata.noise,
        "checkpoint": path.name,
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
    write_summary(folder / "summary.json", result)
    software_walk.write(folder, result, table)
    return result


def _told(tell: Report, kind: str, total: int, ended: int) -> None:
    tell(kind, ended, total)


def _name(settings: Settings, network: Network, metadata: Metadata) -> str:
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
            raise UserError(
                f"{folder} holds the results of another network ({text.strip()}), not of "
                f"{canonical(identity)}: give another folder with --out, or remove this one"
            )
        return
    if (folder.is_dir() and any(folder.iterdir())) or folder.is_file():
        raise UserError(
            f"{folder} is something else than a walk's results: give another folder with --out"
        )
    with replacing(mark) as temporary:
        temporary.write_text(canonical(identity) + "\n", encoding="utf-8")


def _searches(
    settings: Settings, setting: Setting, deviations: dict[str, float], images: int, classes: int
) -> dict[str, Search]:
    """Return the search of each site and of all at once."""
    stages = [*range(software.BLOCK, images, software.BLOCK), images]
    given = tuple(parse_levels(settings.levels) or ())
    hints = {site: _hint(setting, deviation) for site, deviation in deviations.items()}
    hints[GLOBAL] = min(hints.values())
    return {
        name: Search(
            guess=1 / classes,
            images=stages[-1:] if settings.retrain else stages,
            draws=settings.seeds,
            precision=settings.precision,
            hint=hint,
            given=given,
        )
        for name, hint in hints.items()
    }


def _hint(setting: Setting, deviation: float) -> float:
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
