"""A walk of ADC bits: accuracy over the bits of one site's converter instead of a noise level.

Noise of a map, and converters at other sites, are present at every point. Points are stored as in
any walk.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flow.callbacks import ProgressCallback, StageClock
from flow.data.reference import Reference
from flow.errors import OptionError
from flow.experiments.hardware_walk import FINN_IMAGES
from flow.experiments.settings import SoftwareSettings
from flow.experiments.software_job import SoftwareJob
from flow.files import write_json
from flow.models import evaluate
from flow.noise.site import Site
from flow.report import bits_page
from flow.rtl import equivalence
from flow.statistics.level_search import Search
from flow.statistics.midpoint import Curve
from flow.statistics.verdict import Verdict, overall
from flow.training.zoo import TrainedNetwork
from flow.walks.crosscheck import preliminary
from flow.walks.crosscheck.bits import bits_site
from flow.walks.effort import Effort
from flow.walks.engine.engine import Engine
from flow.walks.loading import prepare_walk
from flow.walks.points.curves import curve_table, write_curves
from flow.walks.points.measurement import Failure, Measured
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side
from flow.walks.settings import HardwareWalkSettings, NoiseOptions
from flow.walks.summaries import BitsSite, BitsWalkSummary
from flow.walks.walk import Walk


def walk_hw(
    settings: HardwareWalkSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
    clock: StageClock | None = None,
) -> BitsWalkSummary:
    """Walk ADC bits in software, in the golden model and in RTL, and compare.

    Args:
        settings: the user's settings, with several numbers of bits.
        progress: called with the progress.
        command: the command line, for the report.
        engine: runs the work; this process if not given.
        clock: measures the stages; a new one if not given.

    Returns:
        What was found; ``summary.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already computed are kept.
        SimulationError: not even the images without the walked converters could be simulated.
    """
    clock = clock or StageClock()
    prepared = prepare_walk(settings, clock, progress, engine)
    walk, sites = prepared.walk, prepared.sites
    _refuse_weights(sites)
    with clock.stage("prepare"):
        progress("build simulator", 0, 1)
        _ = walk.context.designs.whole.simulation
        progress("build simulator", 1, 1)
        golden = _check_golden(walk)
    hw_images = Effort.of(settings, walk.context.accelerator, len(walk.labels)).hw_images
    with clock.stage("measure"):
        found = _measure(walk, sites, settings.adc or (), hw_images, progress)
    points, placement = found.points, walk.context.placement
    entries = _with_failures(
        _entries(points, walk.labels, sites, placement, settings), found.failures
    )
    verdicts: list[Verdict] = [one.verdict for one in entries.values() if one.verdict]
    of_sides = preliminary.sides(points, walk.labels)
    summary = _summary(
        settings,
        placement,
        walk.reference,
        model=walk.context.network.name,
        dataset=walk.identity["dataset"],
        classes=walk.context.network.classes,
        images=of_sides["images"],
        clean=of_sides["clean"],
        training_noise=prepared.metadata.noise,
        checkpoint=prepared.checkpoint,
        sites=entries,
        verdict="disagree" if golden["mismatches"] else overall(verdicts),
        golden=golden,
        rtl=preliminary.simulated(points),
        failures=[asdict(failure) for failure in found.failures],
        command=command,
        seconds=clock.all_seconds,
        report=str(prepared.folder / "report.html"),
    )
    _write(prepared.folder, summary, curve_table(points, walk.labels, summary.measure))
    return summary


def walk(
    settings: SoftwareSettings,
    progress: ProgressCallback,
    command: str = "",
    clock: StageClock | None = None,
    *,
    trained: TrainedNetwork | None = None,
) -> BitsWalkSummary:
    """Walk ADC bits in software only.

    Args:
        settings: the user's settings, with several numbers of bits.
        progress: called with the progress.
        command: the command line, for the report.
        clock: measures the stages; a new one if not given.
        trained: the network and its images; by default those that the settings name.

    Returns:
        What was found; ``summary.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already measured are kept.
    """
    clock = clock or StageClock()
    with clock.stage("load"):
        trained = trained or TrainedNetwork.load(
            settings, settings.images, recipe=settings.recipe, metric=None
        )
        job = SoftwareJob.prepare(settings, trained)
    (setting,) = settings.kinds
    one = job.walk_of(setting)
    _refuse_weights(list(one.searches))
    with clock.stage("walk"):
        bits = tuple(float(number) for number in settings.adc or ())
        searches = {name: _AllBits.of(bits, trained) for name in one.searches}
        one.measured.run(searches, lambda done: progress("adc", done, len(searches)))
    points, reference = one.measured.points(), trained.reference
    clean = next(point for point in points if not point.site)
    summary = _summary(
        settings,
        one.placement,
        reference,
        model=trained.network.name,
        dataset=trained.images.name,
        classes=trained.network.classes,
        images={"software": len(trained.images)},
        clean={"software": clean.accuracy(reference.labels)},
        training_noise=trained.metadata.noise,
        checkpoint=trained.file_name,
        sites=_entries(points, reference.labels, list(searches), one.placement, settings),
        command=command,
        seconds=clock.all_seconds,
        report=str(job.folder / "report.html"),
    )
    _write(job.folder, summary, curve_table(points, reference.labels, summary.measure))
    return summary


class _AllBits(Search):
    """A search that requests every number of bits on all images, and has no midpoint."""

    @classmethod
    def of(cls, bits: tuple[float, ...], trained: TrainedNetwork) -> "_AllBits":
        images = [len(trained.images)]
        return cls(trained.reference.guess, images, draws=1, precision=1.0, given=bits)

    def tell(self, curve: Curve) -> None:
        """Take a measured curve, which ends the search."""
        self.state = "given"


def _refuse_weights(sites: Sequence[str]) -> None:
    """Raise an OptionError for sites of weights, which no converter reads."""
    for site in sites:
        if Site(site).is_weight:
            raise OptionError("sites", f"has {site}: weights are not read by an ADC; leave it out")


def _check_golden(walk: Walk) -> dict[str, Any]:
    """Return check L0: the golden model without converters against FINN and Brevitas."""
    context = walk.context
    finn = equivalence.against_finn(
        context.accelerator, context.golden, context.stream[:FINN_IMAGES]
    )
    clean = evaluate(context.device_network, context.inputs, batch=context.batch)
    labels = equivalence.against_brevitas(context.golden, context.stream, clean)
    more = {"labels_compared": labels.images, "labels_differing": labels.differing}
    return finn.to_json() | more


def _measure(
    walk: Walk,
    sites: Sequence[str],
    bits: Sequence[int],
    hw_images: int,
    progress: ProgressCallback,
) -> Measured:
    """Measure every side; software with the hardware's samples only if there are samples."""
    placement = walk.context.placement
    places = [NoisePoint("", 0.0)]
    for site in sites:
        places.append(NoisePoint(placement.without(site), 0.0))
        places += [NoisePoint(site, float(number)) for number in bits]
    places = list(dict.fromkeys(places))
    models = [Side.GOLDEN, Side.SOFTWARE]
    if placement.background:
        models.append(Side.SOFTWARE_HARDWARE_RNG)
    wanted = walk.wanted(models, places) + walk.wanted([Side.RTL], places, hw_images)
    totals = {side: sum(one.side is side for one in wanted) for side in (*models, Side.RTL)}
    done = dict.fromkeys(totals, 0)

    def told(side: Side, points: int, images: int) -> None:
        done[side] += points
        progress(side, done[side], totals[side], images)

    found = walk.run(wanted, told)
    if not any(point.side is Side.RTL and not point.site for point in found.points):
        raise found.failures[0].error
    return found


def _entries(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    sites: Sequence[str],
    placement: Placement,
    settings: NoiseOptions,
) -> dict[str, BitsSite]:
    """Return the entry of each site."""
    loss = settings.loss / 100
    return {site: bits_site(points, labels, site, placement, loss, len(sites)) for site in sites}


def _with_failures(
    entries: dict[str, BitsSite], failures: Sequence[Failure]
) -> dict[str, BitsSite]:
    """Return the entries; those whose RTL could not be simulated cannot agree."""
    failed = [failure.site for failure in failures]
    found = dict(entries)
    for site, entry in entries.items():
        if site in failed and entry.verdict == "agree":
            reason = f"{failed.count(site)} RTL points could not be simulated; {entry.reason}"
            found[site] = entry.model_copy(update={"verdict": "undecided", "reason": reason})
    return found


def _summary(
    settings: NoiseOptions, placement: Placement, reference: Reference, **more: Any
) -> BitsWalkSummary:
    """Return a summary; the caller gives the parts in which the two walks differ."""
    noises = {site: noise.to_json() for site, noise in placement.noise_map.items()}
    found = {
        "seed": settings.seed,
        "measure": reference.measure,
        "guessing": reference.guess,
        "loss": settings.loss,
        "percentile": settings.adc_percentile,
        "converters": {site: adc.bits for site, adc in placement.converters.items()},
        "noise_map": noises or None,
    }
    return BitsWalkSummary.model_validate(found | more)


def _write(folder: Path, summary: BitsWalkSummary, table: pd.DataFrame) -> None:
    """Write ``summary.json``, ``curves.parquet``, ``curves.csv``, the picture and the report."""
    write_curves(folder / "curves.parquet", table)
    table.to_csv(folder / "curves.csv", index=False)
    write_json(folder / "summary.json", summary.model_dump(mode="json"))
    bits_page.write(folder, summary)
