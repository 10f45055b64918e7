"""The ``budget`` command: search, judge, prove in hardware, report."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flow.callbacks import ProgressCallback, StageClock, prefixed
from flow.errors import OptionError, about
from flow.experiments import hardware_walk
from flow.experiments.budget import cost as costs
from flow.experiments.budget import results
from flow.experiments.budget.bench import GoldenBench, halves, work_of
from flow.experiments.budget.cost import Floats
from flow.experiments.budget.families import families
from flow.experiments.budget.judgement import Judge, Judged, judge
from flow.experiments.budget.selection import Selection, Target, select
from flow.experiments.budget.settings import BudgetSettings
from flow.experiments.budget.summary import BudgetSummary, Proof
from flow.experiments.site_levels import found_levels
from flow.noise.noise_map import NoiseMap
from flow.noise.site import MAP
from flow.report.budget_page import write as write_page
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import share
from flow.walks.engine.engine import Engine
from flow.walks.loading import PreparedWalk, prepare_walk
from flow.walks.settings import AcceleratorSettings, HardwareWalkSettings

IMAGES = 4000
"""Images where the user does not say."""
HW_IMAGES = 256
LOSS = 1.0
"""Percentage points to lose, where the user does not say."""
DRAWS, SAMPLES = 4, 4000
"""Least noise draws of a judged plan, and images times draws of a small set."""
SELECTION, JUDGEMENT = 1 << 20, 1 << 21
"""Numbers of the first noise draw of the search, and of the judgement."""


@dataclass(frozen=True)
class BudgetJob:
    """A search that is prepared."""

    settings: BudgetSettings
    prepared: PreparedWalk
    cost: costs.Cost
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
        return self.settings.draws or max(DRAWS, SAMPLES // self.judgement.images)

    @property
    def map(self) -> Path:
        """File of the plan."""
        return self.folder / "budget.yaml"

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest log x of each site that both the registers and the costs know."""
        known, bench = self.cost.bounds, self.selection
        low, high = np.maximum(known[0], bench.smallest), np.minimum(known[1], bench.largest)
        for site, empty in zip(bench.sites, low >= high, strict=True):
            if empty:
                raise OptionError(
                    "cost", f"has a table of noise that the registers of {site} do not hold"
                )
        return low, high

    def search(self, progress: ProgressCallback) -> Selection:
        """Find the plan, and write it."""
        bench = self.selection
        low, high = self.bounds
        found = select(
            bench, self.cost, self.target, low, high,
            lambda done, total: progress("search", done, total),
        )  # fmt: skip
        # the map's σ have few digits: the plan is what it says
        sigmas = bench.sigmas(found.plan)
        found.plan = np.log([sigmas[site] for site in bench.sites]) + np.log(bench.shares)
        results.write_map(self.map, NoiseMap.of(bench.noises(found.plan)), self.title)
        return found

    @property
    def title(self) -> str:
        """What the plan is, in a line."""
        network = self.prepared.walk.context.network.name
        return (
            f"{network} on {self.settings.dataset}: cheapest noise that loses "
            f"{100 * self.target.loss:.3g} points of accuracy"
        )

    def judge(
        self, found: Selection, progress: ProgressCallback
    ) -> tuple[Judge, dict[str, Judged]]:
        """Judge the plan and the other rules."""
        bench = self.judgement
        by = Judge(bench, self.cost, self.target.loss, found.exponent, found.changed, self.draws)
        directions = families(found.plan, found.log_mu, bench.shares, self.settings.seed)
        rules = judge(
            by, directions, found.response, lambda done, total: progress("judge", done, total)
        )
        return by, rules

    def prove(self, progress: ProgressCallback, engine: Engine | None) -> Proof:
        """Walk the plan as a noise map in software, in the golden model and in RTL."""
        settings, walk = self.settings, self.prepared.walk
        noises = NoiseMap.read(self.map).sites
        mapped = replace(walk.context.placement, noise_map=noises, walks_map=True)
        levels = sorted({1.0, *found_levels(walk.with_placement(mapped), MAP).levels[::2]})
        fields = {*AcceleratorSettings.model_fields, "device", "seed"} - {"sites"}
        own = {name: getattr(settings, name) for name in sorted(fields)}
        images, folder = len(walk.context.inputs), self.folder / "proof"
        asked = HardwareWalkSettings(
            **own,
            sites=(MAP,),
            noise_map=self.map,
            levels=tuple(levels),
            images=images,
            hw_images=min(settings.hw_images or HW_IMAGES, images),
            budget=0,
            out=folder,
        )

        def told(stage: str, done: int, total: int, images: int = 0) -> None:
            prefixed(progress, "proof", stage, done, total, images)

        found = hardware_walk.walk_hw(asked, told, engine=engine)
        return results.proof_of(found, folder, images)


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
    walk, sites = prepared.walk, tuple(prepared.sites)
    with about("cost"):
        cost = costs.read(settings.cost, {s: work_of(walk, s).operations for s in sites})
    even, odd = halves(walk)
    selection = GoldenBench(even, sites, SELECTION)
    judgement = GoldenBench(odd, sites, JUDGEMENT)
    right = sum(
        int((bench.clean.predictions == bench.walk.labels).sum())
        for bench in (selection, judgement)
    )
    clean = Estimate(*share(right, len(walk.context.inputs)))
    target = _target(settings, float(clean.level), walk.reference.guess)
    job = BudgetJob(settings, prepared, cost, selection, judgement, target, clean)
    _ = job.bounds
    return job


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
    model = Path(settings.model).stem if os.sep in settings.model else settings.model
    return f"{model}-{settings.dataset}{trained}{kind}-{target}"
