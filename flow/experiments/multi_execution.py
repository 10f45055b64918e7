"""The ``multi-exec`` command: every way of spending executions, measured at equal budgets.

All sites are noisy at the same time. σ is that of one execution. A site that runs k times has σ/√k,
which is exactly the distribution of the mean of k executions where the noise is linear in its
samples. All ways see the same images and the same samples, so that they are compared in pairs.

The tailored way starts, at each budget, from the best of the other ways, or from the optimum for
sites that are noisy alone if that is surely better. It then takes steps. Each step measures plans
around the best one, fits the weight of each site among noisy others, solves for the optimum near by
and measures it. The step is taken if that is surely better. All this uses one half of the images,
and noise draws that serve nothing else; the ways are compared on the other half.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from flow import device, models
from flow.callbacks import ProgressCallback
from flow.data import halves
from flow.data.reference import Measure
from flow.errors import UserError
from flow.experiments import execution_plans, software_walk
from flow.experiments.execution_plans import Floats, Ints, Prediction
from flow.experiments.results import ExperimentRun
from flow.experiments.settings import MultiExecutionSettings
from flow.models import Levels, Network, evaluate_groups, site_values, suitable_batch
from flow.models.evaluation import Labels
from flow.noise import Noise, TorchSampler
from flow.noise.site import GLOBAL
from flow.numerics import code_digest
from flow.report.plots.executions import write as write_picture
from flow.statistics.intervals import Float, percentile_ends
from flow.statistics.midpoint import resample_weights
from flow.training.zoo import TrainedNetwork
from flow.walks.points.measurement import take_or_measure
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.point import Point
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.summaries import SoftwareWalkSummary

UNIFORM, TAILORED = "uniform", "tailored"
TAILORING_DRAWS = (1 << 20, (1 << 20) + 1)
"""Noise draws that the tailored plan is chosen with; no comparison uses them, nor its images."""
STEPS = 3
"""Largest number of steps from the start."""
SURE = 1.645
"""Gain that a plan must have over a simpler one, in standard errors: 95 % one-sided."""


class Plan(NamedTuple):
    """A way of spending a budget."""

    strategy: str
    mean: float
    """Mean executions per site."""


@dataclass
class _Comparison:
    """Measures many plans of one network at one σ, on the same images."""

    network: Network
    inputs: Tensor
    labels: npt.NDArray[np.int64]
    setting: NoiseSetting
    sigma: float
    sites: Sequence[str]
    store: Store
    identity: Mapping[str, Any]

    def on_images(self, rows: Ints) -> "_Comparison":
        """Return the same on some of the images."""
        return replace(self, inputs=self.inputs[rows], labels=self.labels[rows])

    def measure(
        self, plans: Mapping[Plan, Ints], draws: Sequence[int], progress: Callable[[int, int], None]
    ) -> dict[Plan, npt.NDArray[np.float32]]:
        """Return each plan's share of draws in which an image's label is right, [images]."""
        values = site_values(self.network, self.inputs[:1])
        batch = suitable_batch(max(one.count for one in values.values()))
        digest = hashlib.sha256(self.inputs.numpy().tobytes()).hexdigest()
        noises = {plan: self._noise(chosen) for plan, chosen in plans.items()}
        keys = {
            (plan, draw): {
                **self.identity,
                "noise": {site: noise.to_json() for site, noise in noises[plan].items()},
                "seed": self.setting.seed_of(draw),
                "images": digest,
                "batch": batch,
                "code": code_digest(models),
            }
            for plan in plans
            for draw in draws
        }
        finished = 0

        def done(count: int) -> None:
            nonlocal finished
            finished += count
            progress(finished, len(keys))

        def points(draw: int, wanted: Sequence[tuple[Plan, int]]) -> list[Point]:
            sampler = TorchSampler(self.setting.seed_of(draw))
            group = Levels([noises[plan] for plan, _ in wanted], sampler)
            found = evaluate_groups(self.network, self.inputs, [group], batch=batch)[0]
            return [self._point(draw, row) for row in found]

        # plans of one budget at a time: what was measured is stored
        right: dict[Plan, list[npt.NDArray]] = {plan: [] for plan in plans}
        for mean in dict.fromkeys(plan.mean for plan in plans):
            some = {where: key for where, key in keys.items() if where[0].mean == mean}
            found = take_or_measure(self.store, some, lambda where: where[1], points, done)
            for (plan, _), point in zip(some, found, strict=True):
                right[plan].append(point.predictions == self.labels)
        return {plan: np.mean(rows, axis=0, dtype=np.float32) for plan, rows in right.items()}

    def _noise(self, chosen: Ints) -> dict[str, Noise]:
        return {
            site: self.setting.noise(self.sigma / math.sqrt(k))
            for site, k in zip(self.sites, chosen, strict=True)
        }

    def _point(self, draw: int, labels: Labels) -> Point:
        return Point(
            site=GLOBAL,
            kind=self.setting.kind,
            sigma=self.sigma,
            seed=self.setting.seed_of(draw),
            side=Side.SOFTWARE,
            predictions=labels,
        )


def run(
    settings: MultiExecutionSettings, progress: ProgressCallback, command: str = ""
) -> dict[str, Any]:
    """Walk the network, spend every budget in every way, and compare.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line, for the summary.

    Returns:
        The content of ``executions.json``, which lies in the walk's folder with
        ``executions.parquet`` and ``executions.png``.

    Raises:
        UserError: something the user can mend; what was measured is kept.
    """
    this = ExperimentRun(command)
    walked = software_walk.walk(settings, progress, command)
    folder = Path(walked.folder)
    trained = TrainedNetwork.load(settings, settings.images, recipe=settings.recipe)
    chosen = device.find(settings.device)
    network = trained.network.on(chosen)
    (setting,) = settings.kinds
    comparison = _Comparison(
        network=network,
        inputs=trained.inputs,
        labels=trained.reference.labels,
        setting=setting,
        sigma=settings.sigma or midpoint_of(walked, GLOBAL),
        sites=list(walked),
        store=Store(folder / "points"),
        identity={
            "checkpoint": trained.digest,
            "dataset": settings.dataset,
            **device.key(chosen),
        },
    )
    search, judgement = map(comparison.on_images, halves(len(trained.images)))
    clean = walked.clean["software"]
    plans = _all_plans(search, settings.budgets, walked, clean.level, progress)
    right = judgement.measure(plans, range(settings.draws), partial(progress, "executions"))
    table = compare(plans, right, walked.measure)
    found = {
        "model": network.name,
        "dataset": settings.dataset,
        "recipe": trained.metadata.recipe,
        "image_range": trained.image_range,
        "noise": setting.kind,
        "sigma": comparison.sigma,
        "measure": walked.measure,
        "clean": list(clean),
        "selection_images": len(search.labels),
        "images": len(judgement.labels),
        "draws": settings.draws,
        "sites": comparison.sites,
        "rows": table.to_dict("records"),
    }
    return this.write(folder, "executions", found, table, write_picture)


def _all_plans(
    comparison: _Comparison,
    budgets: Sequence[float],
    walked: SoftwareWalkSummary,
    clean: float,
    progress: ProgressCallback,
) -> dict[Plan, Ints]:
    """Return every way to spend each budget: executions, [sites].

    Args:
        comparison: measures what tailored plans are chosen by.
        budgets: mean executions per site.
        walked: the walk of the sites alone.
        clean: accuracy, or agreement, without noise.
        progress: called with the progress.
    """
    sites, guess = comparison.sites, walked.guessing
    mu = np.array([midpoint_of(walked, site) for site in sites])
    start = Start(mu, steepness_of(walked), comparison.sigma, clean, guess)
    plans = rules(mu, budgets)
    for number, mean in enumerate(budgets):
        progress("tailor", number, len(budgets))
        others = [chosen for plan, chosen in plans.items() if plan.mean == mean]
        plans[Plan(TAILORED, mean)] = tailored(comparison, mean, others, start)
    progress("tailor", len(budgets), len(budgets))
    return plans


@dataclass(frozen=True)
class Start:
    """What is known about the sites before they are noisy together."""

    mu: Floats
    """Midpoint of each site alone, [sites]."""
    k: Floats
    """Steepness of each site alone, [sites]."""
    sigma: float
    clean: float
    guess: float


def tailored(comparison: _Comparison, mean: float, others: Sequence[Ints], start: Start) -> Ints:
    """Return the best way found to spend a budget (module docstring): executions, [sites]."""
    sites = len(start.mu)
    total = math.floor(mean * sites + 1e-9)
    most = execution_plans.most_of_one(sites, total)
    alone = Prediction.from_midpoints(start.mu, start.sigma, start.clean, start.guess)
    seen: dict[tuple[int, ...], npt.NDArray[np.float32]] = {}

    def measure(plans: Sequence[Ints]) -> None:
        named = {Plan(",".join(map(str, chosen)), mean): chosen for chosen in plans}
        right = comparison.measure(named, TAILORING_DRAWS, _silent)
        seen.update({tuple(named[plan]): rows for plan, rows in right.items()})

    def better(found: Ints, best: Ints) -> Ints:
        """Return the first of two plans if it is surely better, and otherwise the second."""
        gains = seen[tuple(found)] - seen[tuple(best)]
        error = float(gains.std()) / math.sqrt(len(gains))
        return found if float(gains.mean()) > SURE * error else best

    measure(others)
    best = max(others, key=lambda plan: float(seen[tuple(plan)].mean()))
    if total == sites:
        return best
    for losses in (
        execution_plans.losses_alone(start.mu, start.k, start.sigma, most),
        alone.losses(most),
    ):
        found = execution_plans.optimum(losses, total)
        measure([found])
        best = better(found, best)
    for _ in range(STEPS):
        step = execution_plans.reach(best)
        around = [best + sign * np.eye(sites, dtype=np.int64) * step for sign in (1, -1)]
        measure([plan for plan in np.concatenate(around) if plan.min() >= 1])
        means = [float(rows.mean()) for rows in seen.values()]
        prediction = alone.fitted(np.array(list(seen)), np.array(means))
        found = execution_plans.optimum(prediction.losses(most), total, near=best)
        measure([found])
        if better(found, best) is best:
            break
        best = found
    return best


def steepness_of(walked: SoftwareWalkSummary) -> Floats:
    """Return each site's steepness from a walk, or the median where it has none."""
    known = [entry.k_sw for entry in walked.sites.values()]
    usual = float(np.median([k for k in known if k is not None] or [2.0]))
    return np.array([usual if k is None else k for k in known])


def midpoint_of(walked: SoftwareWalkSummary, site: str) -> float:
    """Return a site's midpoint from a walk, or its bound where it has none.

    Raises:
        UserError: the site was not measured, or it has no bound either.
    """
    found = walked[site].midpoint
    if found is None:
        raise UserError(
            f"site {site} was not measured within the walk's budget: give it a larger one"
        )
    if found.level <= 0:
        raise UserError(f"site {site} has no midpoint, nor a bound: the network only guesses")
    return found.level


def rules(mu: Floats, means: Sequence[float]) -> dict[Plan, Ints]:
    """Return the uniform and the paper's ways to spend each budget: executions, [sites]."""
    found: dict[Plan, Ints] = {}
    for mean in means:
        total = math.floor(mean * len(mu) + 1e-9)
        found[Plan(UNIFORM, mean)] = execution_plans.uniform(len(mu), total)
        for name in execution_plans.RULES:
            found[Plan(name, mean)] = execution_plans.by_rule(name, mu.tolist(), total)
    return found


def compare(
    chosen: Mapping[Plan, Ints],
    right: Mapping[Plan, npt.NDArray[np.float32]],
    measure: Measure,
) -> pd.DataFrame:
    """Return a row for each plan, with 95 % bootstrap intervals over images.

    The columns are strategy, mean, accuracy or agreement, lo and hi; ours_minus with its lo and hi,
    the tailored plan's minus this one's, paired by image; and executions, in the order of the
    sites.
    """
    images = len(next(iter(right.values())))
    weights = resample_weights(images)

    def interval(values: npt.NDArray[np.float32]) -> tuple[float, float, float]:
        resampled: Float = (weights @ values).astype(np.float64) / images
        return float(values.mean(dtype=np.float64)), *percentile_ends(resampled)

    rows = []
    for plan, values in right.items():
        value, lo, hi = interval(values)
        ours = interval(right[Plan(TAILORED, plan.mean)] - values)
        rows.append(
            {
                "strategy": plan.strategy,
                "mean": plan.mean,
                measure: value,
                "lo": lo,
                "hi": hi,
                "ours_minus": ours[0],
                "ours_minus_lo": ours[1],
                "ours_minus_hi": ours[2],
                "executions": ",".join(str(k) for k in chosen[plan]),
            }
        )
    return pd.DataFrame(rows)


def _silent(done: int, total: int) -> None:
    pass
