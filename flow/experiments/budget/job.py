"""A prepared search for the cheapest noise: network, benches, costs and target."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flow.callbacks import ProgressCallback, StageClock
from flow.data import halves
from flow.errors import OptionError, about
from flow.experiments.budget import cost as costs
from flow.experiments.budget.bench import GoldenBench, share_of, work_of
from flow.experiments.budget.knobs import ADC, EXECUTIONS, KNOBS, SIGMA, Knob
from flow.experiments.budget.selection import Target
from flow.experiments.budget.settings import BudgetSettings
from flow.experiments.budget.sources import Source, Space
from flow.noise import Adc, Noise
from flow.report.budget_page import in_words
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import share
from flow.walks.loading import PreparedWalk, prepare_walk
from flow.walks.walk import Walk

IMAGES = 4000
"""Default number of images."""
LOSS = 1.0
"""Default loss, in percentage points."""
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
    """A prepared search."""

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

    @property
    def title(self) -> str:
        """Description of the plan, in one line."""
        network = self.prepared.walk.context.network.name
        return (
            f"{network} on {self.settings.dataset}: cheapest {in_words(_knobs(self.settings))} "
            f"losing {100 * self.target.loss:.3g} points of accuracy"
        )


def prepare(settings: BudgetSettings, clock: StageClock, progress: ProgressCallback) -> BudgetJob:
    """Load and compile the network, and check that the target can be met."""
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
    searched, judged = (walk.on_images(half) for half in halves(len(walk.context.inputs)))
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
    """Return the requested loss; OptionError if the network cannot lose that much."""
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
            f"{written}: {100 * clean:.2f} % without noise would fall to what guessing "
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
