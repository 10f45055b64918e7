"""Noise walks on all sides: which points there are, what each depends on, and who measures them."""

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow import sides
from flow.compile import Accelerator, Site
from flow.engine import Call, Engine, Here
from flow.golden import GoldenModel
from flow.hardware_sampler import HardwareSampler
from flow.models import Network
from flow.noise import Noise, Sampler, TorchSampler
from flow.points import Place, Setting, code_digest
from flow.scope import Hardware, borne_out
from flow.sides import Failure, Parts, RtlSpeed
from flow.store import FULL, Point, Store
from flow.tap_settings import TapSettings, largest_factor
from flow.weight_noise import WeightSampler, WeightSite, settings_of

log = logging.getLogger(__name__)

SOFTWARE = ("software", "software-hwdraws")
INTEGER = ("integer", "integer-hwdraws")

_TAPS = (
    "fixed_point.py",
    "tap_settings.py",
    "philox.py",
    "gaussian.py",
    "quantile_table.py",
    "weight_noise.py",
)
_NUMERICS = {
    "software": ("noise/*.py", "models/*.py"),
    "software-hwdraws": ("noise/*.py", "models/*.py", "hardware_sampler.py", *_TAPS),
    "integer": ("golden*.py", "noise/*.py", "float_tap.py", *_TAPS),
    "integer-hwdraws": (
        "golden*.py",
        "noise/*.py",
        "float_tap.py",
        "hardware_sampler.py",
        *_TAPS,
    ),
    "golden": ("golden*.py", *_TAPS),
    "rtl": ("golden*.py", *_TAPS, "simulate.py", "scope.py"),
}
"""The code that a side's figures depend on."""


@dataclass(frozen=True)
class Wanted:
    """A point of one side."""

    side: str
    place: Place
    images: int
    """The first so many."""


@dataclass(frozen=True)
class Batch:
    """Points that are measured together, for what they share."""

    points: tuple[Wanted, ...]

    @property
    def sides(self) -> set[str]:
        """Sides of its points."""
        return {one.side for one in self.points}


@dataclass
class Measured:
    """What was found."""

    points: list[Point] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    speed: RtlSpeed = field(default_factory=RtlSpeed)

    def add(self, more: "Measured") -> None:
        """Take up what another process found."""
        self.points += more.points
        self.failures += more.failures
        self.speed.add(more.speed.images, more.speed.seconds)


Told = Callable[[str, int, int], None]
"""Called with a side, how many of its points are there, and their images measured just now."""


def _nobody(side: str, points: int, images: int) -> None:
    pass


@dataclass
class Walk:
    """One network, one accelerator, one set of images, one kind of noise."""

    network: Network
    accelerator: Accelerator
    inputs: Tensor
    """float32 [N, C, H, W]."""
    labels: npt.NDArray[np.int64]
    setting: Setting
    """The noise, all but its level."""
    store: Store
    build: Path
    """Folder of simulators and of what they write while they run."""
    identity: dict[str, str] = field(default_factory=dict)
    """What the points depend on and the walk does not see: checkpoint and data set."""
    scope: str = FULL
    """How much RTL simulates at a noisy site; see `flow.scope`."""
    engine: Engine = field(default_factory=Here)
    """Does the work."""
    opening: Callable[[], "Walk"] | None = None
    """How another process opens the same walk; its ``repr`` tells all that it depends on."""

    def __post_init__(self) -> None:
        self.stream = self.accelerator.quantise(self.inputs)
        self.golden: GoldenModel = self.accelerator.golden_model()
        self.taps: dict[str, Site] = self.accelerator.sites
        self.weights: dict[str, WeightSite] = self.accelerator.weights
        self.sites: dict[str, Site | WeightSite] = {**self.taps, **self.weights}
        self.batch = images_at_a_time(self.taps)
        """In software; the samples of torch's generator depend on it."""
        self.parts = Parts(self.golden, self.stream)
        self._images_digest = hashlib.sha256(self.inputs.numpy().tobytes()).hexdigest()

        self._hardware: dict[str, Hardware] = {}

    def hardware(self, site: str) -> Hardware:
        """Return what is simulated for noise at a site, or for none where it is empty."""
        whole = self.scope == FULL or not site
        entry = self.golden.entry if whole else self.golden.narrowest(site)
        if entry not in self._hardware:
            root = self.build / "sim"
            self._hardware[entry] = Hardware(self.accelerator, self.golden, entry, root)
        return self._hardware[entry]

    def seed_of(self, place: Place) -> int:
        """Return the seed of a point's draw: the run's own for draw 0."""
        return self.setting.seed_of(place.draw)

    def noise(self, sigma: float) -> Noise:
        """Return the walk's kind of noise at a level."""
        return self.setting.noise(sigma)

    def settings(self, place: Place, first_image: int = 0) -> dict[str, TapSettings]:
        """Return the taps' registers, or the error of weights, at a point."""
        if not place.site:
            return {}
        noise, seed = self.noise(place.sigma), self.seed_of(place)
        if place.site in self.weights:
            return {place.site: settings_of(noise, self.weights[place.site], seed)}
        scale = self.sites[place.site].scale
        return {place.site: TapSettings.of(noise, scale, seed, first_image)}

    def sampler(self, side: str, draw: int) -> Sampler:
        """Return what a side with noise in floating point draws its samples from."""
        seed = self.setting.seed_of(draw)
        if side.endswith("-hwdraws"):
            return WeightSampler(self.weights, seed, HardwareSampler(self.taps, seed))
        return TorchSampler(seed)

    def largest_level(self, site: str) -> float:
        """Return the largest σ that the registers of a site hold."""
        return largest_factor(self.noise(1.0), self.sites[site].scale)

    def wanted(
        self, sides: Sequence[str], places: Sequence[Place], images: int | None = None
    ) -> list[Wanted]:
        """List the points of sides at places, on the first images, or on all."""
        images = images or len(self.inputs)
        return [Wanted(side, place, images) for side in sides for place in places]

    def run_models(self, places: Sequence[Place]) -> list[Point]:
        """Measure points in software, on both of its sides, and on the golden model."""
        return self.run(self.wanted((*SOFTWARE, "golden"), places)).points

    def run(self, wanted: Sequence[Wanted], told: Told = _nobody) -> Measured:
        """Take points that are stored, and measure the others.

        Args:
            wanted: the points.
            told: told about progress.

        Returns:
            the points in the order asked for; those of RTL that could not be simulated are missing,
            and failures instead.
        """
        found = {one: self.store.get(self.key(one)) for one in wanted}
        missing = [one for one, point in found.items() if point is None]
        for side in dict.fromkeys(one.side for one in wanted):
            told(side, sum(one.side == side for one in wanted if found[one] is not None), 0)
        measured = Measured()
        calls = [Call(Walk.measure, batch) for batch in self._batches(missing)]
        for call, result in self.engine.run(self, calls):
            measured.add(result)
            simulated = {(p.side, p.site, p.sigma, p.seed): p for p in result.points}
            for one in call.item.points:
                found[one] = simulated.get(self._where(one))
                told(one.side, 1, one.images)
        measured.points = borne_out([point for point in found.values() if point is not None])
        return measured

    def _where(self, one: Wanted) -> tuple[str, str, float, int]:
        return one.side, one.place.site, one.place.sigma, self.seed_of(one.place)

    def _batches(self, missing: Sequence[Wanted]) -> list[Batch]:
        """Put points together that share work: those with most layers behind them come first."""
        groups: dict[tuple, list[Wanted]] = {}
        simulated = [one for one in missing if one.side == "rtl"]
        for one in missing:
            if one.side in SOFTWARE:
                # levels, draws and both sides share what is clean before the site
                groups.setdefault(("software", one.place.site), []).append(one)
            elif one.side != "rtl":
                # levels share their samples
                key = (one.side, one.place.site, one.place.draw)
                groups.setdefault(key, []).append(one)
        order = {"": 0} | {site: number for number, site in enumerate(self.network.all_sites)}
        heavy = sorted(groups.values(), key=lambda group: order[group[0].place.site])
        return [Batch(tuple(group)) for group in (*heavy, *self._chunks(simulated))]

    def _chunks(self, points: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
        """Cut points into runs of a simulator: enough to share out, few enough to resume."""
        size = math.ceil(len(points) / (4 * self.engine.workers))
        for _, group in groupby(points, lambda one: self.hardware(one.place.site).entry):
            same = list(group)
            most = max(1, min(size, 4096 // same[0].images))
            for first in range(0, len(same), most):
                yield same[first : first + most]

    def file_name(self, one: Wanted) -> str:
        """Return the name under which a point is stored."""
        return self.store.path(self.key(one)).name

    def measure(self, batch: Batch) -> Measured:
        """Measure points in this process, and store each as soon as it is there."""
        measured = Measured()
        places = [one.place for one in batch.points]
        if batch.sides <= {*SOFTWARE}:
            points = sides.software(self, [(one.side, one.place) for one in batch.points])
        elif batch.sides <= {*INTEGER}:
            points = sides.integer(self, batch.points[0].side, places)
        elif batch.sides == {"golden"}:
            points = sides.golden(self, places)
        else:
            images = batch.points[0].images
            points = sides.rtl(self, places, images, measured.failures, measured.speed)
        asked = {self._where(one): one for one in batch.points}
        for point in points:
            one = asked[point.side, point.site, point.sigma, point.seed]
            self.store.put(self.key(one), point)
            measured.points.append(point)
        return measured

    def golden_accuracy(self, site: str, images: int) -> Callable[[float], float]:
        """Return a quick measure of the accuracy at a level of one site, for finding levels."""
        part = self.golden.before(site, self.stream[:images])
        draws = sides.samples(self, site, 0, images)
        right = self.labels[:images]

        def accuracy(sigma: float) -> float:
            noise = self.settings(Place(site, sigma))
            return float((self.golden.run(part, noise, draws=draws).numpy() == right).mean())

        return accuracy

    def point(
        self, side: str, place: Place, labels: npt.NDArray[np.uint8], mismatches: int | None = None
    ) -> Point:
        """Return what a side found at a place; ``mismatches``: images of RTL unlike golden."""
        return Point(
            site=place.site,
            kind=self.setting.kind,
            sigma=place.sigma,
            seed=self.seed_of(place),
            side=side,
            predictions=labels,
            bit_mismatches=mismatches,
            scope=self.hardware(place.site).scope if side == "rtl" else None,
        )

    def key(self, one: Wanted) -> dict:
        """Return everything that a point depends on."""
        side, place = one.side, one.place
        key = {
            **self.identity,
            "side": side,
            "site": place.site,
            "noise": self.noise(place.sigma).to_json() if place.site else None,
            "seed": self.seed_of(place) if place.site else None,
            "images": [one.images, self._images_digest],
            "code": code_digest(*_NUMERICS[side]),
        }
        if side in ("software", "integer"):
            # torch's samples depend on it, and the two sides are to have the same
            key["batch"] = self.batch
        if not side.startswith("software"):
            key["accelerator"] = self.accelerator.folder.name
        if side == "rtl":
            # what a part is made of is what the whole is
            key["simulation"] = self.hardware("").simulation.design
            key["scope"] = self.hardware(place.site).scope
        return key


def images_at_a_time(sites: Mapping[str, Site]) -> int:
    """Return how many images a network of these sites is to hold: few enough for the caches."""
    largest = max(site.pixels * site.channels for site in sites.values())
    return max(1, min(1000, (1 << 23) // largest))
