"""The main job: walk noise through a network in software and in its RTL, and compare."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flow.callbacks import ProgressCallback, StageClock, count_steps, unnumbered_steps
from flow.errors import Defect, about
from flow.files import PLAN, write_json
from flow.models import evaluate
from flow.report import files
from flow.rtl import divergence, equivalence
from flow.settings import Levels, MidpointLevels
from flow.statistics.midpoint import Curve, midpoint
from flow.walks.crosscheck import ablation, further_draws, summary
from flow.walks.crosscheck.check import CrossCheck
from flow.walks.crosscheck.localise import localise_point
from flow.walks.crosscheck.sample_check import check_samples
from flow.walks.engine.engine import Engine, Task
from flow.walks.levels import SEARCH_REACH, choose_levels, in_midpoints
from flow.walks.loading import prepare_walk
from flow.walks.points.curves import curve_of, curve_table
from flow.walks.points.measurement import Measured
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import SOFTWARE, Side
from flow.walks.settings import Effort, HardwareWalkSettings
from flow.walks.sides.golden import accuracy_at
from flow.walks.summaries import HardwareWalkSummary
from flow.walks.walk import Walk

log = logging.getLogger(__name__)

LEVEL_IMAGES = 500
"""Number of images behind each step of the search for levels."""
FINN_IMAGES = 4
"""Number of images in the L0 check against FINN's execution."""


def walk_hw(
    settings: HardwareWalkSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
    clock: StageClock | None = None,
) -> HardwareWalkSummary:
    """Walk noise through a network in software and in RTL, and compare.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it, for the report.
        engine: does the work; this process if not given.
        clock: measures the stages; a new one if not given.

    Returns:
        What was found; ``summary.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already computed are kept.
        SimulationError: not even one image without noise could be simulated.
    """
    clock = clock or StageClock()
    prepared = prepare_walk(settings, clock, progress, engine)
    walk, sites, folder = prepared.walk, prepared.sites, prepared.folder
    effort = Effort.of(settings, walk.context.accelerator, len(walk.context.labels))
    level_zero, levels = _prepare_and_build(walk, sites, settings.levels, clock, progress)
    places = _places(effort, walk, levels)
    with clock.stage("measure"):
        found = _measure(walk, places, effort.hw_images, folder, progress)
    measured = found.points
    located = _first_divergence(effort.hw_images, walk, measured, folder, settings)
    with clock.stage("further"):
        measured, checked, spent = further_draws.draw_further(
            walk, measured, walk.context.network.classes, settings.budget,
            unnumbered_steps("further draws", progress),
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
        training_noise=prepared.metadata.noise,
        checkpoint=prepared.checkpoint,
        command=command,
        seconds=clock.all_seconds,
        report=str(folder / "report.html"),
        divergence=located.to_json() if located else None,
    )
    files.write(folder, result, curve_table(measured, walk.context.labels))
    return result


def _prepare_and_build(
    walk: Walk,
    sites: list[str],
    given: Levels,
    clock: StageClock,
    progress: ProgressCallback,
) -> tuple[summary.ReferenceCheck, dict[str, list[float]]]:
    """Compile the simulator while that is done which needs none; returns as `_prepare`."""
    if isinstance(given, tuple):
        _within_registers(walk, dict.fromkeys(sites, given))
    with ThreadPoolExecutor(1) as pool:
        progress("build simulator", 0, 1)
        building = pool.submit(_build, walk)
        with clock.stage("prepare"):
            found = _prepare(walk, sites, given, progress)
        clock.seconds["verilate"] = building.result()
        progress("build simulator", 1, 1)
    return found


def _build(walk: Walk) -> float:
    started = time.monotonic()
    _ = walk.context.designs.whole.simulation
    return round(time.monotonic() - started, 2)


def _within_registers(walk: Walk, levels: Mapping[str, Sequence[float]]) -> None:
    """Raise an OptionError if a level that the user gave is beyond the registers of its site."""
    for site, sigmas in levels.items():
        for sigma in sigmas:
            with about("levels"):
                walk.context.settings(NoisePoint(site, sigma))


def _prepare(
    walk: Walk, sites: list[str], given: Levels, progress: ProgressCallback
) -> tuple[summary.ReferenceCheck, dict[str, list[float]]]:
    """Check the golden model, and find what each site's levels take, if they are not numbers."""
    wanted = [] if isinstance(given, tuple) else sites
    search = level_search(given)
    calls = [Task(reference_check, tuple(sites)), *(Task(search, site) for site in wanted)]
    progress("L0: golden = FINN", 0, 1)
    if wanted:
        progress("find levels", 0, len(wanted))
    found: dict[str, Any] = {}
    for call, result in walk.engine.run(walk, calls):
        if call.work is reference_check:
            level_zero = result
            progress("L0: golden = FINN", 1, 1)
        else:
            found[call.item] = result
            progress("find levels", len(found), len(wanted))
    return level_zero, site_levels(walk, sites, given, found)


def reference_check(walk: Walk, sites: Sequence[str]) -> summary.ReferenceCheck:
    """Compare the golden model with FINN's execution and with Brevitas; check the samples."""
    context = walk.context
    finn = equivalence.against_finn(
        context.accelerator, context.golden, context.stream[:FINN_IMAGES]
    )
    clean = evaluate(context.network, context.inputs, batch=context.batch)
    labels = equivalence.against_brevitas(context.golden, context.stream, clean)
    return summary.ReferenceCheck(finn, labels, check_samples(context, sites))


def _places(effort: Effort, walk: Walk, levels: dict[str, list[float]]) -> list[NoisePoint]:
    """List the points of the walk."""
    places = [NoisePoint("", 0.0)]
    for site, found in levels.items():
        for draw in range(effort.draws[site]):
            places += [NoisePoint(site, sigma, draw) for sigma in found]
    return places


def _measure(
    walk: Walk, places: list[NoisePoint], hw_images: int, folder: Path, progress: ProgressCallback
) -> Measured:
    """Measure the first points of every side; in RTL, of the first noise draw."""
    wanted = walk.wanted((Side.GOLDEN, *SOFTWARE), places)
    first = [place for place in places if place.draw == 0]
    wanted += walk.wanted([Side.RTL], first, hw_images)
    plan: dict[str, list[str]] = {}
    for one in wanted:
        plan.setdefault(one.side.without_noise, []).append(walk.file_name(one))
    write_json(folder / PLAN, plan)
    totals = {name: len(files) for name, files in plan.items()}
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


def golden_curve(walk: Walk, site: str) -> Curve:
    """Return golden's curve at the levels of `found_levels`: all images, one noise draw."""
    places = [NoisePoint(site, sigma) for sigma in found_levels(walk, site)]
    points = walk.run(walk.wanted([Side.GOLDEN], [NoisePoint("", 0.0), *places])).points
    curve = curve_of(points, walk.labels, site, Side.GOLDEN)
    if curve is None:
        raise Defect(f"golden measured nothing at {site}")
    return curve


def level_search(given: Levels) -> Callable[[Walk, str], Any]:
    """Return what searches a site for what its levels depend on, if they are not numbers."""
    return golden_curve if isinstance(given, MidpointLevels) else found_levels


def site_levels(
    walk: Walk, sites: Sequence[str], given: Levels, found: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Return the levels of each site.

    Args:
        walk: the walk.
        sites: the sites.
        given: what the user gave; multiples are those of golden's midpoint.
        found: what `level_search` found at each site; nothing where levels are numbers.

    Raises:
        OptionError: a site's midpoint is only a bound, or a multiple is beyond its registers.
    """
    if isinstance(given, tuple):
        return {site: list(given) for site in sites}
    if not isinstance(given, MidpointLevels):
        return {site: found[site] for site in sites}
    guess = 1 / walk.context.network.classes
    levels = in_midpoints(given, {site: midpoint(found[site], guess) for site in sites})
    _within_registers(walk, levels)
    return levels


def _ablation(
    settings: HardwareWalkSettings,
    walk: Walk,
    places: list[NoisePoint],
    measured: list[Point],
    checked: CrossCheck,
    progress: ProgressCallback,
) -> ablation.Ablation:
    sites = ablation.chosen_sites(checked, settings.ablation, settings.budget)
    count = sum(place.site in sites and place.site in walk.context.taps for place in places)
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
