"""A walk on the whole system: firmware sets the noise, and prints what it found.

The places are those of ``walk-hw``, the images its RTL images. Each image is compared with the
golden model, label and logits, and against what ``walk-hw`` found in the accelerator alone.
"""

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from flow.callbacks import ProgressCallback, StageClock
from flow.compiler.accelerator import Accelerator
from flow.errors import OptionError
from flow.experiments import site_levels
from flow.experiments.settings import SocWalkSettings
from flow.files import make_folder, write_json
from flow.golden.model import Record
from flow.noise.hardware.registers import TapSettings
from flow.numerics import code_digest
from flow.soc import cosim, firmware, system
from flow.soc.cosim import SocPoint
from flow.soc.system import System
from flow.statistics.estimate import Estimate
from flow.statistics.midpoint import midpoint
from flow.walks.effort import Effort
from flow.walks.engine.engine import Engine, SerialExecutor, Task
from flow.walks.loading import prepare_walk
from flow.walks.points.curves import curve_of, curve_table, write_curves
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import Side
from flow.walks.walk import Walk
from sim import runner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What the system gave at a place."""

    site: str
    sigma: float
    labels: list[int]
    bit_mismatches: int
    """Images whose label or a logit differs from golden's."""
    device_clocks: int
    firmware_clocks: int


class Bench(Protocol):
    """How a walk's system is simulated, and fed."""

    def ready(self, walk: Walk) -> tuple[System, runner.Simulation]:
        """Return the system and its simulator, built once in a process."""

    def held(self, built: System, points: int) -> int:
        """Return how many images `run` takes, with so many settings."""

    def run(
        self,
        walk: Walk,
        stream: Tensor,
        noise: Sequence[Mapping[str, TapSettings]],
        workdir: Path,
    ) -> list[SocPoint]:
        """Run images, integers [images, elements], under one setting after another."""


@dataclass(frozen=True)
class JobInMemory:
    """The system alone, whose memory holds images and settings at start."""

    def ready(self, walk: Walk) -> tuple[System, runner.Simulation]:
        """Return the system and its simulator."""
        return ready(walk)

    def held(self, built: System, points: int) -> int:
        """Return how many images memory holds."""
        return cosim.images_held(built, points)

    def run(
        self,
        walk: Walk,
        stream: Tensor,
        noise: Sequence[Mapping[str, TapSettings]],
        workdir: Path,
    ) -> list[SocPoint]:
        """Co-simulate the job."""
        return cosim.simulate(*ready(walk), stream, noise, workdir)[0]


@dataclass(frozen=True)
class Batch:
    """Places that one simulator process measures."""

    places: tuple[NoisePoint, ...]
    images: int
    system: str
    """Folder of the system's build."""
    bench: Bench


def check_sites(taps: Collection[str], sites: Sequence[str]) -> None:
    """Raise a UserError if noise at a site is none of a tap's."""
    for site in sites:
        if site not in taps:
            raise OptionError(
                "sites",
                f": site {site} has no tap: its noise is in the weights, which firmware does not "
                "program; choose others",
            )


def opened_system(accelerator: Accelerator, build: Path) -> System:
    """Build the system of an accelerator, or open it; UserError as for `system.build`."""
    return system.build(accelerator, build / "soc")


@lru_cache(maxsize=2)
def _ready(folder: Path, build: Path) -> tuple[System, runner.Simulation]:
    built = opened_system(Accelerator.open(folder), build)
    return built, system.simulator(built, root=build / "sim")


def ready(walk: Walk) -> tuple[System, runner.Simulation]:
    """Return a walk's system and its simulator, built once in a process."""
    return _ready(walk.context.accelerator.folder, walk.context.build)


def run(
    settings: SocWalkSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
    bench: Bench = JobInMemory(),
) -> dict[str, Any]:
    """Run the job.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: how the user asked for it.
        engine: does the work; this process if not given.
        bench: how the system is simulated.

    Returns:
        what ``summary.json`` holds.

    Raises:
        UserError: as for `flow.experiments.hardware_walk.walk_hw`, the cross compiler is missing,
            or a site has no tap.
        SimulationError: the simulator failed, or the firmware reported an error.
    """
    started = time.monotonic()
    firmware.require()
    engine = engine or SerialExecutor()
    prepared = prepare_walk(settings, StageClock(), progress, engine)
    walk, sites = prepared.walk, prepared.sites
    check_sites(walk.context.taps, sites)
    images = Effort.of(settings, walk.context.accelerator, len(walk.context.inputs)).hw_images
    progress("build simulators", 0, 2)
    built, simulation = bench.ready(walk)
    progress("build simulators", 1, 2)
    _ = walk.context.designs.whole.simulation
    progress("build simulators", 2, 2)
    search, found = site_levels.level_search(settings.levels), {}
    for number, site in enumerate([] if isinstance(settings.levels, tuple) else sites):
        progress("find levels", number, len(sites))
        found[site] = search(walk, site)
    progress("find levels", len(sites), len(sites))
    levels = site_levels.site_levels(walk, sites, settings.levels, found)
    places = [NoisePoint(site, sigma) for site, sigmas in levels.items() for sigma in sigmas]
    places.insert(0, NoisePoint("", 0.0))
    seen = measure_all(walk, places, images, progress, bench)
    alone = _walk_hw(walk, places, images, progress)
    result = _summary(walk, settings, sites, seen, alone) | {
        "system": describe(built, simulation),
        "command": command,
        "seconds": round(time.monotonic() - started, 2),
    }
    folder = make_folder(settings.build / "walk-soc" / prepared.folder.name)
    result["folder"] = str(folder)
    points = [_as_point(walk, one) for one in seen]
    write_curves(
        folder / "curves.parquet", curve_table(points, walk.labels, walk.reference.measure)
    )
    write_json(folder / "summary.json", result)
    return result


def describe(built: System, simulation: runner.Simulation) -> dict[str, Any]:
    """Return a summary's entries on a system."""
    return {
        "folder": str(built.folder),
        "simulation": simulation.design,
        "taps": len(built.accelerator.manifest["sites"]),
        "image_words": built.image_words,
        "memory_bytes": built.memory_bytes,
        "driver_bytes": built.firmware.driver_bytes,
        "program_bytes": built.firmware.program_bytes,
        "data_bytes": built.firmware.data_bytes,
    }


def measure_all(
    walk: Walk,
    places: Sequence[NoisePoint],
    images: int,
    progress: ProgressCallback,
    bench: Bench = JobInMemory(),
) -> list[Seen]:
    """Take places that are stored, and have the system measure the others."""
    built, _ = bench.ready(walk)
    found = {place: _stored(walk, bench, place, images) for place in places}
    missing = [place for place, one in found.items() if one is None]
    done = len(places) - len(missing)
    progress("system", done, len(places), 0)
    size = max(1, min(16, -(-len(missing) // walk.engine.workers)))
    calls = [
        Task(measure, Batch(tuple(missing[first : first + size]), images, built.folder.name, bench))
        for first in range(0, len(missing), size)
    ]
    for _, result in walk.engine.run(walk, calls):
        for one in result:
            found[NoisePoint(one.site, one.sigma)] = one
        done += len(result)
        progress("system", done, len(places), len(result) * images)
    return [one for one in found.values() if one is not None]


def measure(walk: Walk, batch: Batch) -> list[Seen]:
    """Run places on the system, hold every image against golden, and store what was found."""
    bench, images, places = batch.bench, batch.images, batch.places
    held = bench.held(bench.ready(walk)[0], len(places))
    labels = np.zeros((len(places), images), dtype=np.uint8)
    mismatches, clocks = np.zeros(len(places), dtype=np.int64), np.zeros((len(places), 2))
    root = make_folder(walk.context.build / "runs")
    workdir = Path(tempfile.mkdtemp(prefix="soc-", dir=root))
    for first in range(0, images, held):
        part = slice(first, min(first + held, images))
        stream = walk.context.stream[part]
        noise = [walk.context.settings(place, first) for place in places]
        points = bench.run(walk, stream, noise, workdir)
        for i, (point, setting) in enumerate(zip(points, noise, strict=True)):
            labels[i, part] = point.labels
            clocks[i] += point.device_clocks, point.firmware_clocks
            record = Record([walk.context.golden.scores])
            wanted = walk.context.golden.run(stream, setting, record=record).numpy()
            scores = record.streams[walk.context.golden.scores].flatten(1).numpy()
            differs = (point.labels != wanted) | (point.scores != scores).any(1)
            mismatches[i] += int(differs.sum())
            if differs.any():
                image = first + int(np.flatnonzero(differs)[0])
                log.error("%s: the system differs from golden at image %d", places[i], image)
    # kept after a failure, to repeat the run
    shutil.rmtree(workdir, ignore_errors=True)
    found = [
        Seen(
            place.site,
            place.sigma,
            labels[i].tolist(),
            int(mismatches[i]),
            int(clocks[i, 0]),
            int(clocks[i, 1]),
        )
        for i, place in enumerate(places)
    ]
    for place, one in zip(places, found, strict=True):
        write_json(_path(walk, bench, place, images), asdict(one))
    return found


def _path(walk: Walk, bench: Bench, place: NoisePoint, images: int) -> Path:
    """Return where a place's measurement lies: under the name of all that it depends on."""
    built, simulation = bench.ready(walk)
    key = walk.key(PointRequest(Side.GOLDEN, place, images)) | {
        "side": "soc",
        "system": [built.folder.name, simulation.design],
        "soc code": code_digest(__name__, type(bench).__module__),
    }
    return walk.store.path(key).with_suffix(".json")


def _stored(walk: Walk, bench: Bench, place: NoisePoint, images: int) -> Seen | None:
    path = _path(walk, bench, place, images)
    try:
        return Seen(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s is damaged and will be measured again: %s", path, error)
        return None


def _as_point(walk: Walk, one: Seen) -> Point:
    labels = np.array(one.labels, dtype=np.uint8)
    return walk.context.point(Side.RTL, NoisePoint(one.site, one.sigma), labels, one.bit_mismatches)


def _walk_hw(
    walk: Walk, places: Sequence[NoisePoint], images: int, progress: ProgressCallback
) -> list[Point]:
    """Return the points of ``walk-hw``: those it has stored, the others measured now."""
    done = 0

    def told(side: str, points: int, more: int) -> None:
        nonlocal done
        done += points
        progress("walk-hw", done, len(places), more)

    found = walk.run(walk.wanted([Side.RTL], places, images), told)
    for failure in found.failures:
        raise failure.error
    return found.points


def _summary(
    walk: Walk,
    settings: SocWalkSettings,
    sites: Sequence[str],
    seen: Sequence[Seen],
    alone: Sequence[Point],
) -> dict[str, Any]:
    points = [_as_point(walk, one) for one in seen]
    images = points[0].images
    at = {(point.site, point.sigma): point for point in alone}
    unlike = {
        (p.site, p.sigma): int((p.predictions != at[p.site, p.sigma].predictions).sum())
        for p in points
    }
    guess = walk.reference.guess

    def level(side: Sequence[Point], site: str) -> Estimate:
        curve = curve_of(side, walk.labels, site, Side.RTL)
        assert curve is not None
        return midpoint(curve, guess).estimate

    clean = seen[0]
    return {
        "model": walk.context.network.name,
        "dataset": settings.dataset,
        "noise": walk.context.setting.kind,
        "seed": settings.seed,
        "images": images,
        "points": len(points),
        "bit_mismatches": sum(one.bit_mismatches for one in seen),
        "unlike_walk_hw": sum(unlike.values()),
        "measure": walk.reference.measure,
        "clean": float(points[0].correct(walk.labels).mean()),
        "device_clocks_per_image": clean.device_clocks / images,
        "firmware_clocks_per_image": clean.firmware_clocks / images,
        "sites": {
            site: {
                "mu_soc": level(points, site),
                "mu_walk_hw": level(list(alone), site),
                "points": sum(one.site == site for one in seen),
                "bit_mismatches": sum(one.bit_mismatches for one in seen if one.site == site),
                "unlike_walk_hw": sum(n for (s, _), n in unlike.items() if s == site),
            }
            for site in sites
        },
    }
