"""The main job: walk noise through a network in software and in its RTL, and compare."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow import (
    ablation,
    checkpoint,
    checks,
    curves,
    data,
    divergence,
    looks,
    models,
    report,
    simulate,
    store,
    summary,
)
from flow.checkpoint import Metadata
from flow.compile import Accelerator, compile_network
from flow.compile.folding_target import Target, read
from flow.crosscheck import CrossCheck
from flow.devices import shared_by_images
from flow.errors import UserError
from flow.levels import SEARCH_REACH, choose_levels, parse_levels
from flow.models import evaluate
from flow.points import NoiseChoice, Place, Setting
from flow.store import Point, Store
from flow.tap_settings import TapSettings
from flow.trained import chosen_sites, find_checkpoint, load_trained
from flow.walk import RtlSpeed, Walk
from sim.runner import Simulation

log = logging.getLogger(__name__)

IMAGES = 2000
CALIBRATION_IMAGES = 200
LEVEL_IMAGES = 1000
"""Images behind each step of the search for levels."""
SMALL = 4096
"""Cycles per image up to which a network is small."""
MOST_DRAWS = 8
"""Noise draws of a site with little behind it, and of devices; in a small network twice as many."""
FINN_IMAGES = 4
"""Images of the L0 check against FINN's execution."""

Report = Callable[[str, int, int], None]
"""Called with a stage's name, the steps done and the steps in all."""


@dataclass(frozen=True)
class Settings(NoiseChoice):
    """What the user may choose."""

    model: str = "tfc"
    dataset: str = "fashion-mnist"
    noise: str = "additive"
    levels: str = "auto"
    images: int | None = None
    """Test images of a point in software and in the golden model; when not given, 2,000, or all
    where a set has fewer."""
    draws: int | None = None
    """Independent noise draws of a point in software and in the golden model; see `Effort`."""
    hw_images: int | None = None
    """Test images of a point in RTL; see `Effort`."""
    sites: str = ""
    """Names with commas between; every ``.acc`` site when empty."""
    jobs: int = 1
    """Simulator processes at a time."""
    training_noise: str = ""
    """Kind of noise the checkpoint was trained with; clean when empty."""
    checkpoint: str = ""
    """A checkpoint file in place of the zoo's."""
    cycles: int | None = None
    """Target of cycles per image for the folding; of this and the next two, at most one."""
    fps: float | None = None
    """Target of images a second at 200 MHz."""
    folding: str = ""
    """A FINN folding file; the folding's default when empty."""
    budget: float = 10.0
    """Minutes for further noise draws at sites that are undecided; 0: none."""
    ablation: bool = False
    """Whether to go from software to RTL step by step at every site; else where they differ."""
    mvu: str = "lut"
    """Matrix-vector unit: ``lut`` (ours, for few bits) or ``dsp`` (FINN's)."""
    build: Path = field(default_factory=lambda: Path("build"))

    def __post_init__(self) -> None:
        models.resolve(self.model)
        data.dataset(self.dataset)
        # rates, tables and seeds that no register holds, whatever the site
        TapSettings.of(self.setting.noise(0.0), 1.0, self.seed)
        for name in ("images", "draws", "hw_images", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}: give 1 or more")
        if not 0 <= self.budget < float("inf"):
            raise UserError(
                f"the budget is {self.budget:g}: give the minutes for further draws, or 0 for none"
            )
        parse_levels(self.levels)
        _ = self.target

    @property
    def setting(self) -> Setting:
        """The noise, all but its level."""
        return self.of_kinds([self.noise])[0]

    @property
    def target(self) -> dict[str, Any]:
        """The folding's target, as ``compile_network`` takes it."""
        nodes = read(Path(self.folding)) if self.folding else None
        target = Target(self.cycles, self.fps, nodes)
        return {"cycles": target.cycles, "fps": target.fps, "nodes": target.nodes}


@dataclass(frozen=True)
class Effort:
    """How much is measured for a point."""

    draws: Mapping[str, int]
    """By site: noise draws in software and in the golden model."""
    hw_images: int
    """Images in RTL."""

    @classmethod
    def of(cls, settings: Settings, accelerator: Accelerator, images: int) -> "Effort":
        """Return what the user asked for, and else what takes minutes.

        A small network gets more, and so does a site with little behind it, where a draw is cheap
        and the noise of few values tells draws apart. Where a draw is one device for all images,
        it gets the most; a device that the user has fixed, which further draws repeat, one.

        Args:
            settings: the user's choice.
            accelerator: the network in hardware.
            images: how many there are.
        """
        small = accelerator.manifest["cycles_per_image"] <= SMALL
        least, hw_images = (4, 128) if small else (1, 64)
        values = {name: site.pixels * site.channels for name, site in accelerator.sites.items()}
        draws, behind, every = {}, 0, sum(values.values())
        for name in reversed(values):
            behind += values[name]
            draws[name] = settings.draws or max(least, min(MOST_DRAWS, every // behind))
        most = 1 if settings.device is not None else 2 * MOST_DRAWS if small else MOST_DRAWS
        shared = [s for s in (*draws, *accelerator.weights) if shared_by_images(s, settings.noise)]
        draws |= dict.fromkeys(shared, settings.draws or most)
        return cls(draws, settings.hw_images or min(hw_images, images))


class Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


@dataclass(frozen=True)
class Opened:
    """A network with its data, compiled, ready to be measured."""

    walk: Walk
    """Without a simulator yet."""
    sites: list[str]
    """Those asked for."""
    checkpoint: Path
    metadata: Metadata
    folder: Path
    """For results."""


def open_walk(settings: Settings, clock: Clock, tell: Report) -> Opened:
    """Load a trained network and its images, and compile it.

    Args:
        settings: the user's choice.
        clock: gets the seconds of loading and of compiling.
        tell: told about progress.

    Raises:
        UserError: what is asked for does not exist, or the network cannot be compiled.
    """
    with clock.stage("load"):
        path = find_checkpoint(
            settings.model, settings.dataset, settings.training_noise, settings.checkpoint
        )
        network, metadata = load_trained(path, settings.model, settings.dataset)
        found = data.load(settings.dataset, "test", settings.images or IMAGES)
        if settings.images is not None and len(found) < settings.images:
            raise UserError(
                f"{settings.images} images were asked for, {found.source} has {len(found)}: ask "
                "for fewer"
            )
        if (settings.hw_images or 0) > len(found):
            raise UserError(
                f"hw_images is {settings.hw_images}, more than the {len(found)} images: RTL points "
                "are compared with golden ones on the same images"
            )
        inputs = data.to_input(found.images, network.image_shape)
        sites = chosen_sites(settings.sites, network, network.accumulator_sites)
        name = f"{network.name}-{settings.dataset}"
        if metadata.noise:
            name += f"-trained-{metadata.noise['kind']}"
        if settings.noise != Settings.noise:
            name += f"-{settings.noise}"
        folder = settings.build / "walk-hw" / name
    with clock.stage("compile"):
        tell("compile", 0, 1)
        accelerator = compile_network(
            network,
            inputs[:CALIBRATION_IMAGES],
            sites=[s for s in sites if not s.endswith(".acc")],
            **settings.target,
            mvu=settings.mvu,
            root=settings.build / "accelerators",
        )
        tell("compile", 1, 1)
    walk = Walk(
        network=network,
        accelerator=accelerator,
        simulation=None,
        inputs=inputs,
        labels=found.labels,
        setting=settings.setting,
        store=Store(folder / "points"),
        identity={"dataset": settings.dataset, "checkpoint": checkpoint.digest_of(path)},
    )
    return Opened(walk, sites, path, metadata, folder)


def walk_hw(settings: Settings, tell: Report, command: str = "") -> dict[str, Any]:
    """Do the job.

    Args:
        settings: the user's choice.
        tell: told about progress.
        command: how the user asked for it, for the report.

    Returns:
        what ``summary.json`` holds.

    Raises:
        UserError: something the user can mend; points already computed are kept.
    """
    clock = Clock()
    started = time.monotonic()
    opened = open_walk(settings, clock, tell)
    walk, sites, folder = opened.walk, opened.sites, opened.folder
    accelerator, network, metadata = walk.accelerator, walk.network, opened.metadata
    effort = Effort.of(settings, accelerator, len(walk.labels))
    with ThreadPoolExecutor(1) as pool:
        # the compiler works while the sides that need no simulator are measured
        tell("build simulator", 0, 1)
        building: Future = pool.submit(build, accelerator, settings)
        with clock.stage("L0"):
            level_zero = _level_zero(walk, tell)
        with clock.stage("levels"):
            places = _places(settings, effort, walk, sites, tell)
        measured: list[Point] = []
        with clock.stage("golden"):
            measured += walk.run_golden(places, _counted("golden", len(places), tell))
        with clock.stage("software"):
            measured += walk.run_software(places, _counted("software", 2 * len(places), tell))
        walk.simulation, clock.seconds["verilate"] = building.result()
        tell("build simulator", 1, 1)
    with clock.stage("rtl"):
        rtl, speed = _rtl_side(effort, settings.jobs, walk, places, folder, tell)
    located = _first_divergence(effort.hw_images, walk, rtl, folder, settings)
    with clock.stage("further"):
        stages = _staged("further draws", tell)
        measured, checked, spent = looks.look_on(
            walk, measured + rtl, network.classes, settings.budget, stages
        )
    with clock.stage("ablation"):
        steps = _ablation(settings, walk, places, measured, checked, tell)
        measured += steps.points
    clock.seconds["total"] = round(time.monotonic() - started, 2)
    result = summary.summarise(walk, measured, checked, spent, level_zero, speed) | {
        "ablation": steps.to_json(),
        "training_noise": metadata.noise,
        "checkpoint": opened.checkpoint.name,
        "command": command,
        "seconds": clock.seconds,
        "report": str(folder / "report.html"),
        "divergence": located.to_json() if located else None,
    }
    table = store.curve_table(measured, walk.labels)
    store.write_curves(folder / "curves.parquet", table)
    store.write_summary(folder / "summary.json", result)
    curves.write_curves(folder / "curves.png", result, table)
    report.write_report(folder / "report.html", result, table, folder / "curves.png")
    return result


def build(accelerator: Accelerator, settings: Settings) -> tuple[Simulation, float]:
    started = time.monotonic()
    simulation = simulate.build(accelerator, root=settings.build / "sim")
    return simulation, round(time.monotonic() - started, 2)


def _level_zero(walk: Walk, tell: Report) -> summary.LevelZero:
    tell("L0: golden = FINN", 0, 1)
    finn = checks.against_finn(walk.accelerator, walk.golden, walk.stream[:FINN_IMAGES])
    clean = evaluate(walk.network, walk.inputs, batch=walk.batch)
    labels = checks.against_brevitas(walk.golden, walk.stream, clean)
    tell("L0: golden = FINN", 1, 1)
    return summary.LevelZero(finn, labels)


def _places(
    settings: Settings, effort: Effort, walk: Walk, sites: list[str], tell: Report
) -> list[Place]:
    """List the points of the walk; a level beyond the registers is a UserError."""
    given = parse_levels(settings.levels)
    places = [Place("", 0.0)]
    for number, site in enumerate(sites):
        tell("find levels", number, len(sites))
        levels = given or found_levels(walk, site)
        for level in levels:
            walk.settings(Place(site, level))
        for draw in range(effort.draws[site]):
            places += [Place(site, sigma, draw) for sigma in levels]
    tell("find levels", len(sites), len(sites))
    return places


def found_levels(walk: Walk, site: str) -> list[float]:
    """Return the levels around the fall of a site's accuracy, as the golden model sees it."""
    accuracy = walk.golden_accuracy(site, LEVEL_IMAGES)
    largest = walk.largest_level(site)
    # the search goes up from the hint by its reach, and must not leave the registers
    hint = min(4 * walk.sites[site].scale, largest / SEARCH_REACH)
    found = choose_levels(
        accuracy, accuracy(0.0), 1 / walk.network.classes, hint=hint, tolerance=0.02
    )
    return sorted({min(level, largest) for level in found})


def _rtl_side(
    effort: Effort, jobs: int, walk: Walk, places: list[Place], folder: Path, tell: Report
) -> tuple[list[Point], RtlSpeed]:
    places = [place for place in places if place.draw == 0]
    workdir = folder / "rtl"
    done = _counted("rtl", len(places), tell)
    rtl, speed = walk.run_rtl(places, effort.hw_images, jobs, workdir, done)
    if not any(point.bit_mismatches for point in rtl):
        shutil.rmtree(workdir, ignore_errors=True)
    return rtl, speed


def _ablation(
    settings: Settings,
    walk: Walk,
    places: list[Place],
    measured: list[Point],
    checked: CrossCheck,
    tell: Report,
) -> ablation.Ablation:
    sites = ablation.chosen_sites(checked, settings.ablation, settings.budget)
    count = sum(place.site in sites and place.site in walk.taps for place in places)
    done = _counted("ablation", 2 * count, tell) if count else lambda _: None
    return ablation.ablate(walk, sites, places, measured, done)


def _staged(stage: str, tell: Report) -> Callable[[str], None]:
    """Tell of steps whose number is not known, each as it begins."""
    count = 0

    def begin(step: str) -> None:
        nonlocal count
        log.info("%s: %s", stage, step)
        tell(stage, count, count + 1)
        count += 1

    return begin


def _first_divergence(
    images: int, walk: Walk, rtl: list[Point], folder: Path, settings: Settings
) -> divergence.Localisation | None:
    """Find out where RTL and golden part, at the first point at which they do."""
    wrong = next((point for point in rtl if point.bit_mismatches), None)
    workdir = folder / "divergence"
    if wrong is None:
        # what an earlier run left says nothing about this one
        shutil.rmtree(workdir, ignore_errors=True)
        return None
    place = Place(wrong.site, wrong.sigma)
    try:
        found = divergence.localise_point(walk, place, images, workdir, root=settings.build / "sim")
    except RuntimeError:
        # the run's results are worth more than knowing the place
        log.exception("the first divergence could not be localised")
        return None
    log.error("first divergence: %s%s", found, f"\nopen: {found.command}" if found.command else "")
    return found


def _counted(stage: str, total: int, tell: Report) -> Callable[[int], None]:
    count = 0
    tell(stage, 0, total)

    def done(more: int) -> None:
        nonlocal count
        count += more
        tell(stage, count, total)

    return done
