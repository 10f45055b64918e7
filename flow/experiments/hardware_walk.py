"""The main job: walk noise through a network in software and in its RTL, and compare."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from flow.cli.printing.compile import Loaded
from flow.errors import UserError
from flow.experiments.studies.status import PLAN
from flow.models import evaluate
from flow.report import files
from flow.rtl import divergence, equivalence
from flow.training import checkpoint
from flow.training.checkpoint import Metadata
from flow.walk.crosscheck import ablation, further_draws, summary
from flow.walk.crosscheck.check import CrossCheck
from flow.walk.engine.engine import Call, Engine, Here
from flow.walk.levels import SEARCH_REACH, choose_levels, parse_levels
from flow.walk.points import store
from flow.walk.points.measurement import Measured
from flow.walk.points.noise_setting import Place
from flow.walk.points.side import SOFTWARE, Side
from flow.walk.points.store import Point, Store
from flow.walk.settings import Effort, Settings
from flow.walk.sides.golden import accuracy_at
from flow.walk.walk import Walk

log = logging.getLogger(__name__)

LEVEL_IMAGES = 1000
"""Images behind each step of the search for levels."""
FINN_IMAGES = 4
"""Images of the L0 check against FINN's execution."""


class Report(Protocol):
    """Told about progress."""

    def __call__(self, stage: str, done: int, total: int, images: int = 0) -> None:
        """Take a stage's name, the steps done and in all, and images measured by now."""


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
class Opening:
    """How another process opens a walk."""

    settings: Settings
    identity: tuple[tuple[str, str], ...]
    """Of the walk: what lies under a name may change."""

    def __call__(self) -> Walk:
        """Open it, or take what was opened before."""
        return _reopened(self)


@lru_cache(maxsize=4)
def _reopened(opening: Opening) -> Walk:
    return open_walk(opening.settings, Clock(), nobody).walk


def nobody(stage: str, done: int, total: int, images: int = 0) -> None:
    """Be told about progress, and tell no one."""


@dataclass(frozen=True)
class Opened:
    """A network with its data, compiled, ready to be measured."""

    walk: Walk
    sites: list[str]
    """Those asked for."""
    checkpoint: Path
    metadata: Metadata
    folder: Path
    """For results."""


def open_walk(
    settings: Settings, clock: Clock, tell: Report, engine: Engine | None = None
) -> Opened:
    """Load a trained network and its images, and compile it.

    Args:
        settings: the user's choice.
        clock: gets the seconds of loading and of compiling.
        tell: told about progress.
        engine: does the walk's work; this process if not given.

    Raises:
        UserError: what is asked for does not exist, or the network cannot be compiled.
    """
    with clock.stage("load"):
        loaded = Loaded.of(settings)
        network, metadata, found = loaded.network, loaded.metadata, loaded.images
        if (settings.hw_images or 0) > len(found):
            raise UserError(
                f"hw_images is {settings.hw_images}, more than the {len(found)} images: RTL points "
                "are compared with golden ones on the same images"
            )
        name = f"{network.name}-{found.name}"
        if metadata.noise:
            name += f"-trained-{metadata.noise['kind']}"
        if settings.noise != Settings.noise:
            name += f"-{settings.noise}"
        folder = store.make_folder(settings.out or settings.build / "walk-hw" / name)
    with clock.stage("compile"):
        accelerator = loaded.compiled(settings, tell)
    identity = {"dataset": found.name, "checkpoint": checkpoint.digest_of(loaded.checkpoint)}
    walk = Walk(
        network=network,
        accelerator=accelerator,
        inputs=loaded.inputs,
        labels=found.labels,
        setting=settings.setting,
        store=Store(settings.build / "points"),
        build=settings.build,
        identity=identity,
        scope=settings.scope,
        engine=engine or Here(),
        opening=Opening(settings, tuple(identity.items())),
    )
    return Opened(walk, loaded.sites, loaded.checkpoint, metadata, folder)


def walk_hw(
    settings: Settings, tell: Report, command: str = "", engine: Engine | None = None
) -> dict[str, Any]:
    """Do the job.

    Args:
        settings: the user's choice.
        tell: told about progress.
        command: how the user asked for it, for the report.
        engine: does the work; this process if not given.

    Returns:
        what ``summary.json`` holds.

    Raises:
        UserError: something the user can mend; points already computed are kept.
        SimulationError: not even one image without noise could be simulated.
    """
    clock = Clock()
    started = time.monotonic()
    opened = open_walk(settings, clock, tell, engine)
    walk, sites, folder = opened.walk, opened.sites, opened.folder
    accelerator, network, metadata = walk.context.accelerator, walk.context.network, opened.metadata
    effort = Effort.of(settings, accelerator, len(walk.context.labels))
    with ThreadPoolExecutor(1) as pool:
        # the compiler works while the sides that need no simulator are looked at
        tell("build simulator", 0, 1)
        building = pool.submit(_build, walk)
        with clock.stage("prepare"):
            level_zero, levels = _prepare(walk, sites, settings, tell)
        places = _places(effort, walk, levels)
        clock.seconds["verilate"] = building.result()
        tell("build simulator", 1, 1)
    with clock.stage("measure"):
        found = _measure(walk, places, effort.hw_images, folder, tell)
    measured = found.points
    located = _first_divergence(effort.hw_images, walk, measured, folder, settings)
    with clock.stage("further"):
        stages = _staged("further draws", tell)
        measured, checked, spent = further_draws.look_on(
            walk, measured, network.classes, settings.budget, stages
        )
    with clock.stage("ablation"):
        steps = _ablation(settings, walk, places, measured, checked, tell)
        measured += steps.points
    clock.seconds["total"] = round(time.monotonic() - started, 2)
    result = summary.summarise(walk, measured, checked, spent, level_zero, found) | {
        "ablation": steps.to_json(),
        "training_noise": metadata.noise,
        "checkpoint": opened.checkpoint.name,
        "command": command,
        "seconds": clock.seconds,
        "report": str(folder / "report.html"),
        "divergence": located.to_json() if located else None,
    }
    table = store.curve_table(measured, walk.context.labels)
    files.write(folder, result, table)
    return result


def _build(walk: Walk) -> float:
    started = time.monotonic()
    _ = walk.context.designs.whole.simulation
    return round(time.monotonic() - started, 2)


def _prepare(
    walk: Walk, sites: list[str], settings: Settings, tell: Report
) -> tuple[summary.LevelZero, dict[str, list[float]]]:
    """Check the golden model, and find each site's levels where none were given."""
    given = parse_levels(settings.levels)
    wanted = [] if given else sites
    calls = [Call(_level_zero, FINN_IMAGES), *(Call(found_levels, site) for site in wanted)]
    tell("L0: golden = FINN", 0, 1)
    if wanted:
        tell("find levels", 0, len(wanted))
    levels = dict.fromkeys(sites, given or [])
    done = 0
    for call, result in walk.engine.run(walk, calls):
        if call.work is _level_zero:
            level_zero = result
            tell("L0: golden = FINN", 1, 1)
        else:
            levels[call.item] = result
            done += 1
            tell("find levels", done, len(wanted))
    return level_zero, levels


def _level_zero(walk: Walk, images: int) -> summary.LevelZero:
    """Hold the golden model against FINN's execution, and against Brevitas."""
    finn = equivalence.against_finn(
        walk.context.accelerator, walk.context.golden, walk.context.stream[:images]
    )
    clean = evaluate(walk.context.network, walk.context.inputs, batch=walk.context.batch)
    return summary.LevelZero(
        finn, equivalence.against_brevitas(walk.context.golden, walk.context.stream, clean)
    )


def _places(effort: Effort, walk: Walk, levels: dict[str, list[float]]) -> list[Place]:
    """List the points of the walk; a level beyond the registers is a UserError."""
    places = [Place("", 0.0)]
    for site, found in levels.items():
        for level in found:
            walk.context.settings(Place(site, level))
        for draw in range(effort.draws[site]):
            places += [Place(site, sigma, draw) for sigma in found]
    return places


def _measure(
    walk: Walk, places: list[Place], hw_images: int, folder: Path, tell: Report
) -> Measured:
    """Measure the first points of every side; in RTL, of the first noise draw."""
    wanted = walk.wanted((Side.GOLDEN, *SOFTWARE), places)
    first = [place for place in places if place.draw == 0]
    wanted += walk.wanted([Side.RTL], first, hw_images)
    plan: dict[str, list[str]] = {}
    for one in wanted:
        plan.setdefault(one.side.without_noise, []).append(walk.file_name(one))
    store.write_summary(folder / PLAN, plan)
    totals = {name: len(files) for name, files in plan.items()}
    done, images = dict.fromkeys(totals, 0), dict.fromkeys(totals, 0)

    def told(side: Side, points: int, more: int) -> None:
        name = side.without_noise
        done[name] += points
        images[name] += more
        tell(name, done[name], totals[name], images[name])

    found = walk.run(wanted, told)
    if not any(point.side is Side.RTL and not point.site for point in found.points):
        # without it there is nothing to compare noise with
        raise found.failures[0].error
    return found


def found_levels(walk: Walk, site: str) -> list[float]:
    """Return the levels around the fall of a site's accuracy, as the golden model sees it."""
    accuracy = accuracy_at(walk.context, site, LEVEL_IMAGES)
    largest = walk.context.largest_level(site)
    # the search goes up from the hint by its reach, and must not leave the registers
    hint = min(4 * walk.context.sites[site].scale, largest / SEARCH_REACH)
    found = choose_levels(
        accuracy, accuracy(0.0), 1 / walk.context.network.classes, hint=hint, tolerance=0.02
    )
    return sorted({min(level, largest) for level in found})


def _ablation(
    settings: Settings,
    walk: Walk,
    places: list[Place],
    measured: list[Point],
    checked: CrossCheck,
    tell: Report,
) -> ablation.Ablation:
    sites = ablation.chosen_sites(checked, settings.ablation, settings.budget)
    count = sum(place.site in sites and place.site in walk.context.taps for place in places)
    done = _counted("ablation", 2 * count, tell) if count else lambda _: None
    return ablation.ablate(walk, sites, places, measured, done)


def told_of(tell: Report, name: str, stage: str, done: int, total: int, images: int = 0) -> None:
    """Tell of one of several walks by its name."""
    tell(f"{name}: {stage}", done, total, images)


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
    images: int, walk: Walk, points: list[Point], folder: Path, settings: Settings
) -> divergence.Localisation | None:
    """Find out where RTL and golden part, at the first point at which they do."""
    wrong = next((point for point in points if point.bit_mismatches), None)
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
