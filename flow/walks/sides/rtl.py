"""Points of the simulated RTL, each image compared with the golden model bit for bit."""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from flow.errors import Fatal
from flow.rtl import simulate
from flow.rtl.design import Design
from flow.rtl.equivalence import differing_images, first_divergence
from flow.walks.context import WalkContext
from flow.walks.points.measurement import Failure, Measured, RtlSpeed
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import Side
from sim.runner import SimulationError

log = logging.getLogger(__name__)

_ROOM = 1 << 20
"""Bytes below which a disk is full."""


def measure(
    context: WalkContext, requests: Sequence[PointRequest], found: Measured
) -> Iterator[Point]:
    """Measure points on the simulated RTL, and compare every image with the golden model.

    If a simulator crashes, hangs or stops early, each of its points is tried once more, alone.

    Args:
        context: the network, its images and noise.
        requests: the points, all on as many images.
        found: takes points that failed again, and the simulator's speed.

    Raises:
        Fatal: the disk is full.
    """
    places, images = [one.place for one in requests], requests[0].images
    try:
        yield from _simulate(context, places, images, found.speed)
    except SimulationError as error:
        log.error("%s\nonce more, point by point", error)
    else:
        return
    for place in places:
        try:
            yield from _simulate(context, [place], images, found.speed)
        except SimulationError as error:
            log.error("given up: %s: %s", place, error)
            found.failures.append(
                Failure(place.site, place.sigma, place.draw, error.args[0], error.command)
            )


def _simulate(
    context: WalkContext, places: Sequence[NoisePoint], images: int, speed: RtlSpeed
) -> list[Point]:
    """Run points of one simulator, one after another, and compare (L1)."""
    design: Design = context.designs.at(places[0].site)
    accelerator, golden = design.accelerator, design.golden
    labels = [np.empty(images, dtype=context.network.label_type) for _ in places]
    mismatches = np.zeros(len(places), dtype=np.int64)
    workdir, held = _own_folder(context.build / "runs"), simulate.images_held(accelerator)
    for first in range(0, images, held):
        part = slice(first, min(first + held, images))
        stream = design.feed(context.stream[part])
        settings = [context.settings(place, first) for place in places]
        try:
            results, seconds = simulate.simulate(
                accelerator, design.simulation, stream, settings, workdir
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
    # kept after a failure, to repeat the run
    shutil.rmtree(workdir, ignore_errors=True)
    return [
        context.point(Side.RTL, place, labels[i], int(mismatches[i]))
        for i, place in enumerate(places)
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
