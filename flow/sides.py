"""How points of one side are measured, in this process: software, integer graph, golden, RTL."""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from flow import simulate
from flow.checks import differing_images, first_divergence
from flow.errors import Fatal
from flow.fixed_point import draw_samples
from flow.float_tap import classify
from flow.golden import Draws, GoldenModel, Part
from flow.models import Levels, evaluate, evaluate_groups
from flow.points import Labels, Place
from flow.store import Point
from flow.weight_noise import draw_errors
from sim.runner import SimulationError

if TYPE_CHECKING:
    from flow.walk import Walk

log = logging.getLogger(__name__)

_ROOM = 1 << 20
"""Bytes below which a disk is full."""


@dataclass(frozen=True)
class Failure:
    """A point whose simulation crashed, hung or broke off, twice."""

    site: str
    sigma: float
    draw: int
    message: str
    command: str
    """Does it again."""

    @property
    def error(self) -> SimulationError:
        """As it was raised."""
        return SimulationError(self.message, self.command)


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


def software(walk: "Walk", wanted: Sequence[tuple[str, Place]]) -> Iterator[Point]:
    """Measure points of a site on the Brevitas network, of torch's samples and the hardware's.

    The levels of all draws, on both sides, share the clean part before the site.
    """
    labels: dict[tuple[str, Place], Labels] = {}
    site = wanted[0][1].site
    if site:
        groups: dict[tuple[str, int], list[Place]] = {}
        for side, place in wanted:
            groups.setdefault((side, place.draw), []).append(place)
        found = evaluate_groups(
            walk.network,
            walk.inputs,
            [
                Levels([{site: walk.noise(p.sigma)} for p in group], walk.sampler(*where))
                for where, group in groups.items()
            ],
            batch=walk.batch,
        )
        for (side, _), group, rows in zip(groups, groups.values(), found, strict=True):
            labels |= {(side, p): row for p, row in zip(group, rows, strict=True)}
    else:
        clean = evaluate(walk.network, walk.inputs, batch=walk.batch)
        labels = dict.fromkeys(wanted, clean)
    for side, place in wanted:
        yield walk.point(side, place, labels[side, place])


def integer(walk: "Walk", side: str, places: Sequence[Place]) -> Iterator[Point]:
    """Measure points of a tap and draw in the integer graph with float noise."""
    site, draw = places[0].site, places[0].draw
    levels = [walk.noise(place.sigma) for place in places]
    sampler = walk.sampler(side, draw)
    part, tap = walk.parts.at(site), walk.taps[site]
    rows = classify(walk.golden, part, tap, levels, sampler, walk.batch)
    for place, labels in zip(places, rows, strict=True):
        yield walk.point(side, place, labels)


def golden(walk: "Walk", places: Sequence[Place]) -> Iterator[Point]:
    """Measure points of a site and draw on the golden model: clean prefix and samples once."""
    site, draw = places[0].site, places[0].draw
    if site:
        part = walk.parts.at(site)
        draws = samples(walk, site, draw, len(walk.inputs))
    for place in places:
        if site:
            labels = walk.golden.run(part, walk.settings(place), draws=draws)
        else:
            labels = walk.golden.run(walk.stream)
        yield walk.point("golden", place, labels.numpy().astype(np.uint8))


def samples(walk: "Walk", site: str, draw: int, images: int) -> Draws:
    """Draw what the levels of one site and draw share."""
    # any level that the registers hold has the same samples
    taken = walk.settings(Place(site, walk.largest_level(site) / 2, draw))[site]
    if site in walk.weights:
        levels = enumerate((taken.sigma_mul, taken.sigma_add))
        weights = walk.weights[site]
        return {site: {d: draw_errors(weights, taken.seed, d) for d, sigma in levels if sigma}}
    if taken.executions > 1:
        # too many to hold
        return {}
    tap = walk.taps[site]
    size = (0, images, tap.pixels * tap.channels)
    return {
        site: {
            d: draw_samples(taken.seed, tap.number, d, *size, taken.table_of(d))
            for d in taken.draws
        }
    }


def rtl(
    walk: "Walk",
    places: Sequence[Place],
    images: int,
    failures: list[Failure],
    speed: RtlSpeed,
) -> Iterator[Point]:
    """Measure points on the simulated RTL, and hold every image against the golden model.

    Where a simulator crashes, hangs or breaks off, each of its points is tried once more, alone.

    Args:
        walk: the walk.
        places: the points.
        images: the first so many images.
        failures: takes points that failed again.
        speed: takes what was simulated.

    Raises:
        Fatal: the disk is full.
    """
    try:
        yield from _simulate(walk, places, images, speed)
    except SimulationError as error:
        log.error("%s\nonce more, point by point", error)
    else:
        return
    for place in places:
        try:
            yield from _simulate(walk, [place], images, speed)
        except SimulationError as error:
            log.error("given up: %s: %s", place, error)
            failures.append(
                Failure(place.site, place.sigma, place.draw, error.args[0], error.command)
            )


def _simulate(walk: "Walk", places: Sequence[Place], images: int, speed: RtlSpeed) -> list[Point]:
    """Run points of one simulator, one after another, and compare (L1)."""
    hardware = walk.hardware(places[0].site)
    accelerator, golden = hardware.accelerator, hardware.golden
    labels = [np.empty(images, dtype=np.uint8) for _ in places]
    mismatches = np.zeros(len(places), dtype=np.int64)
    workdir, held = _own_folder(walk.build / "runs"), simulate.images_held(accelerator)
    for first in range(0, images, held):
        part = slice(first, min(first + held, images))
        stream = hardware.feed(walk.stream[part])
        settings = [walk.settings(place, first) for place in places]
        try:
            results, seconds = simulate.simulate(
                accelerator, hardware.simulation, stream, settings, workdir
            )
        except (SimulationError, OSError) as error:
            if shutil.disk_usage(workdir).free < _ROOM:
                raise Fatal(
                    f"the disk of {workdir} is full: free some space, and run the same command "
                    "again (what was finished is kept)"
                ) from error
            raise
        speed.add((part.stop - part.start) * len(places), seconds)
        for i, (noise, result) in enumerate(zip(settings, results, strict=True)):
            labels[i][part] = result.labels
            differing = differing_images(golden, stream, noise, result)
            mismatches[i] += int(differing.sum())
            if differing.any():
                where = first_divergence(golden, stream, noise, result)
                log.error("%s: RTL differs from golden: %s", places[i], where)
    # of a run that failed it is kept, to do it again
    shutil.rmtree(workdir, ignore_errors=True)
    return [
        walk.point("rtl", place, labels[i], int(mismatches[i])) for i, place in enumerate(places)
    ]


def _own_folder(root: Path) -> Path:
    """Make a folder that no other process uses; a full disk is Fatal."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="rtl-", dir=root))
    except OSError as error:
        raise Fatal(
            f"cannot write to {root}: {error.strerror or error}; free some space, or choose a "
            "folder that can be written (what was finished before is kept)"
        ) from error
