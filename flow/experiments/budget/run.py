"""The ``budget`` command: search, judge, prove in hardware, report."""

from flow.callbacks import ProgressCallback, StageClock, prefixed
from flow.experiments import hardware_walk
from flow.experiments.budget import results
from flow.experiments.budget.families import families
from flow.experiments.budget.job import BudgetJob, prepare
from flow.experiments.budget.judgement import Judge, Judged, judge
from flow.experiments.budget.selection import Selection, select
from flow.experiments.budget.settings import BudgetSettings
from flow.experiments.budget.summary import BudgetSummary, Proof
from flow.experiments.site_levels import found_levels
from flow.noise.noise_map import NoiseMap
from flow.noise.site import GLOBAL, MAP
from flow.report.budget_page import write as write_page
from flow.walks.engine.engine import Engine
from flow.walks.settings import AcceleratorSettings, HardwareWalkSettings

HW_IMAGES = 256
"""Images of the proof in RTL, where the user does not say."""


def run(
    settings: BudgetSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
    clock: StageClock | None = None,
) -> BudgetSummary:
    """Find the cheapest noise for an accuracy, judge it, and check it in hardware.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line, for the report.
        engine: runs the walk of the plan; this process if not given.
        clock: measures the stages; a new one if not given.

    Returns:
        What was found; ``budget.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already measured are kept.
    """
    clock = clock or StageClock()
    job = prepare(settings, clock, progress)
    with clock.stage("search"):
        found = search(job, progress)
    with clock.stage("judge"):
        by, rules = judged(job, found, progress)
        margins = results.margins(by, found)
    with clock.stage("prove"):
        proof = prove(job, progress, engine)
    summary = results.summarise(job, found, rules, margins, proof, command, clock.all_seconds)
    results.write(job.folder, summary)
    write_page(job.folder, summary.model_dump(mode="json"))
    return summary


def search(job: BudgetJob, progress: ProgressCallback) -> Selection:
    """Find the plan, and write it."""
    bench = job.selection
    found = select(
        bench, job.cost, job.target, bench.space,
        lambda done, total: progress("search", done, total),
    )  # fmt: skip
    # the map's σ have few digits: the plan is what it says
    found.plan = bench.settled(found.plan)
    results.write_map(job.map, bench.map_of(found.plan), job.title)
    return found


def judged(
    job: BudgetJob, found: Selection, progress: ProgressCallback
) -> tuple[Judge, dict[str, Judged]]:
    """Judge the plan and the other rules."""
    bench = job.judgement
    by = Judge(
        bench, job.cost, bench.space, job.target.loss, found.losses, found.changed, job.draws
    )
    directions = families(found.plan, found.log_mu, bench.space, bench.shares, job.settings.seed)
    rules = judge(
        by, directions, found.response, lambda done, total: progress("judge", done, total)
    )
    return by, rules


def prove(job: BudgetJob, progress: ProgressCallback, engine: Engine | None) -> Proof:
    """Walk the plan, a noise map, in software, in the golden model and in RTL."""
    settings, plan = job.settings, NoiseMap.read(job.map)
    # converters alone have no σ to scale: noise at every accumulator comes on top of them
    site, at_plan = (MAP, {1.0}) if plan.sites else (GLOBAL, set())
    search = found_levels(job.whole.mapped(plan.sites, plan.adc), site)
    fields = {*AcceleratorSettings.model_fields, "device", "seed", "adc_percentile"} - {"sites"}
    own = {name: getattr(settings, name) for name in sorted(fields)}
    images, folder = job.whole.images, job.folder / "proof"
    asked = HardwareWalkSettings(
        **own,
        sites=(site,),
        noise_map=job.map,
        levels=tuple(sorted({*at_plan, *search.levels[::2]})),
        images=images,
        hw_images=min(settings.hw_images or HW_IMAGES, images),
        budget=0,
        out=folder,
    )

    def told(stage: str, done: int, total: int, images: int = 0) -> None:
        prefixed(progress, "proof", stage, done, total, images)

    found = hardware_walk.walk_hw(asked, told, engine=engine)
    return results.proof_of(found, site, folder, images)
