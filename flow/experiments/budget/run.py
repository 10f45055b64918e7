"""The ``budget`` command: search, judge, prove in hardware, report."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flow.callbacks import ProgressCallback, StageClock, prefixed
from flow.errors import OptionError, about
from flow.experiments import hardware_walk
from flow.experiments.budget import cost as costs
from flow.experiments.budget import results
from flow.experiments.budget.bench import GoldenBench, halves, share_of, work_of
from flow.experiments.budget.families import families
from flow.experiments.budget.judgement import Judge, Judged, judge
from flow.experiments.budget.knobs import ADC, EXECUTIONS, KNOBS, SIGMA, Knob
from flow.experiments.budget.selection import Selection, Target, select
from flow.experiments.budget.settings import BudgetSettings
from flow.experiments.budget.sources import Source, Space
from flow.experiments.budget.summary import BudgetSummary, Proof
from flow.experiments.site_levels import found_levels
from flow.noise import Adc, Noise
from flow.noise.noise_map import NoiseMap
from flow.noise.site import GLOBAL, MAP
from flow.report.budget_page import in_words
from flow.report.budget_page import write as write_page
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import share
from flow.walks.engine.engine import Engine
from flow.walks.loading import PreparedWalk, prepare_walk
from flow.walks.settings import AcceleratorSettings, HardwareWalkSettings
from flow.walks.walk import Walk

IMAGES = 4000
"""Images where the user does not say."""
HW_IMAGES = 256
LOSS = 1.0
"""Percentage points to lose, where the user does not say."""
DRAWS, SAMPLES = 4, 4000
"""Least noise draws of a judged plan, and images times draws of a small set."""
SIGMA_BITS = 24
"""Bits of a register of σ that are used."""
ORIGIN_BITS = 2
"""Bits of a converter whose step is hardly rounded."""
SELECTION, JUDGEMENT = 1 << 20, 1 << 21
"""Numbers of the first noise draw of the search, and of the judgement."""


@dataclass(frozen=True)
class BudgetJob:
    """A search that is prepared."""

    settings: BudgetSettings
    prepared: PreparedWalk
    cost: costs.Cost
    whole: GoldenBench
    """All images, for the proof."""
    selection: GoldenBench
    judgement: GoldenBench
    target: Target
    clean: Estimate
    """Accuracy without noise, of all images."""

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.prepared.folder

    @property
    def draws(self) -> int:
        """Noise draws of a judged plan."""
        if not self.judgement.random:
            return 1
        return self.settings.draws or max(DRAWS, SAMPLES // self.judgement.images)

    @property
    def map(self) -> Path:
        """File of the plan."""
        return self.folder / "budget.yaml"

    def search(self, progress: ProgressCallback) -> Selection:
        """Find the plan, and write it."""
        bench = self.selection
        found = select(
            bench, self.cost, self.target, bench.space,
            lambda done, total: progress("search", done, total),
        )  # fmt: skip
        # the map's σ have few digits: the plan is what it says
        found.plan = bench.settled(found.plan)
        results.write_map(self.map, bench.map_of(found.plan), self.title)
        return found

    @property
    def title(self) -> str:
        """What the plan is, in a line."""
        network = self.prepared.walk.context.network.name
        return (
            f"{network} on {self.settings.dataset}: cheapest {in_words(_knobs(self.settings))} "
            f"losing {100 * self.target.loss:.3g} points of accuracy"
        )

    def judge(
        self, found: Selection, progress: ProgressCallback
    ) -> tuple[Judge, dict[str, Judged]]:
        """Judge the plan and the other rules."""
        bench = self.judgement
        by = Judge(
            bench, self.cost, bench.space, self.target.loss, found.losses, found.changed, self.draws
        )
        directions = families(
            found.plan, found.log_mu, bench.space, bench.shares, self.settings.seed
        )
        rules = judge(
            by, directions, found.response, lambda done, total: progress("judge", done, total)
        )
        return by, rules

    def prove(self, progress: ProgressCallback, engine: Engine | None) -> Proof:
        """Walk the plan, a noise map, in software, in the golden model and in RTL."""
        settings, plan = self.settings, NoiseMap.read(self.map)
        # converters alone have no σ to scale: noise at every accumulator comes on top of them
        site, at_plan = (MAP, {1.0}) if plan.sites else (GLOBAL, set())
        search = found_levels(self.whole.mapped(plan.sites, plan.adc), site)
        fields = {*AcceleratorSettings.model_fields, "device", "seed", "adc_percentile"} - {"sites"}
        own = {name: getattr(settings, name) for name in sorted(fields)}
        images, folder = self.whole.images, self.folder / "proof"
        asked = HardwareWalkSettings(
            **own,
            sites=(site,),
            noise_map=self.map,
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


def run(
    settings: BudgetSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
    clock: StageClock | None = None,
) -> BudgetSummary:
    """Find the cheapest noise at an accuracy, judge it and prove it in hardware.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it, for the report.
        engine: does the work of the proof; this process if not given.
        clock: measures the stages; a new one if not given.

    Returns:
        What was found; ``budget.json`` is its dump.

    Raises:
        UserError: something the user can mend; points already measured are kept.
    """
    clock = clock or StageClock()
    job = prepare(settings, clock, progress)
    with clock.stage("search"):
        found = job.search(progress)
    with clock.stage("judge"):
        by, rules = job.judge(found, progress)
        margins = results.margins(by, found)
    with clock.stage("prove"):
        proof = job.prove(progress, engine)
    summary = results.summarise(job, found, rules, margins, proof, command, clock.all_seconds)
    results.write(job.folder, summary)
    write_page(job.folder, summary.model_dump(mode="json"))
    return summary


def prepare(settings: BudgetSettings, clock: StageClock, progress: ProgressCallback) -> BudgetJob:
    """Load and compile the network, and see that the target can be met."""
    asked = settings.changed(out=settings.out or settings.build / "budget" / _name(settings))
    prepared = prepare_walk(asked, clock, progress, default_images=IMAGES)
    walk = prepared.walk
    placement = walk.context.placement
    noises, converter_of = placement.noise_map, placement.converter_of
    walk = walk.with_placement(replace(placement, noise_map={}, converter_of=None))
    sites = list(noises) if EXECUTIONS in settings.vary else prepared.sites
    sources = [
        _source(walk, site, knob, settings.vary, converter_of, noises)
        for knob in _knobs(settings)
        for site in sites
    ]
    with about("cost"):
        counts = [_count(walk, one) for one in sources]
        cost = costs.read(settings.cost, sources, counts)
    space = Space(sources).within(*cost.bounds)
    for one in space.sources:
        if one.low >= one.high if one.knob == SIGMA else not len(one.numbers):
            raise OptionError(
                "cost", f"has a table of noise that the registers of {one.site} do not hold"
            )
    whole = GoldenBench(walk, space, 0, converter_of, noises)
    searched, judged = halves(walk)
    selection = replace(whole, walk=searched, first_draw=SELECTION)
    judgement = replace(whole, walk=judged, first_draw=JUDGEMENT)
    right = sum(
        int((bench.clean.predictions == bench.walk.labels).sum())
        for bench in (selection, judgement)
    )
    clean = Estimate(*share(right, len(walk.context.inputs)))
    target = _target(settings, float(clean.level), walk.reference.guess)
    return BudgetJob(settings, prepared, cost, whole, selection, judgement, target, clean)


def _knobs(settings: BudgetSettings) -> list[Knob]:
    return [knob for knob in KNOBS if knob in settings.vary]


def _source(
    walk: Walk,
    site: str,
    knob: Knob,
    vary: Sequence[str],
    converter_of: Callable[[str, int], Adc] | None,
    noises: Mapping[str, Noise],
) -> Source:
    """Return a source of noise, within what the registers hold."""
    std = walk.context.sites[site].std
    name = site if len(vary) == 1 else f"{site} {knob}"
    if knob == SIGMA:
        high = math.log(walk.context.largest_level(site) * share_of(walk, site))
        return Source(site, knob, name, 0.0, high - math.log(1 << SIGMA_BITS), high)
    if knob == ADC:
        assert converter_of is not None
        step = converter_of(site, ORIGIN_BITS).real_step * 2**ORIGIN_BITS
        return Source(site, knob, name, math.log(step / math.sqrt(12) / max(std, 1e-6)))
    noise = noises[site]
    if noise.silent or noise.executions != 1:
        what = "no noise" if noise.silent else f"{noise.executions} executions"
        raise OptionError("noise_map", f"has {what} at {site}: give σ of a single execution")
    share = math.hypot(noise.sigma_add / max(std, 1e-6), noise.sigma_mul)
    return Source(site, knob, name, math.log(share))


def _count(walk: Walk, source: Source) -> float:
    """Return the default weight of the cost of a source."""
    work = work_of(walk, source.site)
    counts = {SIGMA: work.operations, ADC: work.values, EXECUTIONS: work.cycles}
    return counts[source.knob]


def _target(settings: BudgetSettings, clean: float, guess: float) -> Target:
    """Return the loss that is asked for; OptionError if it cannot be."""
    if settings.accuracy is not None:
        option, loss = "accuracy", clean - settings.accuracy / 100
        written = f"is {settings.accuracy:g} %"
    else:
        points = LOSS if settings.loss is None else settings.loss
        option, loss, written = "loss", points / 100, f"is {points:g} points"
    if loss <= 0:
        raise OptionError(
            option, f"{written}, but without noise it is {100 * clean:.2f} %: give less"
        )
    if clean - loss <= guess:
        raise OptionError(
            option,
            f"{written}: of {100 * clean:.2f} % without noise no more is left than guessing "
            f"reaches, {100 * guess:.3g} %",
        )
    return Target(loss, loss / 2 if settings.tolerance is None else settings.tolerance / 100)


def _name(settings: BudgetSettings) -> str:
    """Return the name of the results folder."""
    target = (
        f"accuracy-{settings.accuracy:g}"
        if settings.accuracy is not None
        else f"loss-{LOSS if settings.loss is None else settings.loss:g}"
    )
    trained = f"-trained-{settings.training_noise}" if settings.training_noise else ""
    if settings.checkpoint is not None:
        trained = f"-{settings.checkpoint.stem}"
    kind = "" if settings.noise == settings.default("noise") else f"-{settings.noise}"
    kind += str(settings.array)
    kind += "" if settings.vary == (SIGMA,) else f"-{'-'.join(_knobs(settings))}"
    kind += "" if settings.noise_map is None else f"-{settings.noise_map.stem}"
    model = Path(settings.model).stem if os.sep in settings.model else settings.model
    return f"{model}-{settings.dataset}{trained}{kind}-{target}"
