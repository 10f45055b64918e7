"""Noise walks on three sides: software, golden model, RTL; every point kept as it is finished."""

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow import simulate
from flow.checks import differing_images, first_divergence
from flow.compile import Accelerator, Site
from flow.fixed_point import draw_samples
from flow.golden import Draws, GoldenModel, Part
from flow.hardware_sampler import HardwareSampler
from flow.models import Levels, Network, evaluate, evaluate_groups
from flow.noise import Noise, Sampler, TorchSampler
from flow.points import Done, Labels, Place, Setting, code_digest, take_or_measure
from flow.store import Point, Store
from flow.tap_settings import TapSettings, largest_factor
from flow.weight_noise import WeightSampler, WeightSite, draw_errors, settings_of
from sim.runner import Simulation

log = logging.getLogger(__name__)

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
    "rtl": ("golden*.py", *_TAPS, "simulate.py"),
}
"""The code that a side's figures depend on."""


@dataclass
class RtlSpeed:
    """How fast the RTL was simulated in this run."""

    images: int = 0
    seconds: float = 0.0
    """Wall time of the simulator processes, added up."""

    def add(self, images: int, seconds: float) -> None:
        """Count one process."""
        self.images += images
        self.seconds += seconds

    @property
    def seconds_per_image(self) -> float | None:
        """Per core, start-up of the processes included; None when nothing was simulated."""
        return self.seconds / self.images if self.images else None


class Parts:
    """What is left of the images at one site at a time, clean before it.

    Sites had best come in the order of the data: what is clean at one is so at the next.

    Args:
        golden: the model.
        stream: images, integers [N, elements].
    """

    def __init__(self, golden: GoldenModel, stream: Tensor) -> None:
        self._golden = golden
        self._stream = stream
        self._last: tuple[str, Part] | None = None

    def at(self, site: str) -> Part:
        """Return what is left at a site."""
        if self._last is None or self._last[0] != site:
            source: Tensor | Part = self._stream
            if self._last is not None and self._golden.layer_of(site) in self._last[1].layers:
                source = self._last[1]
            self._last = (site, self._golden.before(site, source))
        return self._last[1]


@dataclass
class Walk:
    """One network, one accelerator, one set of images, one kind of noise."""

    network: Network
    accelerator: Accelerator
    simulation: Simulation | None
    """None until the simulator is built; only RTL needs it."""
    inputs: Tensor
    """float32 [N, C, H, W]."""
    labels: npt.NDArray[np.int64]
    setting: Setting
    """The noise, all but its level."""
    store: Store
    identity: dict[str, str]
    """What the points depend on and the walk does not see: checkpoint and data set."""

    def __post_init__(self) -> None:
        self.stream = self.accelerator.quantise(self.inputs)
        self.golden: GoldenModel = self.accelerator.golden_model()
        self.taps: dict[str, Site] = self.accelerator.sites
        self.weights: dict[str, WeightSite] = self.accelerator.weights
        self.sites: dict[str, Site | WeightSite] = {**self.taps, **self.weights}
        self.batch = images_at_a_time(self.taps)
        """In software; the samples of torch's generator depend on it."""
        self._images_digest = hashlib.sha256(self.inputs.numpy().tobytes()).hexdigest()

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

    def run_software(self, places: Sequence[Place], done: Done) -> list[Point]:
        """Measure points on the Brevitas network, as ``software`` and as ``software-hwdraws``.

        The levels of all draws of a site, on both sides, share the clean part before it.

        Args:
            places: the points.
            done: told about progress: each point counts twice.
        """

        def points(site: str, missing: Sequence[tuple[str, Place]]) -> Iterator[Point]:
            labels: dict[tuple[str, Place], Labels] = {}
            if site:
                groups: dict[tuple[str, int], list[Place]] = {}
                for side, place in missing:
                    groups.setdefault((side, place.draw), []).append(place)
                found = evaluate_groups(
                    self.network,
                    self.inputs,
                    [
                        Levels([{site: self.noise(p.sigma)} for p in group], self.sampler(*where))
                        for where, group in groups.items()
                    ],
                    batch=self.batch,
                )
                for (side, _), group, rows in zip(groups, groups.values(), found, strict=True):
                    labels |= {(side, p): row for p, row in zip(group, rows, strict=True)}
            else:
                clean = evaluate(self.network, self.inputs, batch=self.batch)
                labels = dict.fromkeys(missing, clean)
            for side, place in missing:
                yield self.point(side, place, labels[side, place])

        keys = {
            (side, place): self.key(side, place, len(self.inputs))
            for side in ("software", "software-hwdraws")
            for place in places
        }
        return take_or_measure(self.store, keys, lambda where: where[1].site, points, done)

    def run_golden(self, places: Sequence[Place], done: Done) -> list[Point]:
        """Measure points on the golden model: the clean prefix and the samples once a site."""
        parts = Parts(self.golden, self.stream)

        def measure(site: str, draw: int, levels: Sequence[float]) -> Iterator[Labels]:
            if not site:
                yield self.golden.run(self.stream).numpy().astype(np.uint8)
                return
            part = parts.at(site)
            draws = self._samples(site, draw, len(self.inputs))
            for sigma in levels:
                noise = self.settings(Place(site, sigma, draw))
                labels = self.golden.run(part, noise, draws=draws)
                yield labels.numpy().astype(np.uint8)

        def points(group: tuple[str, int], missing: Sequence[Place]) -> Iterator[Point]:
            rows = measure(*group, [place.sigma for place in missing])
            for place, labels in zip(missing, rows, strict=True):
                yield self.point("golden", place, labels)

        keys = {place: self.key("golden", place, len(self.inputs)) for place in places}
        return take_or_measure(
            self.store, keys, lambda place: (place.site, place.draw), points, done
        )

    def _samples(self, site: str, draw: int, images: int) -> Draws:
        """Draw what the levels of one site and draw share."""
        # any level that the registers hold has the same samples
        taken = self.settings(Place(site, self.largest_level(site) / 2, draw))[site]
        if site in self.weights:
            levels = enumerate((taken.sigma_mul, taken.sigma_add))
            weights = self.weights[site]
            return {site: {d: draw_errors(weights, taken.seed, d) for d, sigma in levels if sigma}}
        if taken.executions > 1:
            # too many to hold
            return {}
        tap = self.taps[site]
        size = (0, images, tap.pixels * tap.channels)
        return {
            site: {
                d: draw_samples(taken.seed, tap.number, d, *size, taken.table_of(d))
                for d in taken.draws
            }
        }

    def golden_accuracy(self, site: str, images: int) -> Callable[[float], float]:
        """Return a quick measure of the accuracy at a level of one site, for finding levels."""
        part = self.golden.before(site, self.stream[:images])
        draws = self._samples(site, 0, images)
        right = self.labels[:images]

        def accuracy(sigma: float) -> float:
            noise = self.settings(Place(site, sigma))
            return float((self.golden.run(part, noise, draws=draws).numpy() == right).mean())

        return accuracy

    def run_rtl(
        self, places: Sequence[Place], images: int, jobs: int, workdir: Path, done: Done
    ) -> tuple[list[Point], RtlSpeed]:
        """Measure points on the simulated RTL, and hold every image against the golden model.

        Args:
            places: the points.
            images: the first so many images.
            jobs: simulator processes at a time.
            workdir: folder for the processes' files.
            done: told about progress.

        Returns:
            the points, and how fast they were simulated; stored points cost no simulation.
        """
        found = {place: self.store.get(self.key("rtl", place, images)) for place in places}
        todo = [place for place, point in found.items() if point is None]
        done(len(found) - len(todo))
        speed = RtlSpeed()
        chunks = list(_chunks(todo, images, jobs))
        with ThreadPoolExecutor(jobs) as pool:
            running = {
                pool.submit(self._simulate, chunk, images, workdir / f"{i:04d}"): chunk
                for i, chunk in enumerate(chunks)
            }
            try:
                for finished in as_completed(running):
                    points, seconds = finished.result()
                    speed.add(images * len(points), seconds)
                    for place, point in zip(running[finished], points, strict=True):
                        self.store.put(self.key("rtl", place, images), point)
                        found[place] = point
                    done(len(points))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [point for point in found.values() if point is not None], speed

    def _simulate(
        self, places: Sequence[Place], images: int, workdir: Path
    ) -> tuple[list[Point], float]:
        """Run points in simulator processes, one after another, and compare (L1)."""
        assert self.simulation is not None
        labels = [np.empty(images, dtype=np.uint8) for _ in places]
        mismatches = np.zeros(len(places), dtype=np.int64)
        seconds = 0.0
        for first in range(0, images, simulate.MAX_IMAGES):
            part = slice(first, min(first + simulate.MAX_IMAGES, images))
            settings = [self.settings(place, first) for place in places]
            results, took = simulate.simulate(
                self.accelerator, self.simulation, self.stream[part], settings, workdir
            )
            seconds += took
            for i, (noise, result) in enumerate(zip(settings, results, strict=True)):
                labels[i][part] = result.labels
                differing = differing_images(self.golden, self.stream[part], noise, result)
                mismatches[i] += int(differing.sum())
                if differing.any():
                    where = first_divergence(self.golden, self.stream[part], noise, result)
                    log.error("%s: RTL differs from golden: %s", places[i], where)
        points = [
            self.point("rtl", place, labels[i], int(mismatches[i]))
            for i, place in enumerate(places)
        ]
        return points, seconds

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
        )

    def key(self, side: str, place: Place, images: int) -> dict:
        """Return everything that a side's point depends on."""
        key = {
            **self.identity,
            "side": side,
            "site": place.site,
            "noise": self.noise(place.sigma).to_json() if place.site else None,
            "seed": self.seed_of(place) if place.site else None,
            "images": [images, self._images_digest],
            "code": code_digest(*_NUMERICS[side]),
        }
        if side in ("software", "integer"):
            # torch's samples depend on it, and the two sides are to have the same
            key["batch"] = self.batch
        if not side.startswith("software"):
            key["accelerator"] = self.accelerator.folder.name
        if side == "rtl" and self.simulation is not None:
            key["simulation"] = self.simulation.binary.parent.name
        return key


def _chunks(places: Sequence[Place], images: int, jobs: int) -> Iterator[Sequence[Place]]:
    """Cut points into runs of a simulator process: enough to share out, few enough to resume."""
    most = max(1, 4096 // images)
    size = min(most, max(1, math.ceil(len(places) / (2 * jobs))))
    for first in range(0, len(places), size):
        yield places[first : first + size]


def images_at_a_time(sites: Mapping[str, Site]) -> int:
    """Return how many images a network of these sites is to hold: few enough for the caches."""
    largest = max(site.pixels * site.channels for site in sites.values())
    return max(1, min(1000, (1 << 23) // largest))
