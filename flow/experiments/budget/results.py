"""Results of a search: the noise map, the summary, and tables for spreadsheets and for papers."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from flow.experiments.budget.bench import work_of
from flow.experiments.budget.cost import Floats
from flow.experiments.budget.families import CHEAPEST
from flow.experiments.budget.judgement import Judge, Judged, mean_of, ratio
from flow.experiments.budget.optimum import optimum
from flow.experiments.budget.selection import Selection
from flow.experiments.budget.summary import (
    BudgetSite,
    BudgetSummary,
    FittedResponse,
    FrontPoint,
    Margin,
    PlanPoint,
    Proof,
    Rule,
    SearchStep,
)
from flow.files import replacing, write_json
from flow.noise import Noise
from flow.noise.noise_map import NoiseMap
from flow.noise.site import MAP
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import percentile_ends
from flow.walks.points.curves import side_table
from flow.walks.points.side import Side
from flow.walks.summaries import HardwareWalkSummary

if TYPE_CHECKING:
    from flow.experiments.budget.run import BudgetJob

RAISED = 1.25
"""Factor on the noise of one site, for its margin."""
FRONT = np.geomspace(0.25, 4.0, 17)
"""Losses of the Pareto front, in targets."""


def write_map(path: Path, noise_map: NoiseMap, title: str) -> None:
    """Write a plan as a noise map, under a comment; UserError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(f"# {title}\n{noise_map.text}", encoding="utf-8")


def margins(judge: Judge, found: Selection) -> dict[str, Margin]:
    """Raise the noise of each site in turn, and compare what is lost with what is predicted."""
    bench = judge.bench
    plan = bench.measure(found.plan, judge.draws).lost
    margins = {}
    for number, site in enumerate(bench.sites):
        raised = found.plan + math.log(RAISED) * np.eye(len(bench.sites))[number]
        predicted = found.predicted_loss(raised) - found.predicted_loss(found.plan)
        measured = mean_of(bench.measure(raised, judge.draws).lost - plan)
        margins[site] = Margin(predicted=predicted, measured=measured)
    return margins


def proof_of(walk: HardwareWalkSummary, folder: Path, images: int) -> Proof:
    """Return what a walk of the map, in its folder, says of the plan itself: factor 1."""
    curves = pd.read_parquet(folder / "curves.parquet")

    def at_plan(side: Side) -> Estimate:
        rows = side_table(curves, MAP, side, MAP)
        row = rows[rows["sigma"] == 1.0].iloc[0]
        return Estimate(*(float(row[name]) for name in ("accuracy", "lo", "hi")))

    return Proof(
        folder=str(folder),
        verdict=str(walk.verdict),
        images=images,
        rtl_images=walk[MAP].rtl_images,
        rtl_runs=walk.rtl.images,
        differing=walk.rtl.bit_mismatches,
        accuracy_software=at_plan(Side.SOFTWARE_HARDWARE_RNG),
        accuracy_golden=at_plan(Side.GOLDEN),
        accuracy_rtl=at_plan(Side.RTL),
    )


def summarise(
    job: "BudgetJob",
    found: Selection,
    rules: dict[str, Judged],
    margins: dict[str, Margin],
    proof: Proof,
    command: str,
    seconds: dict[str, float],
) -> BudgetSummary:
    """Return the summary of a search that has ended."""
    settings, walk, bench = job.settings, job.prepared.walk, job.selection
    context = walk.context
    (plan,) = (one for one in rules[CHEAPEST].plans if one.log_factor == 0.0)
    return BudgetSummary(
        model=context.network.name,
        dataset=settings.dataset,
        noise=context.setting.kind,
        seed=settings.seed,
        measure=walk.reference.measure,
        guessing=walk.reference.guess,
        selection_images=bench.images,
        judgement_images=job.judgement.images,
        draws=job.draws,
        clean=job.clean,
        target=job.target.loss,
        tolerance=job.target.tolerance,
        met=found.met,
        loss=mean_of(plan.outcome.lost),
        cost_of="multiplications · (std / σ)²" if settings.cost is None else str(settings.cost),
        cost_unit=job.cost.unit,
        cost=float(job.cost.total(found.plan)),
        tightest=max(margins, key=lambda site: margins[site].measured.level),
        sites=_sites(job, found, margins),
        rules={name: _rule(job, name, found, rules) for name in rules},
        response=_response(found),
        steps=[SearchStep(**step._asdict()) for step in found.steps],
        front=_front(found),
        proof=proof,
        map=str(job.map),
        report=str(job.folder / "budget.html"),
        command=command,
        seconds=seconds,
    )


def _sites(job: "BudgetJob", found: Selection, margins: dict[str, Margin]) -> dict[str, BudgetSite]:
    bench, walk = job.selection, job.prepared.walk
    costs = np.exp(job.cost.log_shares(found.plan))
    noises, sigmas = bench.noises(found.plan), bench.sigmas(found.plan)
    sites = {}
    for number, site in enumerate(bench.sites):
        tap, work, x = walk.context.sites[site], work_of(walk, site), math.exp(found.plan[number])
        snr = -20 * math.log10(x)
        sites[site] = BudgetSite(
            sigma=sigmas[site],
            sigma_lsb=_lsb(noises[site], tap.scale),
            std=tap.std,
            noise_share=x,
            snr=snr,
            effective_bits=(snr - 1.76) / 6.02,
            rows=work.rows,
            operations=work.operations,
            cost=float(costs[number]),
            cost_share=float(costs[number] / costs.sum()),
            mu_share=math.exp(found.log_mu[number]),
            margin=margins[site],
        )
    return sites


def _lsb(noise: Noise, scale: float) -> float | None:
    return noise.sigma_add / scale if noise.adds else None


def _rule(job: "BudgetJob", name: str, found: Selection, rules: dict[str, Judged]) -> Rule:
    judged, bench = rules[name], job.judgement
    low, high = (
        float(end) for end in percentile_ends(np.asarray(judged.cost[1:], dtype=np.float64))
    )
    shares = np.exp(judged.direction + judged.log_factor[0])
    return Rule(
        cost=Estimate(float(judged.cost[0]), low, high),
        ratio=ratio(judged.cost, rules[CHEAPEST].cost),
        ratio_changed=ratio(judged.cost_changed, rules[CHEAPEST].cost_changed),
        noise_shares=dict(zip(bench.sites, map(float, shares), strict=True)),
        points=[
            PlanPoint(
                factor=math.exp(plan.log_factor),
                cost=float(job.cost.total(judged.direction + plan.log_factor)),
                loss=mean_of(plan.outcome.lost),
            )
            for plan in judged.plans
        ],
    )


def _response(found: Selection) -> FittedResponse:
    fitted, sites = found.response, found.bench.sites
    steps = found.steps[1:] or found.steps
    errors = [step.predicted_changed / max(step.changed, 1e-9) - 1 for step in steps]

    def by_site(values: Floats) -> dict[str, float]:
        return dict(zip(sites, map(float, values), strict=True))

    return FittedResponse(
        m=by_site(np.exp(fitted.log_m)),
        q=by_site(fitted.q),
        s=fitted.s,
        ceiling=fitted.ceiling,
        loss_top=found.losses.top,
        loss_half=found.losses.h,
        loss_power=found.losses.r,
        error=float(np.sqrt(np.mean(np.square(errors)))),
    )


def _front(found: Selection) -> list[FrontPoint]:
    front = []
    for times in FRONT:
        changed = times * found.changed
        if changed < 0.9 * found.response.ceiling:
            plan = optimum(found.cost, found.response, changed, found.low, found.high)
            cost = float(found.cost.total(plan))
            front.append(FrontPoint(loss=times * found.target.loss, cost=cost))
    return front


def write(folder: Path, summary: BudgetSummary) -> None:
    """Write ``budget.json``, ``budget.csv`` and ``budget.tex``.

    Raises:
        UserError: a file cannot be written.
    """
    write_json(folder / "budget.json", summary.model_dump(mode="json"))
    table = site_table(summary)
    with replacing(folder / "budget.csv") as temporary:
        table.to_csv(temporary, index_label="site")
    with replacing(folder / "budget.tex") as temporary:
        temporary.write_text(latex(summary), encoding="utf-8")


def site_table(summary: BudgetSummary) -> pd.DataFrame:
    """Return a row for each site; the margin is in ``margin_predicted`` and ``margin_measured``."""
    rows = {}
    for name, site in summary.sites.items():
        rows[name] = site.model_dump(exclude={"margin"}) | {
            "margin_predicted": site.margin.predicted,
            "margin_measured": site.margin.measured.value,
            "margin_low": site.margin.measured.low,
            "margin_high": site.margin.measured.high,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def latex(summary: BudgetSummary) -> str:
    """Return the table of the sites for LaTeX with booktabs."""
    lines = [
        r"\begin{tabular}{lrrrrrr}",
        r"\toprule",
        r"layer & rows & $\sigma$ & $\sigma$ (LSB) & SNR (dB) & bits & cost (\%) \\",
        r"\midrule",
    ]
    for name, site in summary.sites.items():
        cells = (
            name.replace("_", r"\_"),
            "--" if site.rows is None else str(site.rows),
            f"{site.sigma:.3g}",
            "--" if site.sigma_lsb is None else f"{site.sigma_lsb:.3g}",
            f"{site.snr:.1f}",
            f"{site.effective_bits:.2f}",
            f"{100 * site.cost_share:.1f}",
        )
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
