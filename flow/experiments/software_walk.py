"""The ``walk`` command: where does a network break under noise, in software alone?"""

from collections.abc import Callable, Mapping, Sequence

from flow.callbacks import ProgressCallback, StageClock
from flow.experiments.preliminary import Preliminary, no_results
from flow.experiments.settings import SoftwareSettings
from flow.experiments.software_job import KindWalk, SoftwareJob
from flow.files import write_json
from flow.report.plots import software_walk
from flow.statistics.estimate import Estimate
from flow.training.zoo import TrainedNetwork
from flow.walks.points.curves import curve_table, write_curves
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import Point
from flow.walks.summaries import Progress, SoftwareKind, SoftwareWalkSummary


def walk(
    settings: SoftwareSettings,
    progress: ProgressCallback,
    command: str = "",
    clock: StageClock | None = None,
    tell: Callable[[SoftwareWalkSummary], None] = no_results,
    *,
    trained: TrainedNetwork | None = None,
    kinds: Sequence[NoiseSetting] | None = None,
) -> SoftwareWalkSummary:
    """Walk a network, and write ``summary.json``, ``curves.parquet`` and two pictures.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line, for the summary.
        clock: measures the stages; a new one if not given.
        tell: called with each preliminary summary: after a minute, then now and then, and where the
            walk stops before its end.
        trained: the network and its images; by default those that the settings name.
        kinds: the kinds of noise; by default those that the settings name.

    Returns:
        What was found; ``summary.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already measured are kept.
    """
    settings.check_no_bits_walk()
    clock = clock or StageClock()
    with clock.stage("load"):
        trained = trained or TrainedNetwork.load(
            settings,
            settings.images,
            recipe=settings.recipe,
            metric=settings.judged_by,
        )
        job = SoftwareJob.prepare(settings, trained)
    walks = [job.walk_of(setting) for setting in kinds or settings.kinds]

    def write(running: bool) -> SoftwareWalkSummary | None:
        done = {one.placement.kind: one.ended for one in walks}
        planned = {one.placement.kind: len(one.searches) for one in walks}
        progress = Progress(running=running, done=done, planned=planned)
        begun = [one for one in walks if one.measured.points()]
        return _write(job, begun, command, clock, progress) if begun else None

    with Preliminary(clock, write, tell) as preliminary:
        with clock.stage("walk"):
            for one in walks:
                one.run(preliminary.follow(progress))
        return _write(job, walks, command, clock)


def _write(
    job: SoftwareJob,
    walks: Sequence[KindWalk],
    command: str,
    clock: StageClock,
    progress: Progress | None = None,
) -> SoftwareWalkSummary:
    """Write the results of walks, complete if there is no progress, and return their summary."""
    points: list[Point] = []
    kinds: dict[str, SoftwareKind] = {}
    for one in walks:
        found = one.measured.points()
        kinds[one.placement.kind] = one.found(found)
        points += [point for point in found if point.site or not points]
    placement = walks[0].placement
    summary = _summary(job, points, kinds, placement, command, clock.all_seconds, progress)
    reference = job.trained.reference
    table = curve_table(points, reference.labels, reference.measure)
    write_curves(job.folder / "curves.parquet", table)
    write_json(job.folder / "summary.json", summary.model_dump(mode="json"))
    software_walk.write(job.folder, summary, table)
    return summary


def _summary(
    job: SoftwareJob,
    points: Sequence[Point],
    kinds: Mapping[str, SoftwareKind],
    placement: Placement,
    command: str,
    seconds: Mapping[str, float],
    progress: Progress | None,
) -> SoftwareWalkSummary:
    """Return what the walk found and what it depends on."""
    settings, trained = job.settings, job.trained
    clean = next(point for point in points if not point.site)
    return SoftwareWalkSummary(
        complete=progress is None,
        progress=progress,
        model=trained.network.name,
        dataset=trained.images.name,
        noise=list(kinds),
        seed=settings.seed,
        classes=trained.network.classes,
        images={"software": len(trained.images)},
        measure=trained.reference.measure,
        guessing=trained.reference.guess,
        clean={"software": Estimate(*clean.accuracy(trained.reference.labels))},
        precision=settings.precision_of_mu,
        max_seconds=settings.max_seconds,
        max_noisy_images=settings.max_noisy_images,
        images_evaluated=job.budget.used,
        kinds=dict(kinds),
        noise_map={site: one.to_json() for site, one in placement.noise_map.items()} or None,
        converters={site: adc.bits for site, adc in placement.converters.items()} or None,
        retrain=settings.retrain,
        retrain_from=settings.retrain_from if settings.retrain else None,
        clamp=settings.clamp,
        metric=None if trained.metric is None else trained.metric.to_json(),
        recipe=trained.metadata.recipe,
        image_range=trained.image_range,
        training_noise=trained.metadata.noise,
        checkpoint=trained.file_name,
        identity=dict(job.identity),
        command=command,
        folder=str(job.folder),
        seconds=dict(seconds),
    )
