"""Results of a search: the noise map, the summary, and tables for spreadsheets and for papers."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from flow.experiments.budget.bench import work_of
from flow.experiments.budget.cost import DEFAULT
from flow.experiments.budget.families import CHEAPEST, USUAL
from flow.experiments.budget.job import BudgetJob
from flow.experiments.budget.judgement import Judge, Judged, mean_of, ratio
from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA
from flow.experiments.budget.optimum import optimum
from flow.experiments.budget.selection import Selection
from flow.experiments.budget.sources import Floats
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
from flow.statistics.intervals import percentile_ends, share
from flow.walks.points.curves import side_table
from flow.walks.points.side import Side
from flow.walks.summaries import HardwareWalkSummary

RAISED = 1.25
"""Factor on the noise of one site, for its margin."""
FRONT = np.geomspace(0.25, 4.0, 17)
"""Losses of the Pareto front, in targets."""


def write_map(path: Path, noise_map: NoiseMap, title: str) -> None:
    """Write a plan as a noise map, under a comment; UserError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(f"# {title}\n{noise_map.text}", encoding="utf-8")


def margins(judge: Judge, found: Selection) -> dict[str, Margin | None]:
    """Raise the noise of each source in turn, and compare what is lost with what is predicted.

    Of bits and executions there is one less; None where there is only one.
    """
    bench, space = judge.bench, found.space
    plan = bench.measure(found.plan, judge.draws).lost
    margins: dict[str, Margin | None] = {}
    for number, name in enumerate(space.names):
        raised = space.raised(found.plan, number, math.log(RAISED))
        margins[name] = None
        if raised is not None:
            predicted = found.predicted_loss(raised) - found.predicted_loss(found.plan)
            measured = mean_of(bench.measure(raised, judge.draws).lost - plan)
            margins[name] = Margin(predicted=predicted, measured=measured)
    return margins


def proof_of(walk: HardwareWalkSummary, site: str, folder: Path, images: int) -> Proof:
    """Return a walk's results on the plan itself, from the walk's folder.

    The plan is factor 1 of a map; converters alone are there where no noise comes on top of them.
    """
    curves = pd.read_parquet(folder / "curves.parquet")

    def at_plan(side: Side) -> Estimate:
        if site == MAP:
            rows = side_table(curves, MAP, side, MAP)
            row = rows[rows["sigma"] == 1.0].iloc[0]
            return Estimate(*(float(row[name]) for name in ("accuracy", "lo", "hi")))
        rows = curves[(curves["sigma"] == 0) & (curves["side"] == side.without_noise)]
        row = rows.iloc[0]
        return Estimate(*share(int(row["correct"]), int(row["images"])))

    return Proof(
        folder=str(folder),
        verdict=str(walk.verdict),
        images=images,
        rtl_images=walk[site].rtl_images,
        rtl_runs=walk.rtl.images,
        differing=walk.rtl.bit_mismatches,
        accuracy_software=at_plan(Side.SOFTWARE_HARDWARE_RNG),
        accuracy_golden=at_plan(Side.GOLDEN),
        accuracy_rtl=at_plan(Side.RTL),
    )


def summarise(
    job: BudgetJob,
    found: Selection,
    rules: dict[str, Judged],
    margins: dict[str, Margin | None],
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
        varies=found.space.knobs,
        noise=context.setting.kind if SIGMA in found.space.knobs else None,
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
        cost_of=(
            " + ".join(DEFAULT[knob] for knob in found.space.knobs)
            if settings.cost is None
            else str(settings.cost)
        ),
        cost_unit=job.cost.unit,
        cost=float(job.cost.total(found.plan)),
        tightest=_tightest(margins),
        usual=next(name for name in USUAL if name in rules),
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


def _tightest(margins: dict[str, Margin | None]) -> str | None:
    """Return the source of the largest margin; None if there is none."""
    known = {name: one.measured.level for name, one in margins.items() if one is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _sites(
    job: BudgetJob, found: Selection, margins: dict[str, Margin | None]
) -> dict[str, BudgetSite]:
    bench, walk = job.whole, job.whole.walk
    costs = np.exp(job.cost.log_shares(found.plan))
    plan = bench.map_of(found.plan)
    sites = {}
    for number, source in enumerate(found.space.sources):
        site, x = source.site, math.exp(found.plan[number])
        tap, work = walk.context.sites[site], work_of(walk, site)
        snr, noise = -20 * math.log10(x), plan.sites.get(site) if source.knob != ADC else None
        bits = plan.adc[site] if source.knob == ADC else None
        sites[source.name] = BudgetSite(
            site=site,
            varies=source.knob,
            sigma=None if noise is None else noise.sigma_add + noise.sigma_mul,
            sigma_lsb=None if noise is None else _lsb(noise, tap.scale),
            bits=bits,
            step=None if bits is None else bench.step_of(site, bits),
            executions=source.number(found.plan[number]) if source.knob == EXECUTIONS else None,
            std=tap.std,
            noise_share=x,
            snr=snr,
            effective_bits=(snr - 1.76) / 6.02,
            rows=work.rows,
            operations=work.operations,
            conversions=work.values,
            cycles=work.cycles,
            cost=float(costs[number]),
            cost_share=float(costs[number] / costs.sum()),
            mu_share=math.exp(found.log_mu[number]),
            margin=margins[source.name],
        )
    return sites


def _lsb(noise: Noise, scale: float) -> float | None:
    return noise.sigma_add / scale if noise.adds else None


def _rule(job: BudgetJob, name: str, found: Selection, rules: dict[str, Judged]) -> Rule:
    judged, bench = rules[name], job.judgement
    low, high = (
        float(end) for end in percentile_ends(np.asarray(judged.cost[1:], dtype=np.float64))
    )
    shares = np.exp(bench.space.nearest(judged.direction + judged.log_factor[0]))
    return Rule(
        cost=Estimate(float(judged.cost[0]), low, high),
        ratio=ratio(judged.cost, rules[CHEAPEST].cost),
        ratio_changed=ratio(judged.cost_changed, rules[CHEAPEST].cost_changed),
        noise_shares=dict(zip(bench.space.names, map(float, shares), strict=True)),
        points=[
            PlanPoint(
                factor=math.exp(plan.log_factor),
                cost=float(job.cost.total(plan.log_noise)),
                loss=mean_of(plan.outcome.lost),
            )
            for plan in judged.plans
        ],
    )


def _response(found: Selection) -> FittedResponse:
    fitted, names = found.response, found.space.names
    steps = found.steps[1:] or found.steps
    errors = [step.predicted_changed / max(step.changed, 1e-9) - 1 for step in steps]

    def by_site(values: Floats) -> dict[str, float]:
        return dict(zip(names, map(float, values), strict=True))

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
    front, response = [], found.response
    # what the least noise changes, no plan changes less
    least = float(response.changed(found.space.low))
    for times in FRONT:
        changed = times * found.changed
        if least < changed < 0.9 * response.ceiling:
            plan = optimum(found.cost, response, changed, found.space)
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
        margin = site.margin
        rows[name] = site.model_dump(exclude={"margin"}) | {
            "margin_predicted": None if margin is None else margin.predicted,
            "margin_measured": None if margin is None else margin.measured.value,
            "margin_low": None if margin is None else margin.measured.low,
            "margin_high": None if margin is None else margin.measured.high,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def latex(summary: BudgetSummary) -> str:
    """Return the table of the plan for LaTeX with booktabs."""
    columns = {
        "rows": lambda site: _whole(site.rows),
        r"$\sigma$": lambda site: _figure(site.sigma),
        r"$\sigma$ (LSB)": lambda site: _figure(site.sigma_lsb),
        "ADC bits": lambda site: _whole(site.bits),
        "executions": lambda site: _whole(site.executions),
        "SNR (dB)": lambda site: f"{site.snr:.1f}",
        "bits": lambda site: f"{site.effective_bits:.2f}",
        r"cost (\%)": lambda site: f"{100 * site.cost_share:.1f}",
    }
    unused = {ADC: "ADC bits", EXECUTIONS: "executions"}
    for knob, name in unused.items():
        if knob not in summary.varies:
            del columns[name]
    if summary.varies == [ADC]:
        del columns[r"$\sigma$"], columns[r"$\sigma$ (LSB)"]
    lines = [
        r"\begin{tabular}{l" + "r" * len(columns) + "}",
        r"\toprule",
        " & ".join(["layer", *columns]) + r" \\",
        r"\midrule",
    ]
    for name, site in summary.sites.items():
        cells = [name.replace("_", r"\_"), *(written(site) for written in columns.values())]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _whole(value: int | None) -> str:
    return "--" if value is None else str(value)


def _figure(value: float | None) -> str:
    return "--" if value is None else f"{value:.3g}"
