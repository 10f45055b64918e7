"""The main job: walk noise through a network in software and in its RTL, and compare."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.callbacks import ProgressCallback, StageClock, count_steps, unnumbered_steps
from flow.experiments.preliminary import (
    PlannedDraws,
    Preliminary,
    UnfinishedWalk,
    no_results,
)
from flow.experiments.site_levels import LevelSearch, check_registers, level_search, site_levels
from flow.models import evaluate
from flow.report import files
from flow.rtl import divergence, equivalence
from flow.settings import AUTO
from flow.walks.crosscheck import ablation, further_draws, summary
from flow.walks.crosscheck.check import CrossCheck
from flow.walks.crosscheck.localise import localise_point
from flow.walks.crosscheck.sample_check import check_samples
from flow.walks.effort import Effort
from flow.walks.engine.engine import Engine, Task
from flow.walks.loading import PreparedWalk, prepare_walk
from flow.walks.points.curves import curve_table
from flow.walks.points.measurement import Measured
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import SOFTWARE, Side
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import HardwareWalkSummary
from flow.walks.walk import Walk

log = logging.getLogger(__name__)

SiteLevels = dict[str, list[float]]
"""Noise levels by site."""

FINN_IMAGES = 4
"""Number of images in the L0 check against FINN's execution."""
_OUTER_SHARE = 4
"""An outer level has one in this many images in software and golden, but at least these:"""
_OUTER_IMAGES = 250


def walk_hw(
    settings: HardwareWalkSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
    clock: StageClock | None = None,
    tell: Callable[[HardwareWalkSummary], None] = no_results,
) -> HardwareWalkSummary:
    """Walk noise through a network in software and in RTL, and compare.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line, for the report.
        engine: runs the work; this process if not given.
        clock: measures the stages; a new one if not given.
        tell: called with each preliminary summary: after a minute, then now and then, and where the
            walk stops before its end.

    Returns:
        What was found; ``summary.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already computed are kept.
        SimulationError: not even one image without noise could be simulated.
    """
    settings.check_no_bits_walk()
    clock = clock or StageClock()
    prepared = prepare_walk(settings, clock, progress, engine)
    job = _Job(settings, prepared, UnfinishedWalk(prepared.walk, prepared.folder, clock), command)
    with Preliminary(clock, job.unfinished.write, tell) as preliminary:
        return job.run(clock, preliminary.follow(progress))


@dataclass(frozen=True)
class _Job:
    """A walk that is prepared."""

    settings: HardwareWalkSettings
    prepared: PreparedWalk
    unfinished: UnfinishedWalk
    """Its folder until it ends."""
    command: str

    @property
    def known(self) -> dict[str, Any]:
        """Fields of the summary that only the job knows."""
        return {
            "training_noise": self.prepared.metadata.noise,
            "checkpoint": self.prepared.checkpoint,
            "command": self.command,
            "report": str(self.prepared.folder / "report.html"),
        }

    def run(self, clock: StageClock, progress: ProgressCallback) -> HardwareWalkSummary:
        """Measure, judge and report the walk; arguments, result and errors as of `walk_hw`."""
        settings, walk, folder = self.settings, self.prepared.walk, self.prepared.folder
        context = walk.context
        shared = context.placement.shared
        effort = Effort.of(settings, context.accelerator, len(walk.labels), shared)
        level_zero, levels, outer = self.prepare_and_build(clock, progress)
        places = _places(effort, walk, levels)
        with clock.stage("measure"):
            found = self.measure(places, outer, effort.hw_images, progress)
        measured = found.points
        located = _first_divergence(effort.hw_images, walk, measured, folder, settings)
        with clock.stage("further"):
            measured, checked, spent = further_draws.draw_further(
                PlannedDraws(self.unfinished), measured, walk.reference.guess,
                settings.budget, unnumbered_steps("further draws", progress),
                design=settings.design, margin=settings.margin,
            )  # fmt: skip
        with clock.stage("ablation"):
            steps = _ablation(settings, walk, places, measured, checked, progress)
            measured += steps.points
        result = summary.summarise(
            walk,
            measured,
            checked,
            spent,
            level_zero,
            found,
            ablation=steps.to_json(),
            seconds=clock.all_seconds,
            divergence=located.to_json() if located else None,
            **self.known,
        )
        files.write(folder, result, curve_table(measured, walk.labels, result.measure))
        return result

    def prepare_and_build(
        self, clock: StageClock, progress: ProgressCallback
    ) -> tuple[summary.ReferenceCheck, SiteLevels, SiteLevels]:
        """Compile the simulator while that is done which needs none; returns as `prepare`."""
        walk, given = self.prepared.walk, self.settings.levels
        if isinstance(given, tuple):
            check_registers(walk, dict.fromkeys(self.prepared.sites, given))
        pool = ThreadPoolExecutor(1)
        try:
            progress("build simulator", 0, 1)
            building = pool.submit(_build, walk)
            with clock.stage("prepare"):
                found = self.prepare(clock, progress)
            clock.seconds["verilate"] = building.result()
            progress("build simulator", 1, 1)
        finally:
            # what stops the walk does not wait for the compiler
            pool.shutdown(wait=False)
        return found

    def prepare(
        self, clock: StageClock, progress: ProgressCallback
    ) -> tuple[summary.ReferenceCheck, SiteLevels, SiteLevels]:
        """Check the golden model, and find what each site's levels take, unless given.

        Returns:
            The check, the levels, and those of them that need few images.
        """
        walk, sites, settings = self.prepared.walk, self.prepared.sites, self.settings
        wanted = [] if isinstance(settings.levels, tuple) else sites
        search = level_search(settings.levels)
        calls = [Task(reference_check, tuple(sites)), *(Task(search, site) for site in wanted)]
        progress("L0: golden = FINN", 0, 1)
        if wanted:
            progress("find levels", 0, len(wanted))
        found: dict[str, LevelSearch] = {}
        for call, result in walk.engine.run(walk, calls):
            if call.work is reference_check:
                level_zero = result
                self.begin(level_zero, clock)
                progress("L0: golden = FINN", 1, 1)
            else:
                found[call.item] = result
                self.unfinished.add_search(result.points)
                progress("find levels", len(found), len(wanted))
        outer: SiteLevels = {}
        if settings.levels == AUTO and settings.design == "common":
            # where images share their noise, each draw is a device of its own, and all are needed
            shared = walk.context.placement.shared
            outer = {site: found[site].outer for site in sites if not shared(site)}
        return level_zero, site_levels(walk, sites, settings.levels, found), outer

    def begin(self, level_zero: summary.ReferenceCheck, clock: StageClock) -> None:
        """Write the first preliminary summary."""
        settings, walk = self.settings, self.prepared.walk
        begun = summary.begun(
            walk,
            self.prepared.sites,
            level_zero,
            settings.design,
            settings.margin,
            seconds=clock.all_seconds,
            **self.known,
        )
        self.unfinished.begin(begun)

    def measure(
        self,
        places: list[NoisePoint],
        outer: SiteLevels,
        hw_images: int,
        progress: ProgressCallback,
    ) -> Measured:
        """Measure the first points of every side; in RTL, of the first noise draw."""
        walk, models = self.prepared.walk, (Side.GOLDEN, *SOFTWARE)
        every = len(walk.labels)
        few = min(every, max(every // _OUTER_SHARE, _OUTER_IMAGES, hw_images))
        shape = [place for place in places if place.sigma in outer.get(place.site, [])]
        wanted = walk.wanted(models, [place for place in places if place not in shape])
        wanted += walk.wanted(models, shape, few)
        first = [place for place in places if place.draw == 0]
        wanted += walk.wanted([Side.RTL], first, hw_images)
        totals = self.unfinished.add(wanted)
        done, images = dict.fromkeys(totals, 0), dict.fromkeys(totals, 0)

        def told(side: Side, points: int, more: int) -> None:
            name = side.without_noise
            done[name] += points
            images[name] += more
            progress(name, done[name], totals[name], images[name])

        found = walk.run(wanted, told)
        if not any(point.side is Side.RTL and not point.site for point in found.points):
            # without it there is nothing to compare noise with
            raise found.failures[0].error
        return found


def _build(walk: Walk) -> float:
    started = time.monotonic()
    _ = walk.context.designs.whole.simulation
    return round(time.monotonic() - started, 2)


def reference_check(walk: Walk, sites: Sequence[str]) -> summary.ReferenceCheck:
    """Compare the golden model with FINN's execution and with Brevitas; check the samples."""
    context = walk.context
    finn = equivalence.against_finn(
        context.accelerator, context.golden, context.stream[:FINN_IMAGES]
    )
    clean = evaluate(context.device_network, context.inputs, batch=context.batch)
    labels = equivalence.against_brevitas(context.golden, context.stream, clean)
    return summary.ReferenceCheck(finn, labels, check_samples(context, sites))


def _places(effort: Effort, walk: Walk, levels: dict[str, list[float]]) -> list[NoisePoint]:
    """List the points of the walk; those of level 0 have draws as well if a map has noise there."""
    placement = walk.context.placement
    places = [NoisePoint("", 0.0)]
    for site, found in levels.items():
        for draw in range(effort.draws[site]):
            if placement.background:
                places.append(NoisePoint(placement.without(site), 0.0, draw))
            places += [NoisePoint(site, sigma, draw) for sigma in found]
    return list(dict.fromkeys(places))


def _ablation(
    settings: HardwareWalkSettings,
    walk: Walk,
    places: list[NoisePoint],
    measured: list[Point],
    checked: CrossCheck,
    progress: ProgressCallback,
) -> ablation.Ablation:
    sites = ablation.chosen_sites(checked, settings.ablation, settings.budget)
    count = len(ablation.places_of(walk, sites, places))
    done = count_steps("ablation", 2 * count, progress) if count else lambda _: None
    return ablation.ablate(walk, sites, places, measured, done, settings.margin)


def _first_divergence(
    images: int, walk: Walk, points: list[Point], folder: Path, settings: HardwareWalkSettings
) -> divergence.Localisation | None:
    """Find where RTL and golden diverge, at the first point at which they do."""
    wrong = next((point for point in points if point.bit_mismatches), None)
    workdir = folder / "divergence"
    if wrong is None:
        # files of an earlier run say nothing about this one
        shutil.rmtree(workdir, ignore_errors=True)
        return None
    place = NoisePoint(wrong.site, wrong.sigma)
    try:
        found = localise_point(walk, place, images, workdir, root=settings.build / "sim")
    except RuntimeError:
        # the results of the run matter more than the place
        log.exception("the first divergence could not be localised")
        return None
    log.error("first divergence: %s%s", found, f"\nopen: {found.command}" if found.command else "")
    return found
