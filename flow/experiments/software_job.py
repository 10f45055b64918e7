"""A network and its images, ready for a walk in software with each kind of noise."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from flow import device
from flow.callbacks import ProgressCallback
from flow.errors import UserError, about
from flow.experiments.results import claim
from flow.experiments.settings import SoftwareSettings
from flow.models import SCALE_IMAGES, SiteValues, site_values, suitable_batch
from flow.models.network import chosen_sites
from flow.noise import Adc
from flow.noise.noise_map import NoiseMap
from flow.noise.site import GLOBAL, JOINT, MAP
from flow.settings import MidpointLevels, Unit, shown
from flow.statistics.level_search import Search
from flow.statistics.midpoint import Midpoint
from flow.training.zoo import TrainedNetwork
from flow.walks import software
from flow.walks.levels import in_midpoints
from flow.walks.points.curves import curve_of, curve_table, side_table
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.retraining import Retrained
from flow.walks.software import Budget, Inference, Measure, SoftwareWalk
from flow.walks.summaries import SoftwareKind, SoftwareSite


@dataclass(frozen=True)
class SoftwareJob:
    """A trained network, ready for a walk with each kind of noise."""

    settings: SoftwareSettings
    trained: TrainedNetwork
    sites: Sequence[str]
    """Sites walked one by one, in the order of the data."""
    together: Sequence[str]
    """Sites that are noisy together in `GLOBAL`; empty if that is not walked."""
    values: Mapping[str, SiteValues]
    """What the values of each site are."""
    noise_map: NoiseMap | None
    """Noise of each site of a map."""
    batch: int
    """Number of images measured at a time."""
    identity: Mapping[str, Any]
    """What the results depend on, apart from noise and images."""
    folder: Path
    """Folder of the results."""
    budget: Budget
    device: torch.device
    """Device that computes."""

    @classmethod
    def prepare(cls, settings: SoftwareSettings, trained: TrainedNetwork) -> Self:
        """Make a walk ready; UserError: something the user can mend."""
        network = trained.network
        named = [site for site in settings.sites if site not in JOINT]
        everything = not settings.sites
        sites = chosen_sites(named, network, network.walk_sites) if named or everything else []
        noise_map = settings.read_map
        if noise_map is not None:
            with about("noise_map"):
                noise_map.check(network.all_sites)
        together = network.walk_sites if everything or GLOBAL in settings.sites else []
        values = site_values(network, trained.inputs[:SCALE_IMAGES], settings.adc_percentile)
        identity = {
            "model": network.name,
            "dataset": trained.images.name,
            "checkpoint": trained.digest,
            "retrain": settings.retrain,
        }
        # what is usual is not written, as in results of earlier versions
        if settings.retrain_from != "checkpoint":
            identity["retrain_from"] = settings.retrain_from
        if settings.clamp is not None:
            identity["clamp"] = settings.clamp
        if trained.metric is not None:
            targets = hashlib.sha256(trained.targets.numpy().tobytes()).hexdigest()
            identity["metric"] = {**trained.metric.to_json(), "targets": targets}
        name = _name(settings, trained)
        folder = settings.out or settings.build / "walk" / name
        claim(folder, identity)
        return cls(
            settings=settings,
            trained=trained,
            sites=[MAP] if settings.walks_map else sites,
            together=together,
            values=values,
            noise_map=noise_map,
            batch=suitable_batch(max(one.count for one in values.values())),
            identity=identity,
            folder=folder,
            budget=Budget(settings.max_noisy_images, settings.max_seconds),
            device=device.find(settings.device),
        )

    def walk_of(self, setting: NoiseSetting) -> "KindWalk":
        """Return the walk with one kind of noise, of which nothing is measured."""
        placement = self._placement(setting)
        measured = SoftwareWalk(
            labels=self.trained.reference.labels,
            inputs=self.trained.inputs,
            placement=placement,
            measure=self._measure(setting),
            store=Store(self.folder / "points"),
            identity={**self.identity, "batch": self.batch, **device.key(self.device)},
            budget=self.budget,
        )
        return KindWalk(self, placement, measured, self._searches(placement))

    def _placement(self, setting: NoiseSetting) -> Placement:
        """Return where noise of a kind enters, and in which units."""
        network = self.trained.network

        def size(site: str, unit: Unit) -> float:
            if unit != "lsb":
                return float(getattr(self.values[site], unit))
            if network.unit([site]) != "lsb":
                raise UserError(
                    f"the LSB of {site} is not known before the network is compiled: give std, "
                    "range or real, or walk it in hardware"
                )
            return 1.0

        noisy = [site for site in (*self.sites, *self.together) if site != MAP]

        def converter_of(site: str, bits: int) -> Adc:
            values = self.values[site]
            return Adc.of_range(bits, values.clip, signed=values.signed)

        chosen = self.settings.converter_bits(network.walk_sites)
        return Placement.of(
            setting, self.together, noisy, self.noise_map, size,
            unit=self.settings.unit, walks_map=self.settings.walks_map,
            converters={site: converter_of(site, bits) for site, bits in chosen.items()},
            converter_of=converter_of if self.settings.walks_bits else None,
        )  # fmt: skip

    def _searches(self, placement: Placement) -> dict[str, Search]:
        """Return the search at each site, and at all together."""
        settings, images = self.settings, len(self.trained.images)
        stages = [*range(software.BLOCK, images, software.BLOCK), images]
        given = settings.levels if isinstance(settings.levels, tuple) else ()
        walked = [*self.sites, *([GLOBAL] if self.together else [])]
        wanted = {name: self._hint(placement, name) for name in walked}
        return {
            name: Search(
                guess=self.trained.reference.guess,
                images=stages[-1:] if settings.retrain else stages,
                draws=settings.seeds,
                precision=settings.precision_of_mu,
                hint=hint,
                given=given,
            )
            for name, hint in wanted.items()
        }

    def _hint(self, placement: Placement, name: str) -> float:
        """Return the σ at which the noise of a site is about as large as its values are."""
        if name == MAP:
            return 1.0
        setting, stds = placement.setting, {s: v.std for s, v in self.values.items()}
        shares = [setting.share_of(stds[s], placement.unit(s)) for s in placement.walking(name)]
        return min(1 / share if share else 1.0 for share in shares)

    def _measure(self, setting: NoiseSetting) -> Measure:
        """Return what measures points: the network, or one trained with each point's noise."""
        trained, epochs = self.trained, self.settings.retrain
        if not epochs or trained.checkpoint is None:
            network = trained.network.on(self.device)
            return Inference(network, trained.inputs, setting, self.batch, trained.judge)
        return Retrained(
            model=trained.network.name,
            dataset=self.settings.dataset,
            start=trained.checkpoint if self.settings.retrain_from == "checkpoint" else None,
            epochs=epochs,
            clamp=self.settings.clamp,
            recipe=trained.metadata.recipe,
            inputs=trained.inputs,
            setting=setting,
            batch=self.batch,
            folder=self.folder / "retrained",
            device=self.device,
        )


@dataclass
class KindWalk:
    """A walk with one kind of noise."""

    job: SoftwareJob
    placement: Placement
    measured: SoftwareWalk
    searches: dict[str, Search]
    """By site, and of all together."""
    asked: dict[str, Search] = field(init=False)
    """What measures the requested levels; the searches themselves if none were given."""

    def __post_init__(self) -> None:
        self.asked = self.searches

    @property
    def ended(self) -> int:
        """Number of curves that have ended."""
        return sum(search.state != "running" for search in self.searches.values())

    def run(self, progress: ProgressCallback) -> None:
        """Measure until every search has ended."""
        kind, levels = self.placement.kind, self.job.settings.levels
        self.measured.run(self.searches, partial(_told, progress, kind, len(self.searches)))
        if isinstance(levels, MidpointLevels):
            midpoints = {name: search.midpoint for name, search in self.searches.items()}
            self.asked = {
                name: replace(self.searches[name], given=tuple(given), state="running")
                for name, given in in_midpoints(levels, midpoints).items()
            }
            told = partial(_told, progress, f"{kind}, levels", len(self.asked))
            self.measured.run(self.asked, told)

    def found(self, points: Sequence[Point]) -> SoftwareKind:
        """Return the entry of the kind in the summary, from its points."""
        job, placement, setting = self.job, self.placement, self.placement.setting
        reference, network = job.trained.reference, job.trained.network
        labels = reference.labels
        table = curve_table(points, labels, reference.measure)
        entries = {}
        for name, search in self.searches.items():
            by_now = search.by_now(curve_of(points, labels, name, Side.SOFTWARE))
            values = self._values(name, by_now.midpoint, points)
            entries[name] = SoftwareSite.of(
                by_now,
                self.asked[name],
                side_table(table, name, Side.SOFTWARE, placement.kind),
                placement.share_of(name, {site: one.std for site, one in values.items()}),
                values.get(name),
            )
        mixed = placement.kind == "mixed"
        return SoftwareKind(
            unit=placement.name_of_unit(list(entries), network),
            order=setting.order if mixed else None,
            ratio=setting.ratio if setting.made.adds and setting.made.multiplies else None,
            options=dict(setting.options),
            formula=setting.made.formula(),
            origin=setting.noise(0.0).to_json().get("origin"),
            sites={site: entries[site] for site in job.sites},
            global_=entries.get(GLOBAL),
        )

    def _values(
        self, name: str, midpoint: Midpoint | None, points: Sequence[Point]
    ) -> Mapping[str, SiteValues]:
        """Return the values of the sites in the network that the midpoint of a site is about.

        Where networks are trained for each level, that is the one of the level next to it.
        """
        measure, setting = self.measured.measure, self.placement.setting
        levels = [
            point.sigma
            for point in points
            if point.site == name and point.sigma and point.seed == setting.seed_of(0)
        ]
        mu = midpoint.estimate.level if midpoint else 0.0
        if not (isinstance(measure, Retrained) and mu and levels):
            return self.job.values
        place = NoisePoint(name, min(levels, key=lambda sigma: max(sigma / mu, mu / sigma)))
        network = measure.network(place, self.placement.at(place))
        return site_values(network, self.job.trained.inputs[:SCALE_IMAGES])


def _told(progress: ProgressCallback, kind: str, total: int, ended: int) -> None:
    progress(kind, ended, total)


def _name(settings: SoftwareSettings, trained: TrainedNetwork) -> str:
    """Return the name of the results folder."""
    name = f"{trained.network.name}-{trained.images.name}"
    if trained.metadata.noise:
        name += f"-trained-{trained.metadata.noise['kind']}"
    if trained.metadata.recipe:
        name += f"-recipe-{trained.metadata.recipe}"
    name += str(settings.array)
    if trained.metric:
        name += f"-{trained.metric.name}"
    if settings.noise_map is not None:
        name += f"-map-{settings.noise_map.stem}"
    name += settings.adc_name
    if settings.retrain:
        name += f"-retrained-{settings.retrain}"
        name += f"-from-{settings.retrain_from}" * (settings.retrain_from != "checkpoint")
        name += "" if settings.clamp is None else f"-clamp-{shown(settings.clamp)}"
    return name
